import CLinux
public import Linux

/// What a worker starts from.
struct WorkerSetup {
    let index: Int
    let region: SharedRegion
    let table: ForwardingTable
    let mailbox: Mailbox
    let incidents: IncidentBoard
    let allWakeUps: [WakeUp]
    let listeners: [WorkerListener]
    let maximumPipes: Int
}

/// The forwarding threads, as the control plane holds them. Its methods may be called from any thread; they return
/// before the workers have acted.
public final class WorkerPool: Sendable {
    private let mailboxes: [Mailbox]
    private let threads: Locked<[pthread_t]>

    /// Starts one thread per element of `listeners`.
    /// - Parameters:
    ///   - listeners: per worker, its own listening sockets. The worker closes them.
    ///   - maximumPipes: per worker.
    public init(
        region: SharedRegion, table: ForwardingTable, listeners: [[WorkerListener]], maximumPipes: Int,
        incidents: IncidentBoard
    ) throws(SystemError) {
        var mailboxes: [Mailbox] = []
        for _ in listeners { mailboxes.append(try Mailbox()) }
        self.mailboxes = mailboxes
        let wakeUps = mailboxes.map(\.wakeUp)
        var threads: [pthread_t] = []
        var homes: [WorkerHome] = []
        for index in listeners.indices {
            let setup = WorkerSetup(
                index: index, region: region, table: table, mailbox: mailboxes[index], incidents: incidents,
                allWakeUps: wakeUps, listeners: listeners[index], maximumPipes: maximumPipes)
            homes.append(try WorkerHome(setup))
        }
        for (index, home) in homes.enumerated() {
            threads.append(try Threads.start("worker-\(index)") { home.worker.run() })
        }
        self.threads = Locked(threads)
    }

    public var count: Int { mailboxes.count }

    public func post(_ commands: [WorkerCommand], to worker: Int) {
        mailboxes[worker].post(commands)
    }

    public func postToAll(_ command: WorkerCommand) {
        for mailbox in mailboxes { mailbox.post(CollectionOfOne(command)) }
    }

    /// Whether every worker has carried out `stopListening`: only then can the number of connections only fall.
    public var haveStoppedListening: Bool {
        mailboxes.allSatisfy { $0.hasStoppedListening.with { $0 } }
    }

    /// Waits until all have stopped; `stop` must have been posted.
    public func join() {
        for thread in threads.with({ $0 }) { Threads.join(thread) }
    }
}

/// Carries a worker to its thread: made here, so that what cannot be had is an error of the start; used there alone.
private final class WorkerHome: @unchecked Sendable {
    var worker: Worker

    init(_ setup: WorkerSetup) throws(SystemError) {
        worker = Worker(setup, poller: try Poller(capacity: 256))
        try worker.watchOwn()
    }
}
