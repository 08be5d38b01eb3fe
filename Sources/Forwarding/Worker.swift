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
    private(set) var table: ForwardingTable
    let mailbox: Mailbox
    let incidents: IncidentBoard
    /// The mailboxes of all workers: whoever frees a place at the limit wakes those that wait for one.
    let allWakeUps: [WakeUp]

    var poller: Poller
    var pipes: PipePool
    var wheel: TimerWheel
    var free: FreeSlots
    var listeners: [WorkerListener]
    var listening: Listening = .yes
    /// When to listen again after descriptors ran out, in ns.
    var listenAgain: UInt64 = 0
    /// A descriptor that only holds a number; −1: spent, so accepting pauses until it is back.
    var reserveDescriptor: Int32
    /// The clock, read once per turn of the loop.
    var now: UInt64
    var running = true
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

    /// - Parameter poller: an empty set; the worker's own descriptors are put into it by ``watchOwn()``.
    init(_ setup: borrowing WorkerSetup, poller: consuming Poller) {
        index = setup.index
        region = setup.region
        own = region.worker(setup.index)
        records = region.records(setup.index)
        scratch = region.scratch(setup.index)
        table = setup.table
        mailbox = setup.mailbox
        incidents = setup.incidents
        allWakeUps = setup.allWakeUps
        listeners = setup.listeners
        now = Clock.now()
        self.poller = poller
        pipes = PipePool(maximum: setup.maximumPipes, counters: own)
        wheel = TimerWheel(records: records, now: now)
        free = FreeSlots(count: region.recordsPerWorker)
        reserveDescriptor = Descriptor.reserve() ?? -1
    }

    /// Puts mailbox and listeners into the epoll set. Once, before ``run()``.
    mutating func watchOwn() throws(SystemError) {
        if let failure = poller.add(mailbox.wakeUp.descriptor, token: Token.mailbox, interest: .read) {
            throw SystemError("watch a mailbox", failure)
        }
        for position in listeners.indices {
            if let failure = poller.add(
                listeners[position].descriptor, token: Token.listener(position), interest: .read)
            {
                throw SystemError("watch a listener", failure)
            }
        }
    }

    /// The loop. Returns when a `stop` command came.
    mutating func run() {
        while running {
            let count = poller.wait(milliseconds: timeout())
            now = Clock.now()
            limpet_bump64(&own.pointee.heartbeat, 1)
            for position in 0..<count {
                dispatch(poller.event(position))
            }
            while let slot = wheel.takeDue(now: now) { timerFired(slot) }
            if listening == .noDescriptors && now >= listenAgain { resumeListening() }
        }
    }

    private func timeout() -> Int32 {
        let timers = wheel.wait(now: now)
        guard listening == .noDescriptors else { return timers }
        let pause = listenAgain > now ? Int32((listenAgain - now) / 1_000_000) + 1 : 0
        return timers < 0 ? pause : min(timers, pause)
    }

    @inline(__always)
    private mutating func dispatch(_ event: Poller.Event) {
        let generation = Token.generation(event.token)
        if generation == 0 {
            if event.token == Token.mailbox {
                readMail()
            } else {
                acceptBatch(Token.slot(event.token))
            }
            return
        }
        let slot = Token.slot(event.token)
        guard records[slot].generation == generation, records[slot].state != UInt8(LIMPET_FREE) else {
            return  // of a connection that an earlier event of this turn ended
        }
        limpet_store32(&own.pointee.hand_slot, UInt32(slot))
        limpet_store32(&own.pointee.hand_generation, generation)
        connectionReady(slot, Token.side(event.token), event)
        limpet_store32(&own.pointee.hand_slot, .max)
    }

    private mutating func readMail() {
        mailbox.wakeUp.clear()
        for command in mailbox.takeAll() {
            switch command {
            case .close(let slot, let generation, let mode):
                let slot = Int(slot)
                if records[slot].generation == generation { closeByOrder(slot, mode) }
            case .closeAll(let mode):
                for slot in 0..<free.highWater { closeByOrder(slot, mode) }
            case .replaceTable(let new):
                table = new
            case .stopListening:
                stopListening()
            case .stop:
                endCutShort()
                running = false
            }
        }
        if listening == .atLimit { resumeListening() }
    }
}

/// What epoll gives back: slot, side and generation of a record, so that an event for a slot that has been used again
/// is recognised; generation 0 is the worker's own descriptors.
enum Token {
    static let mailbox: UInt64 = 1 << 32

    static func listener(_ position: Int) -> UInt64 { UInt64(position) }

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
