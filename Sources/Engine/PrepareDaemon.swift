import CContinuity
import CLayout
public import Configuration
import Continuity
import Control
public import Forwarding
import Glibc
import Linux
public import Logging
import Observability

/// A daemon that an engine can be started for: everything has been opened and named in the region.
public struct PreparedDaemon: Sendable {
    public let region: SharedRegion
    public let log: Logger
    /// Descriptors that the daemon may have open at once.
    public let descriptors: Int
    /// What the keeper has read of the active configuration, for the engines that it starts.
    public let knowledge: KeptKnowledge

    /// - Parameter region: complete, with its document.
    init(region: SharedRegion, descriptors: Int) {
        self.region = region
        self.descriptors = descriptors
        log = Log.make(in: region)
        knowledge = KeptKnowledge(region)
    }

    private var socket: ControlSocket? {
        knowledge.read().map { known in
            ControlSocket(adopting: region.continuity.pointee.control, file: known.active.control)
        }
    }

    /// Takes away what a daemon must not leave behind. For the keeper, at the end.
    public func removeFiles() {
        region.removeListenerFiles()
        guard let socket else { return }
        RestartNote.leave(nil, beside: socket.path)
        socket.remove()
    }

    /// Tells those who ask the control socket why nobody answers; nil: somebody does again.
    public func noteRestart(_ text: String?) {
        guard let socket else { return }
        RestartNote.leave(text, beside: socket.path)
    }
}

/// Does all that needs the rights, the environment or the working directory of whoever started the daemon: binds, opens,
/// locks, drops privileges, and writes down in the shared region what an engine has to know.
///
/// For the keeper: nothing here starts a thread. Call it on the process's only thread: ids, capabilities and the signal
/// mask belong to a thread and are inherited by those that are started here.
public func prepareDaemon(_ request: EngineRequest) throws(StartError) -> PreparedDaemon {
    let configuration = request.configuration
    let log = Log.make(configuration)
    do throws(StartError) {
        return try DaemonPreparation(request: request, log: log).prepare()
    } catch {
        log.critical("\(error)")
        tellServiceManager("\(error)")
        throw error
    }
}

/// For `systemctl status`, where a service manager waits for a daemon that will not come.
private func tellServiceManager(_ text: String) {
    guard let manager = ServiceManager.own, let socket = ServiceManager.openSocket() else { return }
    manager.tell("STATUS=\(text)", by: socket)
    Descriptor.close(socket)
}

/// The daemon of a region that another image has handed down: all is there, and only has to be found again. Nothing is read
/// yet: clients wait, and the engine reads while the guard ends.
public func findDaemon(_ region: SharedRegion) -> PreparedDaemon {
    limpet_sandbox_keeper(region.header)
    return PreparedDaemon(region: region, descriptors: min(Descriptor.raiseLimit(), DescriptorBudget.most))
}

/// The log as it is configured.
enum Log {
    /// For what comes before there is a region.
    static func make(_ configuration: DaemonConfiguration) -> Logger {
        make(LogSettings(level: level(configuration), format: format(configuration)))
    }

    /// Written as the region says at each line, for the keeper and the engine alike.
    static func make(in region: SharedRegion) -> Logger { make(settings(region)) }

    /// Makes the log be written as a configuration says, by whoever writes it.
    /// - Parameter keepsLevel: leaves the level that an operator has set, if one has.
    static func configure(_ configuration: DaemonConfiguration, in region: SharedRegion, keepsLevel: Bool = false) {
        let isSet = keepsLevel && limpet_load8(&region.continuity.pointee.log_set) != 0
        if !isSet { limpet_store8(&region.continuity.pointee.log_set, 0) }
        settings(region).set(
            level: isSet ? level(in: region) : level(configuration), format: format(configuration))
        let access =
            switch configuration.accessLog {
            case .off: LIMPET_ACCESS_OFF
            case .end: LIMPET_ACCESS_ENDS
            case .both: LIMPET_ACCESS_BOTH
            }
        limpet_store8(&region.logState.pointee.access, UInt8(access))
    }

    /// The level that is in force.
    static func level(in region: SharedRegion) -> Logger.Level {
        let index = Int(limpet_load8(limpet_log_level(region.continuity)))
        return index < Logger.Level.allCases.count ? Logger.Level.allCases[index] : .info
    }

    /// An operator sets the level.
    /// - Parameter isConfigured: it is the one of the configuration, which will take care of it from now on.
    static func setLevel(_ level: Logger.Level, isConfigured: Bool, in region: SharedRegion) {
        limpet_store8(&region.continuity.pointee.log_set, isConfigured ? 0 : 1)
        limpet_order()
        limpet_store8(limpet_log_level(region.continuity), UInt8(Logger.Level.allCases.firstIndex(of: level) ?? 2))
    }

    private static func make(_ settings: LogSettings) -> Logger {
        Logger(label: "limpetd") { _ in StandardErrorLog(settings) }
    }

    static func settings(_ region: SharedRegion) -> LogSettings {
        LogSettings(
            level: limpet_log_level(region.continuity), format: limpet_log_format(region.continuity))
    }

    private static func level(_ configuration: DaemonConfiguration) -> Logger.Level {
        Logger.Level(rawValue: configuration.logLevel.rawValue) ?? .info
    }

    private static func format(_ configuration: DaemonConfiguration) -> StandardErrorLog.Format {
        configuration.logFormat == .json ? .json : .text
    }
}

/// The descriptor budget that a configuration would get here, for `--check`: the connections that would be admitted, and
/// the line that says so; or why it cannot be met.
public func descriptorBudget(
    of configuration: DaemonConfiguration
) throws(StartError) -> (connections: Int, summary: String) {
    try DaemonPreparation.checkCounts(configuration)
    let budget = DaemonPreparation.budget(configuration)
    let admitted = try budget.admitted(wanted: configuration.maxConnections)
    return (admitted, budget.summary(admitted: admitted))
}

/// What the configuration asks of this machine's network and is not there, for `--check`. For another user than root what
/// only a privileged daemon can do is among it: who will start it cannot be told.
public func networkWarnings(of configuration: DaemonConfiguration) -> [String] {
    let problem = Account.effectiveUID == 0 ? nil : SourceNeeds.problem(configuration)
    return (problem.map { ["started by this user it would not start: \($0)"] } ?? [])
        + SourceNeeds.warnings(configuration)
}

/// Why a start would fail for want of a user or group, for `--check`; nil: it would not, or it is about the user to become
/// and we are not root and cannot tell who will start it.
public func identityProblem(of configuration: DaemonConfiguration) -> String? {
    do throws(StartError) {
        _ = try ControlGroups(configuration)
    } catch {
        return error.description
    }
    guard Account.effectiveUID == 0 else { return nil }
    if let problem = SourceNeeds.problem(configuration) { return problem }
    do throws(StartError) {
        _ = try Identity.resolve(user: configuration.user, group: configuration.group)
        return nil
    } catch {
        return error.description
    }
}

/// The steps of ``prepareDaemon(_:)``.
struct DaemonPreparation {
    let request: EngineRequest
    let log: Logger

    static func budget(_ configuration: DaemonConfiguration) -> DescriptorBudget {
        DescriptorBudget(
            limit: Descriptor.raiseLimit(), workers: workers(configuration),
            listeners: configuration.services.reduce(0) { $0 + $1.listeners.count },
            checks: configuration.checksAtOnce + configuration.nameDescriptors, web: configuration.webDescriptors)
    }

    private static func workers(_ configuration: DaemonConfiguration) -> Int {
        configuration.workers ?? automaticWorkers
    }

    /// One for each processor that the daemon may use.
    static var automaticWorkers: Int { min(64, Threads.usableProcessors) }

    /// Slots of the shared region are numbered and their number is fixed: what a configuration may name has a limit.
    static func checkCounts(_ configuration: DaemonConfiguration) throws(StartError) {
        let count = configuration.services.reduce(0) { $0 + $1.backends.count }
        guard count <= SharedRegion.maximumBackends else {
            throw StartError(
                "\(count) backends are configured, and one limpetd takes \(SharedRegion.maximumBackends); divide them among"
                    + " several")
        }
    }

    func prepare() throws(StartError) -> PreparedDaemon {
        let configuration = request.configuration
        try DaemonPreparation.checkCounts(configuration)
        try InterfaceCheck.zones(configuration)
        let budget = DaemonPreparation.budget(configuration)
        let limit = try budget.admitted(wanted: configuration.maxConnections)

        // Before anything is bound, which would fail for a reason that says less.
        if let problem = SourceNeeds.problem(configuration) { throw StartError(problem) }
        // As the user that started us: whom to become, the files, the addresses.
        let identity = try Identity.resolve(user: configuration.user, group: configuration.group)
        let groups = try ControlGroups(configuration)
        if case .root = identity {
            log.warning("staying root, as asked: name an ordinary user with --user where that is possible")
        }
        let controlPath = try Paths.control(configuration.controlPath)
        let state = try StateDirectory(path: try Paths.state(configuration.stateDirectory), owner: identity.owner)
        let region: SharedRegion
        do throws(SystemError) {
            // Records for all that the descriptors allow: those that are not used cost nothing, and a reload may raise the
            // limit that far.
            region = try SharedRegion(
                workers: DaemonPreparation.workers(configuration), records: budget.connections, limit: limit)
        } catch {
            throw StartError("\(error)")
        }
        region.continuity.pointee.lock = state.lock.descriptor
        region.continuity.pointee.executable = Executable.openOwn() ?? -1
        region.process.pointee.oom_adjustment = OOMScore.open() ?? -1
        let slots = try SlotAssigner.assign(configuration, after: nil, SlotTables(), limits: SlotLimits(region))
        var inherited = try InheritedSockets.claim()
        var isPrepared = false
        defer { if !isPrepared { region.removeListenerFiles() } }
        try ListenerSet.bind(
            slots.opened, of: configuration.services, in: region, inherited: &inherited, owner: identity.owner)
        try inherited.checkAllTaken()
        if let owner = identity.owner { ListenerSet(region).give(to: owner) }
        if let metrics = configuration.metrics { region.continuity.pointee.metrics = try WebListener.bind(metrics) }
        let socket: ControlSocket
        do throws(ControlSocketError) {
            socket = try ControlSocket.prepare(path: controlPath, owner: identity.owner)
        } catch {
            throw StartError("\(error)")
        }
        region.continuity.pointee.control = socket.descriptor
        do throws(StartError) {
            let problems = try groups.admit(at: socket, user: identity.owner?.user ?? Account.effectiveUID)
            for line in problems { log.warning("\(line)") }
        } catch {
            socket.remove()
            throw error
        }

        // As the user that we are from here on.
        let program = ActiveConfiguration.Program(path: Executable.ownPath, startedBy: Account.effectiveUID)
        do throws(StartError) {
            if let problem = try identity.assume(keeping: Identity.capabilities(of: configuration)) {
                log.warning("\(problem)")
            }
            NeededCapabilities(region).note(Identity.capabilities(of: configuration))
            protect()
            if let problem = SourceNeeds.problem(configuration) { throw StartError(problem) }
            for line in SourceNeeds.warnings(configuration) { log.warning("\(line)") }
            try checkReadable()
            log.info("\(Identity.summary)")
            log.info("\(budget.summary(admitted: limit))")
            try publish(region, slots.tables, socket, groups, stateDirectory: state.path, program)
            Log.configure(configuration, in: region)
            let daemon = PreparedDaemon(region: region, descriptors: budget.limit)
            daemon.knowledge.read()
            // Last: from here on the process has less than it had.
            SandboxState(region).begin(
                configuration, startedBy: program.startedBy, control: socket.path, state: state.path)
            isPrepared = true
            return daemon
        } catch {
            socket.remove()
            throw error
        }
    }

    /// From here on nobody looks into this process, unless it was started to be looked into, and what it makes is its own.
    private func protect() {
        ProcessProtection.keepFilesPrivate()
        if request.configuration.sandbox == .off { return }
        if let error = ProcessProtection.forbidCoreFiles() { log.warning("cannot forbid core files: \(error)") }
        if let error = ProcessProtection.setDumpable(false) {
            log.warning("cannot keep others from looking into the process: \(error)")
        }
    }

    /// What a reload would read must be readable by the user that will read it; better to fail now than then.
    private func checkReadable() throws(StartError) {
        let paths = [request.configurationPath, request.configuration.hashKeyFile].compactMap { $0 }
        for path in paths + request.configuration.networkFiles.keys.sorted() {
            if let error = FileAccess.checkReadable(path) {
                throw StartError(
                    "\(path) cannot be read by user \(Account.numbered(Account.effectiveUID)?.name ?? "limpetd"): \(error);"
                        + " give it to that user's group and make it readable (chgrp, chmod g+r)")
            }
        }
    }

    /// The first state of the backends, and the document.
    private func publish(
        _ region: SharedRegion, _ slots: SlotTables, _ socket: ControlSocket, _ groups: ControlGroups,
        stateDirectory: String, _ program: ActiveConfiguration.Program
    ) throws(StartError) {
        try Topology(request.configuration, slots) { _, configured in Double(configured) }.settle(
            in: region, removedDeadline: nil)
        let document: SharedDocument
        do throws(SystemError) {
            document = try SharedDocument.create(in: region)
        } catch {
            throw StartError("\(error)")
        }
        try ActiveConfiguration(
            request.configuration, path: request.configurationPath, flags: request.flags, slots: slots,
            control: socket.file, controlGroups: groups, stateDirectory: stateDirectory,
            user: Account.numbered(Account.effectiveUID)?.name ?? "\(Account.effectiveUID)",
            program: program
        ).publish(in: document)
    }
}
