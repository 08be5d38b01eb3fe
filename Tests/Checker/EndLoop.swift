import CLinux
import Glibc
import Linux
import Synchronization

/// The ends of one role on one thread: an epoll set, a table of ends, a clock that ticks.
class EndLoop {
    /// Milliseconds between two ticks, at most.
    private static let tick: Int32 = 2

    let board: Board
    let role: Int
    let poller: Poller
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: End.piece, alignment: 64)
    private(set) var ends: [End?] = []
    private var freeSlots: [Int] = []
    /// Standing ends, for what happens by the clock.
    var standing: [End] = []
    private var resting: [End] = []
    private var hasStopped = false
    private(set) var liveCount = 0
    var now = Clock.now()
    private var before = Clock.now()

    init(_ board: Board, role: Int) throws {
        self.board = board
        self.role = role
        poller = Poller(adopting: try Poller.create(), capacity: 512)
    }

    deinit { buffer.deallocate() }

    /// Until the board says stop and all ends are over, or nothing moves any more.
    func run() {
        while !isFinished && !board.isGivenUp.load(ordering: .relaxed) {
            let count = poller.wait(milliseconds: EndLoop.tick)
            now = Clock.now()
            for index in 0..<count { dispatch(poller.event(index)) }
            if now - before >= 1_000_000 {
                let elapsed = now - before
                before = now
                wakeResting()
                if board.stopping && !hasStopped { stop() }
                ticked(elapsed)
            }
        }
        if !isFinished { tellWhatIsLeft() }
    }

    /// Says what has not come to an end, where the loop was left because nothing moved any more.
    func tellWhatIsLeft() {
        for case let end? in ends.prefix(20) {
            let name =
                end.script.map { "connection \(end.number) (\($0.kind), \($0.ending))" } ?? "an unknown connection"
            Output.error(
                "limpet-checker: \(role == 0 ? "client" : "backend") of \(name): sent \(end.sent) of \(end.goal), "
                    + "received \(end.received), ended \(end.ended), seen \(end.seen)")
        }
    }

    /// What else has to be over.
    var isFinished: Bool { false }
    /// By the clock: `elapsed` ns since the last time.
    func ticked(_ elapsed: UInt64) {}
    /// A connect has come to its end.
    func connected(_ end: End) {}
    /// Something was heard; true: go on.
    func heard(_ end: End, _ count: Int) -> Bool { true }
    /// It has ended.
    func over(_ end: End) {}
    /// A descriptor of the loop's own.
    func ownEvent(_ position: Int) {}

    /// In small batches: of thousands of packets at once the loopback drops some (net.core.netdev_max_backlog), and a reset
    /// that is dropped is not sent again, by anybody.
    private func stop() {
        hasStopped = true
        for (position, end) in ends.enumerated() {
            guard let end, !end.isOver else { continue }
            if position % 64 == 63 { usleep(2000) }
            end.restsUntil = 0
            proceed(end)
        }
        resting.removeAll()
    }

    // MARK: The table

    func add(_ descriptor: Int32, interest: Poller.Interest) -> End? {
        let slot = freeSlots.popLast() ?? ends.count
        if slot == ends.count { ends.append(nil) }
        let end = End(role: role, descriptor: descriptor, slot: slot, now: now)
        if poller.add(descriptor, token: UInt64(slot) << 1 | 1, interest: interest) != nil {
            Descriptor.close(descriptor)
            freeSlots.append(slot)
            return nil
        }
        end.watched = interest.rawValue
        ends[slot] = end
        liveCount += 1
        return end
    }

    func drop(_ end: End) {
        guard !end.isOver else { return }
        end.isOver = true
        over(end)
        Descriptor.close(end.descriptor)
        ends[end.slot] = nil
        freeSlots.append(end.slot)
        liveCount -= 1
        board.progress.add(1, ordering: .relaxed)
    }

    // MARK: Events

    private func dispatch(_ event: Poller.Event) {
        if event.token & 1 == 0 { return ownEvent(Int(event.token >> 1)) }
        guard let end = ends[Int(event.token >> 1)] else { return }
        if end.isConnecting {
            connected(end)
            if end.isOver || end.isConnecting { return }
        }
        if event.readable || event.failed || event.hungUp, end.seen == .none, end.restsUntil == 0 {
            listen(end)
            if end.isOver { return }
        } else if event.failed, end.seen == .fin {
            // It had ended well, and what we still had to say was not let out.
            end.saw(.reset)
        }
        proceed(end)
    }

    /// Takes what has come.
    private func listen(_ end: End) {
        let isSlow = end.script?.slowSide == role && !board.stopping
        for _ in 0..<8 {
            let room = isSlow ? 16_384 : End.piece
            switch Transfer.receive(end.descriptor, into: buffer, limit: room) {
            case .moved(let count):
                board.progress.add(1, ordering: .relaxed)
                if !heard(end, count) { return }
                if isSlow {
                    // Long enough, now and then, that all there is waits on the way, and the end of it too.
                    end.restsUntil = now + UInt64(1 + end.dice.below(end.dice.chance(30) ? 150 : 25)) * 1_000_000
                    resting.append(end)
                    return
                }
                if count < room { return }
            case .wouldBlock: return
            case .endOfFile:
                end.saw(.fin)
                return
            case .failed:
                end.saw(.reset)
                return
            }
        }
    }

    /// Says and does what is due, and watches for the rest.
    func proceed(_ end: End) {
        if end.isConnecting || end.isOver { return }
        if !end.preamble.isEmpty && end.seen == .none { return }
        if end.script == nil && end.seen == .fin { end.isFinal = true }
        if end.seen != .reset {
            let resetBefore = end.plan(stopping: board.stopping)
            if board.plan.hasUnixSockets { end.concede() }
            if !resetBefore && end.ended == .none && !end.say(buffer) { end.saw(.reset) }
            // What has been said may be what the reset waited for.
            if end.seen != .reset, end.ended == .none, resetBefore || end.plan(stopping: board.stopping) { end.reset() }
            if end.isFinal && end.ended == .none && end.sent >= end.goal && end.seen != .reset { end.finish() }
        }
        if end.isDone {
            drop(end)
            return
        }
        watch(end)
    }

    private func watch(_ end: End) {
        var wanted: Poller.Interest = []
        if end.seen == .none && end.restsUntil == 0 { wanted.insert(.read) }
        if end.ended == .none && end.sent < end.goal { wanted.insert(.write) }
        if wanted.rawValue != end.watched {
            _ = poller.modify(end.descriptor, token: UInt64(end.slot) << 1 | 1, interest: wanted)
            end.watched = wanted.rawValue
        }
    }

    private func wakeResting() {
        if resting.isEmpty { return }
        let due = resting.filter { $0.restsUntil <= now }
        if due.isEmpty { return }
        resting.removeAll { $0.restsUntil <= now }
        for end in due where !end.isOver {
            end.restsUntil = 0
            watch(end)
        }
    }
}
