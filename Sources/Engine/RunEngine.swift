import Backends
public import Configuration
import Control
import Forwarding
import Glibc
import Linux
import Logging
import NIOCore
import NIOPosix
import Observability

/// Runs the daemon until it is told to end: everything past the reading of options and files.
///
/// Call it on the process's only thread: ids, capabilities and the signal mask belong to a thread and are inherited by
/// those that are started here.
/// - Returns: the exit status.
public func runEngine(_ request: EngineRequest) -> Int32 {
    Signals.endAtFaults()
    Signals.block(EngineRun.signals)
    let configuration = request.configuration
    var log = Logger(label: "limpetd") { _ in
        StandardErrorLog(level: .info, format: configuration.logFormat == .json ? .json : .text)
    }
    log.logLevel = Logger.Level(rawValue: configuration.logLevel.rawValue) ?? .info
    do throws(StartError) {
        return try EngineRun(request, log: log).run()
    } catch {
        log.critical("\(error)")
        return error.exitStatus
    }
}

/// The descriptor budget that a configuration would get here, for `--check`: the connections that would be admitted, and
/// the line that says so; or why it cannot be met.
public func descriptorBudget(
    of configuration: DaemonConfiguration
) throws(StartError) -> (connections: Int, summary: String) {
    try EngineRun.checkCounts(configuration)
    let budget = EngineRun.budget(configuration)
    let admitted = try budget.admitted(wanted: configuration.maxConnections)
    return (admitted, budget.summary(admitted: admitted))
}

/// Why a start as root would fail for want of a user or group, for `--check`; nil: it would not, or we are not root and
/// cannot tell who will start it.
public func identityProblem(of configuration: DaemonConfiguration) -> String? {
    guard Account.effectiveUID == 0 else { return nil }
    do throws(StartError) {
        _ = try Identity.resolve(user: configuration.user, group: configuration.group)
        return nil
    } catch {
        return error.description
    }
}

/// One run of the daemon, from binding to the end.
struct EngineRun {
    static let signals = [Signals.terminate, Signals.interrupt, Signals.hangUp]

    private let request: EngineRequest
    private let log: Logger

    init(_ request: EngineRequest, log: Logger) {
        self.request = request
        self.log = log
    }

    static func budget(_ configuration: DaemonConfiguration) -> DescriptorBudget {
        DescriptorBudget(
            limit: Descriptor.raiseLimit(), workers: workers(configuration),
            listeners: configuration.services.reduce(0) { $0 + $1.listeners.count })
    }

    private static func workers(_ configuration: DaemonConfiguration) -> Int {
        configuration.workers ?? min(64, Threads.usableProcessors)
    }

    func run() throws(StartError) -> Int32 {
        let configuration = request.configuration
        try EngineRun.checkCounts(configuration)
        let workerCount = EngineRun.workers(configuration)
        let budget = EngineRun.budget(configuration)
        let limit = try budget.admitted(wanted: configuration.maxConnections)

        // As the user that started us: whom to become, the files, the addresses.
        let identity = try Identity.resolve(user: configuration.user, group: configuration.group)
        if case .root = identity {
            log.warning("staying root, as asked: name an ordinary user with --user where that is possible")
        }
        let controlPath = try Paths.control(configuration.controlPath)
        let state = try StateDirectory(path: try Paths.state(configuration.stateDirectory), owner: identity.owner)
        let listeners = try ListenerSet(configuration.services, workers: workerCount)
        let socket: ControlSocket
        do throws(ControlSocketError) {
            socket = try ControlSocket.prepare(path: controlPath, owner: identity.owner)
        } catch {
            throw StartError("\(error)")
        }

        // As the user that we are from here on.
        defer { withExtendedLifetime(state) {} }
        do throws(StartError) {
            try identity.assume()
            try checkReadable()
            log.info("\(Identity.summary)")
            log.info("\(budget.summary(admitted: limit))")
            return try serve(workerCount, limit, budget, listeners, socket, statePath: state.intentFile)
        } catch {
            socket.remove()
            throw error
        }
    }

    /// Slots of the shared region are numbered and their number is fixed: what a configuration may name has a limit.
    static func checkCounts(_ configuration: DaemonConfiguration) throws(StartError) {
        let counts = [
            ("backends", configuration.services.reduce(0) { $0 + $1.backends.count }, SharedRegion.maximumBackends),
            ("listeners", configuration.services.reduce(0) { $0 + $1.listeners.count }, SharedRegion.maximumListeners),
        ]
        for (what, count, maximum) in counts where count > maximum {
            throw StartError(
                "\(count) \(what) are configured, and one limpetd takes \(maximum); divide them among several")
        }
    }

    /// What a reload would read must be readable by the user that will read it; better to fail now than then.
    private func checkReadable() throws(StartError) {
        for path in [request.configurationPath, request.configuration.hashKeyFile].compactMap({ $0 }) {
            if let error = FileAccess.checkReadable(path) {
                throw StartError(
                    "\(path) cannot be read by user \(Account.numbered(Account.effectiveUID)?.name ?? "limpetd"): \(error);"
                        + " give it to that user's group and make it readable (chgrp, chmod g+r)")
            }
        }
    }

    private func serve(
        _ workerCount: Int, _ limit: Int, _ budget: DescriptorBudget, _ listeners: ListenerSet, _ socket: ControlSocket,
        statePath: String
    ) throws(StartError) -> Int32 {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let region: SharedRegion
        do throws(SystemError) {
            region = try SharedRegion(workers: workerCount, records: limit, limit: limit)
        } catch {
            throw StartError("\(error)")
        }
        let configured = Topology(request.configuration) { _ in nil }
        configured.initialise(region)
        IntentRestore(path: statePath, log: log).run(configured, region)
        let topology = Topology(request.configuration) { region.operatorWeight($0)?.value }
        let incidents = IncidentLog(topology: topology, log: log, eventLoop: eventLoop)
        // The board must exist before the workers, and its reader after them.
        let board = Locked<IncidentBoard?>(nil)
        board.with { slot in
            slot = IncidentBoard(notify: {
                eventLoop.execute {
                    if let board = board.with({ $0 }) { incidents.take(board.takeAll()) }
                }
            })
        }
        let intents = IntentKeeper(
            writer: IntentWriter(path: statePath), eventLoop: eventLoop, log: log,
            userName: Account.numbered(Account.effectiveUID)?.name ?? "\(Account.effectiveUID)")
        let workers: WorkerPool
        do throws(SystemError) {
            try intents.start()
            workers = try WorkerPool(
                region: region, table: topology.forwardingTable(),
                listeners: (0..<workerCount).map { listeners.forWorker($0) },
                maximumPipes: max(4, budget.pipeCap / workerCount), incidents: board.with { $0! })
        } catch {
            throw StartError("\(error)")
        }

        let ending = Completion()
        let controller = Controller(
            request: request, topology: topology, region: region, workers: workers, listeners: listeners,
            budget: budget, intents: intents, eventLoop: eventLoop, log: log, finished: { ending.complete() })
        try? eventLoop.submit { controller.begin() }.wait()
        let server = try ControlService(controller, socket, eventLoop, version: limpetVersion)
        eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            controller.noteStates()
            controller.noteDescriptors()
            controller.noteClosings()
        }
        do throws(SystemError) {
            _ = try Threads.start("signals") {
                while true {
                    let number = Signals.wait(EngineRun.signals)
                    eventLoop.execute { controller.signalled(number) }
                }
            }
        } catch {
            throw StartError("\(error)")
        }
        for listener in listeners.listeners {
            let service = topology.services[listener.service].configuration
            log.info(
                "listening",
                metadata: [
                    "address": "\(listener.address)", "service": "\(service.name)",
                    "backends": "\(service.backends.count)",
                ])
        }
        log.notice(
            "ready",
            metadata: ["version": "\(limpetVersion)", "workers": "\(workerCount)", "control": "\(socket.path)"])

        ending.wait()
        workers.postToAll(.stop)
        workers.join()
        server.stop()
        intents.finish(within: .seconds(5))
        log.notice("ended")
        return 0
    }
}

/// The control server as the main thread holds it: it lives on the event loop.
private final class ControlService: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private var server: ControlServer?

    /// Returns once it serves.
    init(
        _ controller: Controller, _ socket: ControlSocket, _ eventLoop: any EventLoop, version: String
    ) throws(StartError) {
        self.eventLoop = eventLoop
        let access = AccessPolicy(user: Account.effectiveUID, group: socket.group)
        do {
            try eventLoop.flatSubmit { [self] in
                let server = ControlServer(eventLoop: eventLoop, plane: controller, version: version, access: access)
                self.server = server
                return server.start(on: socket)
            }.wait()
        } catch {
            throw StartError("control socket \(socket.path): \(error)")
        }
    }

    /// Lets replies that are under way end, removes the socket file and closes everything.
    func stop() {
        try? eventLoop.flatSubmit { [self] in server?.stop() ?? eventLoop.makeSucceededVoidFuture() }.wait()
    }
}

/// Lets the main thread wait for the end without polling.
private final class Completion: @unchecked Sendable {
    private let wakeUp: UnsafeMutablePointer<sem_t>

    init() {
        wakeUp = .allocate(capacity: 1)
        wakeUp.initialize(to: sem_t())
        sem_init(wakeUp, 0, 0)
    }

    func complete() {
        sem_post(wakeUp)
    }

    func wait() {
        while sem_wait(wakeUp) != 0 {}
    }
}
