import CContinuity
import CLayout
import CLinux
public import Linux

/// What a worker starts from.
struct WorkerSetup {
    let index: Int
    let region: SharedRegion
    let table: ForwardingTable
    let mailbox: Mailbox
    let incidents: IncidentBoard
    let tally: Tally
    let allWakeUps: [WakeUp]
    let logWakeUp: WakeUp?
    let maximumPipes: Int
}

/// The forwarding threads, as the control plane holds them. Its methods may be called from any thread; they return
/// before the workers have acted, unless it is said otherwise.
public final class WorkerPool: Sendable {
    private let mailboxes: [Mailbox]
    private let threads: Locked<[pthread_t]>
    private let gate = Locked<Gate?>(nil)

    /// Starts one thread per worker of the region. Each takes up what an earlier engine has left of it (epoll set, mailbox,
    /// listeners, records), repairs the connection that was in hand, and serves.
    /// - Parameters:
    ///   - region: with the sockets of its listeners named. Nobody else may be changing records or counters.
    ///   - accepted: sockets that an earlier engine had accepted and not recorded, from the sweep.
    ///   - tally: what they count together.
    ///   - maximumPipes: per worker.
    ///   - logWakeUp: wakes whoever writes the access log, where it sleeps; nil: nobody does.
    ///   - whenServing: called on the thread of the last worker that has come so far that all of them serve.
    public init(
        region: SharedRegion, table: ForwardingTable, accepted: [AcceptedSocket] = [], tally: Tally,
        maximumPipes: Int, incidents: IncidentBoard, logWakeUp: WakeUp? = nil,
        whenServing: @escaping @Sendable () -> Void = {}
    ) throws(SystemError) {
        region.recount()
        tally.begin(region, table)
        region.affinity.begin(region, table, now: Clock.now())
        var mailboxes: [Mailbox] = []
        for index in 0..<region.workerCount {
            mailboxes.append(Mailbox(wakeUp: try region.wakeUp(of: index)))
            try region.makePoller(of: index)
        }
        self.mailboxes = mailboxes
        let wakeUps = mailboxes.map(\.wakeUp)
        var homes: [WorkerHome] = []
        for index in mailboxes.indices {
            let setup = WorkerSetup(
                index: index, region: region, table: table, mailbox: mailboxes[index], incidents: incidents,
                tally: tally, allWakeUps: wakeUps, logWakeUp: logWakeUp, maximumPipes: maximumPipes)
            homes.append(try WorkerHome(setup))
        }
        let recovering = Locked(homes.count)
        var threads: [pthread_t] = []
        for (index, home) in homes.enumerated() {
            let share = accepted.enumerated().filter { $0.offset % homes.count == index }.map(\.element)
            threads.append(
                try Threads.start("worker-\(index)") {
                    limpet_fault_thread(Int32(index))
                    home.worker.recover(share)
                    let isLast = recovering.with { left in
                        left -= 1
                        return left == 0
                    }
                    if isLast { whenServing() }
                    home.worker.run()
                })
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

    /// Makes another table count, and other listeners. Listeners that are gone are closed by the workers, once they have
    /// taken in who waited there, and un-named in the region; new ones must be named there before.
    /// - Parameters:
    ///   - table: must hold every service, by its slot, of which a connection or a listener is left.
    ///   - listeners: by worker, all that it is to have; nil: no change.
    ///   - acknowledged: called on a worker's thread once all have made the change. Must not block.
    public func configure(
        table: ForwardingTable, listeners: [[WorkerListener]]? = nil,
        acknowledged: @escaping @Sendable () -> Void = {}
    ) {
        postToAll(
            .configure(
                Reconfiguration(
                    table: table, listeners: listeners, workers: mailboxes.count, acknowledged: acknowledged)))
    }

    /// Whether every worker has carried out `stopListening`: only then can the number of connections only fall.
    public var haveStoppedListening: Bool {
        mailboxes.allSatisfy { $0.hasStoppedListening.with { $0 } }
    }

    /// Makes all workers stop between two turns, with nothing in hand; blocks until they have. From then on they touch
    /// nothing, until ``resume()``.
    /// - Parameter nanoseconds: how long it may take.
    /// - Returns: false: it took longer, and all serve on.
    public func park(within nanoseconds: UInt64) -> Bool {
        let gate = Gate(workers: mailboxes.count)
        self.gate.with { $0 = gate }
        postToAll(.park(gate))
        if gate.wait(nanoseconds: nanoseconds) { return true }
        resume()
        return false
    }

    /// Lets parked workers serve on.
    public func resume() {
        gate.with { gate in
            gate?.open()
            gate = nil
        }
    }

    /// ns of processor time that a worker's thread has used since this engine began; 0 once it has ended.
    public func processorTime(ofWorker index: Int) -> UInt64 {
        threads.with { $0.indices.contains(index) ? Threads.processorTime($0[index]) ?? 0 : 0 }
    }

    /// Waits until all have stopped; `stop` must have been posted.
    public func join() {
        // Nobody may ask for the time of a thread that was joined.
        let ended = threads.with { threads in
            defer { threads = [] }
            return threads
        }
        for thread in ended { Threads.join(thread) }
    }
}

/// Carries a worker to its thread: made here, so that what cannot be had is an error of the start; used there alone.
private final class WorkerHome: @unchecked Sendable {
    var worker: Worker

    init(_ setup: WorkerSetup) throws(SystemError) {
        worker = Worker(setup)
        try worker.watchOwn()
    }
}

extension SharedRegion {
    /// The eventfd of a worker's mailbox, made and named where there is none yet.
    fileprivate func wakeUp(of index: Int) throws(SystemError) -> WakeUp {
        let own = worker(index)
        if own.pointee.wake_up >= 0 { return WakeUp(adopting: own.pointee.wake_up) }
        let wakeUp = try WakeUp()
        own.pointee.wake_up = wakeUp.descriptor
        return wakeUp
    }

    /// Makes a worker's epoll set and names it, where there is none yet.
    fileprivate func makePoller(of index: Int) throws(SystemError) {
        if worker(index).pointee.poller < 0 { worker(index).pointee.poller = try Poller.create() }
    }
}
