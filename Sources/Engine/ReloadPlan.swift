import Addressing
import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux

/// A reload, found possible and not made yet: what will be, with its new listeners bound and named in the region.
struct ReloadPlan: Sendable {
    let configuration: DaemonConfiguration
    let changes: [ConfigurationChange]
    /// nil: nothing changes.
    let change: Change?
    let report: ReloadReport

    struct Change: Sendable {
        let assignment: SlotAssignment
        let names: NameFacts
        let budget: DescriptorBudget
        /// Connections that are admitted.
        let limit: Int
        /// Listeners that were bound for it; none in a dry run.
        let bound: [ListenerSet.Bound]
        let web: Web
        /// Who is let in at the control socket from then on.
        let groups: ControlGroups

        /// What becomes of the socket of the metrics.
        enum Web: Sendable {
            case kept
            /// By another that listens already; nil: by none.
            case replaced(Int32?)
        }
    }
}

/// What a reload is for.
enum ReloadPurpose: Sendable {
    /// The file, or the flags, are read again.
    case file
    /// The same, and it is only said what would be.
    case dryRun
    /// The configuration stays, and the names in it stand for others.
    case names
}

/// Finds out what a reload would do: reads, checks, compares, binds. Takes as long as the files and the number of
/// connections make it, so it has a thread of its own; nothing that is in force is changed by it.
struct ReloadPreparation: Sendable {
    let purpose: ReloadPurpose
    let active: EngineRequest
    let topology: Topology
    let region: SharedRegion
    let budget: DescriptorBudget
    /// For the errors: whose rights the file is read with.
    let userName: String
    /// The control socket, and whom it lets in.
    let socket: ControlSocket?
    let groups: ControlGroups
    /// What is known of names.
    let facts: NameFacts
    let resolver: LazyResolver

    private var isDryRun: Bool { purpose == .dryRun }

    func prepare(
        _ reading: inout ConfigurationLoader.FileReading?
    ) throws(ControlError) -> ReloadPlan {
        var loaded = LoadedConfiguration(configuration: active.configuration, warnings: [])
        var facts = facts
        if purpose != .names {
            loaded = try load(&reading)
            loaded.warnings += learn(&facts, loaded.configuration)
        }
        do throws(StartError) {
            return try plan(loaded.configuration, facts.wanted(by: loaded.configuration), loaded.warnings)
        } catch {
            throw ControlError(.refused, "\(error); nothing has changed")
        }
    }

    /// Reads the file again, or without one the flags.
    private func load(
        _ reading: inout ConfigurationLoader.FileReading?
    ) throws(ControlError) -> LoadedConfiguration {
        do throws(ConfigurationFailure) {
            return try ConfigurationLoader.load(
                path: active.configurationPath, flags: active.flags, reading: &reading)
        } catch {
            throw ControlError(
                .invalidConfiguration,
                lines: error.errors.map { error in
                    // At the start it may have been root who read it.
                    error.problem.hasPrefix("cannot be read")
                        ? "\(error) (as user \(userName), whom limpetd runs as)" : "\(error)"
                })
        }
    }

    /// The longest that a reload waits for names that are new to it.
    static let longestWait = Duration.seconds(5)

    /// Asks for the names of which nothing is known, so that the backends are there when the reload is done.
    /// - Returns: what could not be found out, and what is left out.
    private func learn(_ facts: inout NameFacts, _ new: DaemonConfiguration) -> [String] {
        guard new.hasNames else { return [] }
        do throws(SystemError) {
            var round = NameRound(try resolver.get(), knowing: facts)
            round.ask(new, within: ReloadPreparation.longestWait)
            facts = round.facts
            return round.problems
        } catch {
            return ["names cannot be asked for: \(error)"]
        }
    }

    private func plan(
        _ new: DaemonConfiguration, _ names: NameFacts, _ warnings: [String]
    ) throws(StartError) -> ReloadPlan {
        let former = NameExpansion(active.configuration, topology.names)
        let expansion = NameExpansion(new, names)
        let warnings = warnings + expansion.omissions + SourceNeeds.warnings(new)
        try DaemonPreparation.checkCounts(expansion.configuration)
        try InterfaceCheck.zones(new)
        let budget = DescriptorBudget(
            limit: budget.limit, workers: region.workerCount,
            listeners: new.services.reduce(0) { $0 + $1.listeners.count },
            checks: new.checksAtOnce + new.nameDescriptors,
            web: new.webDescriptors)
        let largest = min(region.recordsPerWorker, budget.connections)
        let diff = ConfigurationDiff(
            from: active.configuration, to: new,
            settled: ConfigurationDiff.Settled(
                workers: region.workerCount, automaticWorkers: DaemonPreparation.automaticWorkers,
                largestLimit: largest))
        if let refusal = refusal(diff.needingRestart, largest) { throw refusal }
        let changes =
            diff.changes + ConfigurationDiff.ofTemplates(from: former.configuration, to: expansion.configuration)
        guard !diff.isEmpty || names != topology.names else {
            let report = report(new, [], nil, [], warnings)
            return ReloadPlan(configuration: new, changes: [], change: nil, report: report)
        }
        let assignment = try SlotAssigner.assign(
            expansion.configuration, after: former.configuration, topology.tables, limits: SlotLimits(region),
            bound: region.boundListeners(topology.tables), idle: { IdleSlots(topology.tables, region) })
        let next = try Topology(
            new, assignment.tables, names: names, after: topology, weight: region.effectiveWeight)
        try checkBuffers(new)
        if let problem = SourceNeeds.reloadProblem(new) { throw StartError(problem) }
        try SandboxState(region).check(new)
        let listeners = ListenerSet(region).listeners
        for listener in listeners where region.isInherited(listener: listener.slot) {
            guard let configuration = next.configuration(ofListener: listener.slot) else { continue }
            try ListenerSet.checkPassed(listener.address, configuration)
        }
        let own = listeners.map(\.configuration)
        let count = HomeCount(ConnectionTable(region: region), from: topology, to: next)
        let (groups, groupProblems) = try prepareGroups(new)
        let web: ReloadPlan.Change.Web
        do throws(StartError) {
            web = try prepareWeb(new)
        } catch {
            keepGroups()
            throw error
        }
        let plans = isDryRun ? ServicePlanner(region: region, topology: topology).plans(for: next) : []
        let further = warningsOfPassedSockets(assignment.tables)
        let bound: [ListenerSet.Bound]
        do throws(StartError) {
            bound = try bindListeners(assignment, new, besides: own)
        } catch {
            if case .replaced(let socket?) = web { Descriptor.close(socket) }
            keepGroups()
            throw error
        }
        if isDryRun { keepGroups() }
        return ReloadPlan(
            configuration: new, changes: changes,
            change: ReloadPlan.Change(
                assignment: assignment, names: names, budget: budget,
                limit: min(new.maxConnections ?? largest, largest),
                bound: bound, web: web, groups: groups),
            report: report(new, changes, count, plans, warnings + further + groupProblems))
    }

    /// Looks up who is to be let in at the control socket, and sees that they can be.
    private func prepareGroups(_ new: DaemonConfiguration) throws(StartError) -> (ControlGroups, problems: [String]) {
        guard purpose != .names else { return (groups, []) }
        let wanted = try ControlGroups(new)
        guard wanted != groups, let socket else { return (wanted, []) }
        return (wanted, try wanted.tryToAdmit(besides: groups, at: socket, user: Account.effectiveUID))
    }

    /// Undoes that.
    private func keepGroups() {
        guard purpose != .names, let socket else { return }
        _ = try? groups.admit(at: socket, user: Account.effectiveUID)
    }

    private func bindListeners(
        _ assignment: SlotAssignment, _ new: DaemonConfiguration, besides own: [ListenerConfiguration]
    ) throws(StartError) -> [ListenerSet.Bound] {
        guard isDryRun else {
            // What was passed at the start has been taken then.
            var none = InheritedSockets()
            return try ListenerSet.bind(
                assignment.opened, of: new.services, in: region, besides: own, inherited: &none)
        }
        try ListenerSet.checkBinding(assignment.opened, besides: own)
        return []
    }

    /// Only our descriptors of a passed socket can be closed.
    private func warningsOfPassedSockets(_ next: SlotTables) -> [String] {
        topology.tables.listeners.enumerated().compactMap { slot, entry in
            guard entry.use == .live, next.listeners[slot].use == .retired, region.isInherited(listener: slot) else {
                return nil
            }
            return "listen \(entry.address): as long as whoever has passed this socket keeps it open, clients can"
                + " connect there, and wait for nobody: stop its socket unit (systemctl stop)"
        }
    }

    private func prepareWeb(_ new: DaemonConfiguration) throws(StartError) -> ReloadPlan.Change.Web {
        guard !WebListener.fits(new.metrics, in: region) else { return .kept }
        guard let address = new.metrics else { return .replaced(nil) }
        return .replaced(try WebListener.prepare(address, isDryRun: isDryRun, in: region))
    }

    /// Names what has to wait for a restart; nil: nothing has.
    private func refusal(_ changes: [ConfigurationChange], _ largest: Int) -> StartError? {
        guard !changes.isEmpty else { return nil }
        let texts = changes.map { change in
            let key = change.key ?? ""
            let why =
                key == ConfigurationKeys.maxConnections.name
                ? " (at most \(largest) with the descriptors and the memory that it was started with)" : ""
            return "\(key) from \(change.old ?? "none") to \(change.new ?? "none")\(why)"
        }
        return StartError("a reload cannot change \(texts.joined(separator: ", nor ")): restart limpetd for that")
    }

    /// A kernel before Linux 5.16 keeps the size of a listener's buffers once one was set.
    private func checkBuffers(_ new: DaemonConfiguration) throws(StartError) {
        for service in new.services {
            guard let old = active.configuration.services.first(where: { $0.name == service.name }),
                let listener = ListenerSet(region).listeners.first
            else { continue }
            let frees = [
                (ConfigurationKeys.receiveBuffer, old.receiveBuffer, service.receiveBuffer),
                (ConfigurationKeys.sendBuffer, old.sendBuffer, service.sendBuffer),
            ].filter { $0.1 != nil && $0.2 == nil }
            guard let key = frees.first?.0, !SocketOptions.canFreeBuffers(of: listener.descriptors[0]) else { continue }
            throw StartError(
                "service \(service.name): this kernel cannot change \(key.name) back to auto while limpetd listens (Linux"
                    + " 5.16 can): restart limpetd for that")
        }
    }

    private func report(
        _ new: DaemonConfiguration, _ changes: [ConfigurationChange], _ count: HomeCount?,
        _ plans: [ServicePlan], _ warnings: [String]
    ) -> ReloadReport {
        ReloadReport(
            dryRun: isDryRun, configHash: new.configHash, changes: changes.map(ReloadReport.Change.init),
            homes: count?.homes ?? [], plans: plans, removedConnections: count?.removedConnections ?? 0,
            removedDeadlineSeconds: new.removedDeadline.map { Double($0.nanoseconds) / 1e9 }, warnings: warnings)
    }
}

extension ReloadReport.Change {
    fileprivate init(_ change: ConfigurationChange) {
        let kind: Kind =
            switch change.kind {
            case .added: .added
            case .removed: .removed
            case .changed: .changed
            }
        let object: Object =
            switch change.subject {
            case .daemon: .daemon
            case .service: .service
            case .listener: .listener
            case .backend: .backend
            }
        self.init(
            change: kind, object: object, service: change.service, name: change.name, key: change.key, old: change.old,
            new: change.new)
    }
}

extension IdleSlots {
    /// Found by looking at every connection, and then at what has ended and was not told of yet: an end is in the ring of
    /// the access log before its record is free.
    init(_ tables: SlotTables, _ region: SharedRegion) {
        self.init()
        services = Set(tables.services.indices.filter { tables.services[$0].use == .retired })
        backends = Set(tables.backends.indices.filter { tables.backends[$0].use == .retired })
        listeners = tables.goneListeners
        var busyServices: Set<Int> = []
        ConnectionTable(region: region).visit { snapshot in
            busyServices.insert(Int(snapshot.record.service))
            remove(snapshot.record.backend, snapshot.record.home, snapshot.record.listener)
        }
        for worker in 0..<region.workerCount {
            let ring = region.accessRing(worker)
            let head = limpet_load64_ordered(&ring.pointee.head)
            let tail = limpet_load64(&ring.pointee.tail)
            // What a damaged counter says is not believed; who writes the log does not write that either.
            guard head &- tail <= UInt64(LIMPET_ACCESS_ENTRIES) else { continue }
            for number in tail..<head {
                let entry = limpet_entry(ring, number).pointee
                busyServices.insert(Int(entry.service))
                remove(entry.backend, entry.home, entry.listener)
            }
        }
        services.subtract(busyServices)
        // A connection of a removed service that is still being dialled may yet go to any backend of it.
        let busyNames = Set(busyServices.filter { $0 < tables.services.count }.map { tables.services[$0].name })
        backends = backends.filter { slot in
            let service = tables.services.first { $0.name == tables.backends[slot].service }
            return service?.use != .retired || !busyNames.contains(tables.backends[slot].service)
        }
    }

    /// - Parameter home: workers find out one after the other that it is another by now.
    private mutating func remove(_ backend: UInt16, _ home: UInt16, _ listener: UInt16) {
        backends.remove(Int(backend))
        backends.remove(Int(home))
        listeners.remove(Int(listener))
    }
}
