import Backends
import CContinuity
import CLayout
import Configuration
import Continuity
import Control
public import Forwarding
import Glibc
import Linux
import Logging
import NIOCore
import NIOPosix
import Names
import Observability

/// The engine's work, from the shared region and its document alone: the same for the first start, after a death, and
/// after an upgrade. Blocks until the engine is to end.
///
/// Call it on a thread that a cloned engine has started afresh (process.h), never in the keeper: it starts NIO.
/// - Parameter known: what the keeper has read of it; nil: nothing yet.
/// - Returns: the exit status. Where that is the end of the daemon, `ending` says so in the region.
public func runEngine(_ region: SharedRegion, known: KnownConfiguration?) -> Int32 {
    limpet_fault_prepare(region.header)
    limpet_fault_thread(-1)
    limpet_inject_prepare(region.continuity.pointee.generation)
    let status: Int32
    do throws(StartError) {
        var run = try EngineRun(region, known)
        try run.run()
        status = 0
    } catch {
        // Once it has served there are connections to go on with: the keeper tries again.
        if region.continuity.pointee.resumed != 0 { return error.exitStatus }
        status = error.exitStatus
    }
    region.continuity.pointee.exit_status = status
    limpet_publish32(&region.continuity.pointee.ending, 1)
    return status
}

/// One run of an engine, from the region to the end.
private struct EngineRun {
    private let region: SharedRegion
    private var active: ActiveConfiguration
    private let resolver = LazyResolver()
    private let request: EngineRequest
    private let log: Logger

    init(_ region: SharedRegion, _ known: KnownConfiguration?) throws(StartError) {
        self.region = region
        log = Log.make(in: region)
        do throws(StartError) {
            let current = try KnownConfiguration(region, known: known)
            active = current.active
            request = EngineRequest(
                configuration: current.configuration, configurationPath: active.path, flags: active.flags)
        } catch {
            log.critical("\(error)")
            throw error
        }
        Log.configure(request.configuration, in: region, keepsLevel: true)
        // A death in the middle of a reload leaves the needs of both.
        NeededCapabilities(region).note(Identity.capabilities(of: request.configuration))
    }

    mutating func run() throws(StartError) {
        do throws(StartError) {
            try serve()
        } catch {
            log.critical("\(error)")
            throw error
        }
    }

    private mutating func serve() throws(StartError) {
        let continuity = region.continuity
        // What has been read so far was read while it ended; from here on descriptors are opened and closed.
        limpet_await_guard(continuity)
        Rehearsal.pass(.starting, region)
        let isFirst = continuity.pointee.resumed == 0
        let isUpgrade = limpet_load32(&continuity.pointee.upgrade.state) == UInt32(LIMPET_UPGRADE_STARTED)
        // Before anything is opened: what nothing names is what the engine before had for itself alone.
        var accepted = OrphanSweep.run(region)
        if isFirst { try learnNames() }
        let facts = active.facts
        let named = try Topology(
            request.configuration, active.slots, names: facts, weight: region.effectiveWeight)
        named.settle(in: region, removedDeadline: request.configuration.removedDeadline)
        accepted += named.exchangeListeners(in: region, log)
        let listeners = ListenerSet(region)
        if region.continuity.pointee.options_due != 0 {
            listeners.setOptions(of: request.configuration.services, tables: active.slots, unlessAsIn: nil)
            listeners.setInterception(named, in: region, log)
            limpet_store8(&region.continuity.pointee.options_due, 0)
        }
        WebListener.settle(request.configuration.metrics, in: region, log: log)
        let budget = DescriptorBudget(
            limit: Descriptor.raiseLimit(), workers: region.workerCount, listeners: listeners.listeners.count,
            checks: request.configuration.checksAtOnce + request.configuration.nameDescriptors,
            web: request.configuration.webDescriptors)
        // As the reload does it that a death may have cut short.
        let largest = min(region.recordsPerWorker, budget.connections)
        limpet_store64(
            &region.header.pointee.limit, UInt64(min(request.configuration.maxConnections ?? largest, largest)))
        let socket = ControlSocket(adopting: continuity.pointee.control, file: active.control)
        let statePath = IntentRestore.path(in: active.stateDirectory)
        IntentRestore(path: statePath, log: log).run(named, region)
        let topology = try Topology(
            request.configuration, active.slots, names: facts, after: named, weight: region.effectiveWeight)
        let logThread: LogThread
        do throws(SystemError) {
            logThread = try LogThread(region, topology, log)
            try logThread.start()
        } catch {
            throw StartError("\(error)")
        }
        if isFirst || isUpgrade { SandboxState(region).announce(log) }
        // Clients first: the control plane is started once they are served, and then asked to look at the board.
        let readBoard = LateCall()
        let board = IncidentBoard(notify: { readBoard() })
        let events = EventHub(in: region)
        // At the first start there are no clients to wait for it, and they come when it is known which backends are well.
        let early = isFirst ? startChecks(topology, events) : nil
        early?.waitForFirstRound()
        let tally = Tally(backendSlots: region.backendSlots)
        let workers = try startWorkers(topology, accepted, board, tally, budget, logThread.wakeUp)

        let health = early ?? startChecks(topology, events)
        let eventLoop = health.eventLoop
        let incidents = IncidentLog(topology: topology, events: events, log: log, eventLoop: eventLoop)
        let intents = IntentKeeper(
            writer: IntentWriter(path: statePath), eventLoop: eventLoop, log: log, userName: active.user)
        do throws(SystemError) {
            try intents.start()
        } catch {
            throw StartError("\(error)")
        }

        let ending = Completion()
        let controller = Controller(
            active: active, request: request, topology: topology, region: region, workers: workers,
            tally: tally, listeners: listeners, budget: budget, incidents: incidents, health: health,
            resolver: resolver, intents: intents, logThread: logThread, userName: active.user, eventLoop: eventLoop,
            log: log,
            finished: { ending.complete() })
        try? eventLoop.submit { controller.begin() }.wait()
        let read: @Sendable () -> Void = { eventLoop.execute { controller.take(board.takeAll()) } }
        readBoard.set(read)
        read()
        let server = try ControlService(controller, socket, eventLoop, version: runningVersion)
        try? eventLoop.submit { controller.serveWeb() }.wait()
        eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [region] _ in
            limpet_bump64(&region.continuity.pointee.control_heartbeat, 1)
            controller.noteStates()
            controller.noteDescriptors()
            controller.noteLinks()
            controller.noteClosings()
            controller.notePassives()
            controller.noteRemoved()
            controller.noteSandbox()
            controller.notePorts()
            controller.noteService()
            workers.postToAll(.probe(sent: Clock.now()))
        }
        try takeSignals { number in eventLoop.execute { controller.signalled(number) } }
        Rehearsal.tryForbidden(region)
        Rehearsal.pass(.serving, region)
        // What there is to say of an upgrade has been said.
        if !isUpgrade { announce(isFirst, topology, listeners, socket) }
        eventLoop.execute { controller.tellReady() }

        ending.wait()
        workers.postToAll(.stop)
        workers.join()
        server.stop()
        try? eventLoop.flatSubmit { controller.stopWeb() }.wait()
        intents.finish(within: .seconds(5))
        logThread.finish()
        log.notice("ended")
    }

    /// At the first start: asks for the names of the backends, and puts what they stand for into the document. What is not
    /// answered in time comes later.
    private mutating func learnNames() throws(StartError) {
        let configuration = request.configuration
        guard configuration.hasNames else { return }
        let resolver: NameResolver
        do throws(SystemError) {
            resolver = try self.resolver.get()
        } catch {
            throw StartError("\(error)")
        }
        var round = NameRound(resolver, knowing: active.facts)
        round.ask(configuration, within: NameRound.longestAtStart)
        let facts = round.facts.wanted(by: configuration)
        let expansion = NameExpansion(configuration, facts)
        for text in expansion.omissions { log.warning("names: \(text)") }
        do throws(StartError) {
            try DaemonPreparation.checkCounts(expansion.configuration)
            let assignment = try SlotAssigner.assign(
                expansion.configuration, after: configuration, active.slots, limits: SlotLimits(region),
                bound: region.boundListeners(active.slots))
            var document = active
            document.take(
                configuration, assignment.tables, facts, document.controlGroups ?? ControlGroups())
            try document.publish(in: SharedDocument(region: region))
            active = document
        } catch {
            // It goes on without: the backends come once it is possible.
            log.error("the backends cannot follow the name servers: \(error)")
        }
    }

    /// Starts the control event loop, and the checks on it.
    private func startChecks(_ topology: Topology, _ events: EventHub) -> HealthKeeper {
        let keeper = HealthKeeper(
            topology: topology, region: region, events: events, group: MultiThreadedEventLoopGroup(numberOfThreads: 1),
            log: log)
        keeper.eventLoop.execute {
            limpet_fault_thread(-1)
            keeper.begin()
        }
        return keeper
    }

    /// Starts the workers.
    /// - Returns: when they have recovered what an engine before has left, and serve.
    private func startWorkers(
        _ topology: Topology, _ accepted: [AcceptedSocket], _ board: IncidentBoard, _ tally: Tally,
        _ budget: DescriptorBudget, _ logWakeUp: WakeUp
    ) throws(StartError) -> WorkerPool {
        let serving = Completion()
        do throws(SystemError) {
            let workers = try WorkerPool(
                region: region, table: topology.forwardingTable(), accepted: accepted, tally: tally,
                maximumPipes: max(4, budget.pipeCap / region.workerCount), incidents: board,
                logWakeUp: logWakeUp,
                whenServing: { [region] in
                    region.continuity.pointee.resumed = Clock.now()
                    RollBack.noteServing(region)
                    limpet_publish32(&region.continuity.pointee.serving, 1)
                    serving.complete()
                })
            serving.wait()
            return workers
        } catch {
            throw StartError("\(error)")
        }
    }

    /// Starts the thread that takes signals: those that the keeper hands on, and others' where no keeper is there to do it.
    private func takeSignals(_ body: @escaping @Sendable (Int32) -> Void) throws(StartError) {
        do throws(SystemError) {
            try Threads.startDetached("signals") { [region] in
                limpet_fault_thread(-1)
                let others = [Signals.terminate, Signals.interrupt, Signals.hangUp, Signals.userTwo]
                while true {
                    guard let signal = Signals.wait(others + [Signals.handedOn]) else { continue }
                    let keeper = region.continuity.pointee.keeper
                    if signal.number != Signals.handedOn {
                        if keeper == 0 { body(signal.number) }
                    } else if signal.sender == keeper {
                        body(signal.value)
                    }
                }
            }
        } catch {
            throw StartError("\(error)")
        }
    }

    private func announce(_ isFirst: Bool, _ topology: Topology, _ listeners: ListenerSet, _ socket: ControlSocket) {
        guard isFirst else {
            let continuity = region.continuity.pointee
            let stopped = max(continuity.died, continuity.upgrade.parked)
            log.notice(
                "serving again",
                metadata: [
                    "engine": "\(continuity.generation)", "connections": "\(region.open)",
                    "pause_ms": "\((continuity.resumed - stopped) / 1_000_000)",
                ])
            return
        }
        for listener in listeners.listeners {
            let service = topology.services[listener.service].configuration
            log.info(
                "listening",
                metadata: [
                    "address": "\(listener.name)", "service": "\(service.name)",
                    "backends": "\(service.backends.count)",
                ])
        }
        log.notice(
            "ready",
            metadata: [
                "version": "\(runningVersion)", "workers": "\(region.workerCount)", "control": "\(socket.path)",
            ])
    }
}
