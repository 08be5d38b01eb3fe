import Addressing

/// What tells one configuration from another: the changes, by name, and which of them have to wait for a restart.
///
/// Services and backends are the same where their names are; a listener where its service and its name are (its address as
/// configured, and its device), or, should its service have lost it, where another service has one of the same name now:
/// then it changes its service and stays open. Pure; any thread may use it.
public struct ConfigurationDiff: Sendable, Equatable {
    /// First the daemon, then what goes, then service by service in the order of the new configuration.
    public private(set) var changes: [ConfigurationChange] = []
    /// Those of ``changes`` that a running daemon cannot make.
    public private(set) var needingRestart: [ConfigurationChange] = []

    public var isEmpty: Bool { changes.isEmpty }

    /// What of a running daemon is settled, so that it can be told whether a setting that reads differently is different.
    public struct Settled: Sendable, Equatable {
        /// Forwarding threads that run.
        public var workers: Int
        /// What ``DaemonConfiguration/workers`` nil amounts to.
        public var automaticWorkers: Int
        /// Connections that ``DaemonConfiguration/maxConnections`` may allow at most.
        public var largestLimit: Int

        public init(workers: Int, automaticWorkers: Int, largestLimit: Int) {
            self.workers = workers
            self.automaticWorkers = automaticWorkers
            self.largestLimit = largestLimit
        }
    }

    public init(from old: DaemonConfiguration, to new: DaemonConfiguration, settled: Settled) {
        compareDaemon(old, new, settled)
        let oldServices = Dictionary(old.services.map { ($0.name, $0) }) { first, _ in first }
        let newServices = Dictionary(new.services.map { ($0.name, $0) }) { first, _ in first }
        let files = NetworkFiles(old: old.networkFiles, new: new.networkFiles)
        let moves = ListenerMoves(from: old.services, to: new.services)
        for service in old.services where newServices[service.name] == nil {
            compare(service, nil, moves, files)
        }
        for service in new.services { compare(oldServices[service.name], service, moves, files) }
    }

    private mutating func compareDaemon(
        _ old: DaemonConfiguration, _ new: DaemonConfiguration, _ settled: Settled
    ) {
        for (key, before, after) in ConfigurationDiff.differences(old.settings, new.settings) {
            let change = ConfigurationChange(.changed, .daemon, key: key.name, old: before, new: after)
            changes.append(change)
            let waits =
                switch key {
                case ConfigurationKeys.workers: (new.workers ?? settled.automaticWorkers) != settled.workers
                case ConfigurationKeys.maxConnections: new.maxConnections.map { $0 > settled.largestLimit } ?? false
                default: ConfigurationKeys.fixedAtStart.contains(key)
                }
            if waits { needingRestart.append(change) }
        }
        if old.hashKeyFile == new.hashKeyFile, old.hashKey != new.hashKey {
            // The file is the same and what is in it is not. What that is stays out of every text.
            let path = new.hashKeyFile ?? ConfigurationKeys.hashKeyFile.defaultText
            changes.append(
                ConfigurationChange(
                    .changed, .daemon, key: ConfigurationKeys.hashKeyFile.name, old: path,
                    new: path.map { "\($0) (another key)" }))
        }
        noteOrder(
            old.services.map(\.name), new.services.map(\.name),
            ConfigurationChange(.changed, .daemon, key: ConfigurationKeys.service.name))
    }

    /// - Parameters: one of the two is nil where the service is added or removed.
    private mutating func compare(
        _ old: ServiceConfiguration?, _ new: ServiceConfiguration?, _ moves: ListenerMoves, _ files: NetworkFiles
    ) {
        guard let name = new?.name ?? old?.name else { return }
        if old == nil { changes.append(ConfigurationChange(.added, .service, service: name)) }
        if new == nil { changes.append(ConfigurationChange(.removed, .service, service: name)) }
        if let old, let new {
            for (key, before, after) in ConfigurationDiff.differences(old.settings, new.settings) {
                changes.append(
                    ConfigurationChange(.changed, .service, service: name, key: key.name, old: before, new: after))
            }
        }
        if let old, let new { noteFiles(of: name, old.access, new.access, files) }
        noteListeners(moves, service: name, files)
        compareBackends(old?.backends ?? [], new?.backends ?? [], service: name)
        if let old, let new {
            noteOrder(
                old.listeners.map(\.name), new.listeners.map(\.name),
                ConfigurationChange(.changed, .service, service: name, key: ConfigurationKeys.listen.name))
            noteOrder(
                old.backends.map(\.name), new.backends.map(\.name),
                ConfigurationChange(.changed, .service, service: name, key: ConfigurationKeys.backend.name))
        }
    }

    private mutating func noteListeners(_ moves: ListenerMoves, service: String, _ files: NetworkFiles) {
        for listener in moves.removed[service] ?? [] {
            changes.append(ConfigurationChange(.removed, .listener, service: service, name: listener.name))
        }
        for move in moves.moved[service] ?? [] {
            changes.append(
                ConfigurationChange(
                    .changed, .listener, service: service, name: move.listener.name,
                    key: ConfigurationKeys.service.name, old: move.service, new: service))
            noteOptions(move, service: service, files)
        }
        for move in moves.kept[service] ?? [] { noteOptions(move, service: service, files) }
        for listener in moves.added[service] ?? [] {
            changes.append(
                ConfigurationChange(
                    .added, .listener, service: service, name: listener.name,
                    new: listener.settings.count > 1 ? listener.specification : nil))
        }
    }

    /// What of a listener that stays is not as it was.
    private mutating func noteOptions(_ move: ListenerMoves.Move, service: String, _ files: NetworkFiles) {
        noteFiles(of: service, listener: move.listener.name, move.former.access, move.listener.access, files)
        for (key, before, after) in ConfigurationDiff.differences(move.former.settings, move.listener.settings) {
            let change = ConfigurationChange(
                .changed, .listener, service: service, name: move.listener.name, key: key.name, old: before, new: after)
            changes.append(change)
            // Whom a file belongs to only root may change, and it has been given up.
            if [ConfigurationKeys.mode, ConfigurationKeys.listenerOwner, ConfigurationKeys.listenerGroup].contains(key)
            {
                needingRestart.append(change)
            }
        }
    }

    /// The files of networks that were and are; their contents are part of the configuration.
    fileprivate struct NetworkFiles {
        var old: [String: [Prefix]]
        var new: [String: [Prefix]]
    }

    /// Files that an access list names as before, and that hold something else now.
    private mutating func noteFiles(
        of service: String, listener: String? = nil, _ old: AccessConfiguration, _ new: AccessConfiguration,
        _ files: NetworkFiles
    ) {
        for (key, before, after) in [
            (ConfigurationKeys.allow, old.allow, new.allow), (ConfigurationKeys.deny, old.deny, new.deny),
        ] {
            for path in after.files where before.files.contains(path) && files.old[path] != files.new[path] {
                changes.append(
                    ConfigurationChange(
                        .changed, listener == nil ? .service : .listener, service: service, name: listener,
                        key: key.name, old: "@\(path) (\(files.old[path]?.count ?? 0) networks)",
                        new: "@\(path) (\(files.new[path]?.count ?? 0) networks, others than before)"))
            }
        }
    }

    private mutating func compareBackends(
        _ old: [BackendConfiguration], _ new: [BackendConfiguration], service: String
    ) {
        let before = Dictionary(old.map { ($0.name, $0) }) { first, _ in first }
        let after = Set(new.map(\.name))
        for backend in old where !after.contains(backend.name) {
            changes.append(
                ConfigurationChange(
                    .removed, .backend, service: service, name: backend.name, old: backend.specification))
        }
        for backend in new {
            guard let former = before[backend.name] else {
                changes.append(
                    ConfigurationChange(
                        .added, .backend, service: service, name: backend.name, new: backend.specification))
                continue
            }
            guard former != backend else { continue }
            for (key, before, after) in ConfigurationDiff.differences(former.settings, backend.settings) {
                changes.append(
                    ConfigurationChange(
                        .changed, .backend, service: service, name: backend.name, key: key.name, old: before,
                        new: after))
            }
        }
    }

    /// What comes, goes and changes of the backends that templates stand for, from one expansion to another: what stands in
    /// the file is compared as it stands there.
    public static func ofTemplates(
        from old: DaemonConfiguration, to new: DaemonConfiguration
    ) -> [ConfigurationChange] {
        guard old.hasNames || new.hasNames || old.hasExpanded || new.hasExpanded else { return [] }
        let before = Dictionary(old.services.map { ($0.name, $0) }) { first, _ in first }
        var found = ConfigurationDiff()
        for service in new.services {
            found.compareBackends(
                before[service.name]?.backends.filter { $0.template != nil } ?? [],
                service.backends.filter { $0.template != nil }, service: service.name)
        }
        return found.changes
    }

    private init() {}

    /// An order decides nothing but what is shown first; yet the text of the configuration has it, and so has its hash.
    private mutating func noteOrder(_ old: [String], _ new: [String], _ pattern: ConfigurationChange) {
        // Ports that the kernel chooses look alike, so names may repeat.
        let (before, after) = (Set(old), Set(new))
        var seen: (Set<String>, Set<String>) = ([], [])
        let kept = old.filter { after.contains($0) && seen.0.insert($0).inserted }
        guard kept != new.filter({ before.contains($0) && seen.1.insert($0).inserted }) else { return }
        var change = pattern
        change.old = old.joined(separator: ", ")
        change.new = new.joined(separator: ", ")
        changes.append(change)
    }

    /// The settings that differ, in the order of the registry; one that is not written is shown by its default.
    private static func differences(
        _ old: [Setting], _ new: [Setting]
    ) -> [(key: ConfigurationKey, old: String?, new: String?)] {
        let before = Dictionary(old.map { ($0.key.name, $0) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.key.name, $0) }) { first, _ in first }
        return ConfigurationKeys.all.compactMap { key in
            guard let one = before[key.name] ?? after[key.name], one.key == key else { return nil }
            let values = (before[key.name], after[key.name])
            let shown = (values.0?.value ?? key.defaultText, values.1?.value ?? key.defaultText)
            // What is not written for want of a meaning is no change from its default.
            guard values.0 != values.1, shown.0 != shown.1 else { return nil }
            return (key, shown.0, shown.1)
        }
    }
}

extension BackendConfiguration {
    /// As `--backend` takes it: `192.0.2.1:80,weight=2`.
    var specification: String {
        address.description + (weight == 1 ? "" : ",\(ConfigurationKeys.weight.name)=\(weight)")
            + (maxConnections.map { ",\(ConfigurationKeys.backendMaxConnections.name)=\($0)" } ?? "")
            + (isBackup ? ",\(ConfigurationKeys.backup.name)" : "")
    }
}
