import CLayout
import Linux

/// One forwarding thread: its own epoll set, listeners, slice of the records, pipes and timers. Nothing in it is
/// locked; a connection never leaves the worker that accepted it.
///
/// Lives on the thread that ``WorkerThread`` started and is touched by no other; others read its records through
/// ``ConnectionTable`` and reach it through its mailbox. The loop allocates nothing per event.
struct Worker: ~Copyable {
    let index: Int
    let region: SharedRegion
    let own: UnsafeMutablePointer<limpet_worker>
    let records: UnsafeMutablePointer<limpet_record>
    let scratch: UnsafeMutableRawPointer
    var table: ForwardingTable
    let mailbox: Mailbox
    let incidents: IncidentBoard
    let tally: Tally
    /// The mailboxes of all workers: whoever frees a place at the limit wakes those that wait for one.
    let allWakeUps: [WakeUp]
    /// Wakes whoever writes the access log; nil: nobody does.
    let logWakeUp: WakeUp?

    var poller: Poller
    var pipes: PipePool
    var wheel: TimerWheel
    var free: FreeSlots
    var listeners: [WorkerListener]
    var listening: Listening = .yes
    /// What is left to do after the last exchange of the table.
    var review = Review()
    /// Which edges are still to be looked for after an engine's death.
    var edges = EdgeReview()
    /// Which stream is waited for.
    var patience = Patience()
    /// By slot of a connection that is being dialled: the backends that could not be connected to, in that order.
    var tried: [Int: [UInt16]] = [:]
    /// Attempts to connect, by record, that have gone on to another address of the same backend.
    var walks: [Int: AddressWalk] = [:]
    /// Who waits for a connect to be started.
    var waiting = DialQueue()
    /// Whose turn it is among the addresses that connections come from.
    var nextSource: UInt32
    /// When to listen again after descriptors ran out, in ns.
    var listenAgain: UInt64 = 0
    /// A descriptor that only holds a number; −1: spent, so accepting pauses until it is back.
    var reserveDescriptor: Int32
    /// The clock, read once per turn of the loop.
    var now: UInt64
    /// Whether a read that gets less than it asked for is followed by another, see ``Poller/Event/isMore``.
    var readsOn = false
    /// The event that is being served leaves something unread: no edge will tell of it.
    var hasLeftover = false
    /// Until when streams are held short for messages' sake, in ns.
    var mixedUntil: UInt64 = 0
    /// Slot and side of the stream that was served last.
    var lastStream: UInt64 = 0
    var running = true
    /// Where to stop after this turn; nil: go on.
    var parking: Gate?
    /// Filled by accept; kept here so that no turn has to clear 128 bytes.
    var peerAddress = SocketAddress()

    enum Listening {
        case yes
        /// At the connection limit: whoever closes a connection wakes us.
        case atLimit
        /// Out of descriptors: a timer wakes us.
        case noDescriptors
        /// For good.
        case stopped
    }

    /// Longest sleep, in milliseconds: the heartbeat must go on when nothing happens.
    private static let longestWait: Int32 = 2000

    init(_ setup: borrowing WorkerSetup) {
        index = setup.index
        region = setup.region
        own = region.worker(setup.index)
        records = region.records(setup.index)
        scratch = region.scratch(setup.index)
        table = setup.table
        mailbox = setup.mailbox
        incidents = setup.incidents
        tally = setup.tally
        allWakeUps = setup.allWakeUps
        logWakeUp = setup.logWakeUp
        listeners = region.listeners(of: setup.index)
        now = Clock.now()
        poller = Poller(adopting: own.pointee.poller, capacity: 256)
        pipes = PipePool(
            maximum: setup.maximumPipes, workers: setup.region.workerCount, counters: own)
        wheel = TimerWheel(records: records, now: now)
        free = FreeSlots(count: region.recordsPerWorker)
        reserveDescriptor = Descriptor.reserve() ?? -1
        // Workers begin apart.
        nextSource = UInt32(setup.index)
    }

    /// Puts mailbox and listeners into the epoll set, where they may be already. Once, before ``recover(_:)``.
    mutating func watchOwn() throws(SystemError) {
        if let failure = poller.ensure(mailbox.wakeUp.descriptor, token: Token.mailbox, interest: .read) {
            throw SystemError("watch a mailbox", failure)
        }
        for listener in listeners {
            if let failure = watch(listener) { throw SystemError("watch a listener", failure) }
        }
    }

    /// The loop. Returns when a `stop` command came.
    mutating func run() {
        while running {
            let count = poller.wait(milliseconds: timeout())
            now = Clock.now()
            limpet_bump64(&own.pointee.heartbeat, 1)
            serve(count)
            while let slot = wheel.takeDue(now: now) { timerFired(slot) }
            if !waiting.isEmpty { dialWaiting() }
            if isReviewing { reviewSome() }
            if isLookingForEdges { lookForEdges() }
            lookAfterPatient()
            if listening == .noDescriptors && now >= listenAgain { resumeListening() }
            if let gate = parking {
                parking = nil
                endPatience()
                gate.stop()
            }
        }
    }

    private func timeout() -> Int32 {
        if isReviewing || isLookingForEdges { return 0 }
        let timers = wheel.wait(now: now)
        var wait = timers < 0 ? Worker.longestWait : min(timers, Worker.longestWait)
        if let look = patience.nextLook { wait = min(wait, look > now ? Int32((look - now) / 1_000_000) + 1 : 0) }
        guard listening == .noDescriptors else { return wait }
        return min(wait, listenAgain > now ? Int32((listenAgain - now) / 1_000_000) + 1 : 0)
    }

    // MARK: The connection in hand

    /// Says that this connection is being worked on. Until ``putDown()`` it is the one that a death may leave half
    /// changed; around everything that changes a record.
    @inline(__always)
    func takeInHand(_ slot: Int, _ generation: UInt32) {
        // The generation first: whoever finds the slot finds the generation that belongs to it.
        limpet_store32(&own.pointee.hand_generation, generation)
        limpet_publish32(&own.pointee.hand_slot, UInt32(slot))
        limpet_order()
    }

    @inline(__always)
    func putDown() {
        limpet_publish32(&own.pointee.hand_slot, .max)
        limpet_order()
    }

    @inline(__always)
    mutating func dispatch(_ event: Poller.Event) {
        let generation = Token.generation(event.token)
        if generation == 0 {
            if event.token == Token.mailbox {
                readMail()
            } else {
                listenerReady(Token.listenerSlot(event.token))
            }
            return
        }
        let slot = Token.slot(event.token)
        guard records[slot].generation == generation, records[slot].state != UInt8(LIMPET_FREE) else {
            return  // of a connection that an earlier event of this turn ended
        }
        takeInHand(slot, generation)
        connectionReady(slot, Token.side(event.token), event)
        putDown()
    }

    /// Remembers how far up the descriptors go: the sweep of the next engine looks no further.
    @inline(__always)
    func noteHighest(_ descriptor: Int32) {
        if descriptor > own.pointee.highest { limpet_store_signed32(&own.pointee.highest, descriptor) }
    }

    private mutating func readMail() {
        mailbox.wakeUp.clear()
        for command in mailbox.takeAll() {
            switch command {
            case .close(let slot, let generation, let mode, let reason):
                let slot = Int(slot)
                if records[slot].generation == generation { closeInHand(slot, mode, reason) }
            case .closeIfStill(let slot, let generation, let active, let reason):
                let slot = Int(slot)
                if records[slot].generation == generation, isStill(slot, since: active) {
                    closeInHand(slot, .orderly, reason)
                }
            case .closeAll(let mode, let reason):
                for slot in 0..<free.highWater { closeInHand(slot, mode, reason) }
            case .probe(let sent):
                let read = Clock.now()
                limpet_store64(&region.metrics(ofWorker: index).pointee.lag, read - min(read, sent))
            case .configure(let change):
                take(change)
            case .park(let gate):
                parking = gate
            case .reviewListeners:
                watchListeners()
            case .stopListening:
                stopListening()
            case .stop:
                endCutShort()
                recordEndsOfAll(.shutdown)
                running = false
            }
        }
        if listening == .atLimit { resumeListening() }
    }

    private mutating func closeInHand(_ slot: Int, _ mode: CloseMode, _ reason: EndReason) {
        if isFree(records + slot) { return }
        takeInHand(slot, records[slot].generation)
        closeByOrder(slot, mode, reason)
        putDown()
    }
}

/// What epoll gives back: slot, side and generation of a record, so that an event for a slot that has been used again
/// is recognised; generation 0 is the worker's own descriptors.
enum Token {
    static let mailbox: UInt64 = 1 << 32

    static func listener(_ slot: UInt16) -> UInt64 { UInt64(slot) }
    static func listenerSlot(_ token: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: token) }

    @inline(__always)
    static func record(_ slot: Int, side: Int, generation: UInt32) -> UInt64 {
        UInt64(slot) | UInt64(side) << 32 | UInt64(generation) << 33
    }

    @inline(__always) static func slot(_ token: UInt64) -> Int { Int(token & 0xffff_ffff) }
    @inline(__always) static func side(_ token: UInt64) -> Int { Int(token >> 32 & 1) }
    @inline(__always) static func generation(_ token: UInt64) -> UInt32 { UInt32(token >> 33) }
}

/// The slots of a worker that no connection uses: those that were used last come first, the untouched ones at the end,
/// so that the pages of the region are touched only as far as they were ever needed.
struct FreeSlots: ~Copyable {
    private let stack: UnsafeMutablePointer<UInt32>
    private var stacked = 0
    private let count: Int
    /// Slots below this have been used.
    private(set) var highWater = 0

    init(count: Int) {
        self.count = count
        stack = .allocate(capacity: count)
    }

    /// At the start: slots below this have been used by an engine before. Those of them that are free are to be given back.
    mutating func start(at highWater: Int) {
        self.highWater = highWater
    }

    deinit {
        stack.deallocate()
    }

    mutating func take() -> Int? {
        if stacked > 0 {
            stacked -= 1
            return Int(stack[stacked])
        }
        guard highWater < count else { return nil }
        highWater += 1
        return highWater - 1
    }

    mutating func giveBack(_ slot: Int) {
        stack[stacked] = UInt32(slot)
        stacked += 1
    }
}
