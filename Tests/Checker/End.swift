import Addressing
import CLinux
import Glibc
import Linux

/// One end of one connection: what it still has to say, what it has heard, when it ends. Belongs to one loop.
final class End {
    /// Bytes that are handed to the kernel at once, at most.
    static let piece = 65_536

    /// 0: client; 1: backend.
    let role: Int
    let descriptor: Int32
    let slot: Int
    let opened: UInt64
    /// What was heard before it was known whose it is.
    var pending: [UInt8] = []
    var number: UInt32 = 0
    var script: Script?
    /// Its account in the ledger; a backend's before it knows whose it is has none.
    var side: UnsafeMutablePointer<Side>?
    var outgoing: StreamPattern?
    var incoming: StreamPattern?

    var sent: UInt64 = 0
    var received: UInt64 = 0
    /// Bytes that may have been sent by now.
    var goal: UInt64 = 0
    /// There will be no more than `goal`: finish after that.
    var isFinal = false
    /// What comes before the first byte of the stream, as far as it was not sent.
    var preamble: [UInt8] = []
    var ended = StreamEnd.none
    var seen = StreamEnd.none
    var isConnecting = false
    var isOver = false
    /// Reads again from then on; 0: reads.
    var restsUntil: UInt64 = 0
    var watched: UInt8 = 0
    /// When the question was asked to which there is no answer yet; 0: there is none.
    var asked: UInt64 = 0
    var isSettled = false
    var dice: Dice

    init(role: Int, descriptor: Int32, slot: Int, now: UInt64) {
        self.role = role
        self.descriptor = descriptor
        self.slot = slot
        opened = now
        dice = Dice(now ^ UInt64(slot) << 40)
    }

    /// From here on it is known whose end this is.
    func identify(_ number: UInt32, _ script: Script, _ side: UnsafeMutablePointer<Side>) {
        self.number = number
        self.script = script
        self.side = side
        side.pointee.isConnected = true
        outgoing = StreamPattern(number: number, direction: role, shift: script.shift)
        incoming = StreamPattern(number: number, direction: 1 - role, shift: script.shift)
        dice = Dice(UInt64(number) << 1 | UInt64(role))
    }

    // MARK: What comes next

    /// Works out how much may be said by now and whether this end is to finish or reset.
    /// - Returns: true where it is to be reset.
    func plan(stopping: Bool) -> Bool {
        guard let script else { return false }
        switch script.kind {
        case .churn: return planChurn(script)
        case .talk:
            if role == 1 && !isFinal { goal = received / script.message * script.message }
        case .bulk: break
        case .slow:
            // The one that reads slowly says little; the other as much as is taken.
            if !isFinal && role != script.slowSide { goal = stopping ? sent : .max }
        }
        guard stopping, !isConnecting else { return false }
        switch script.ending {
        case .clientFirst: isFinal = isFinal || role == 0 || seen == .fin
        case .backendFirst: isFinal = isFinal || role == 1 || seen == .fin
        case .clientAborts: return role == 0
        case .backendAborts: return role == 1
        default: isFinal = true
        }
        return false
    }

    /// The other end was to reset, and its end came as a finish: there is nothing more to say.
    func concede() {
        guard seen == .fin, let resetter = script?.resetter, resetter != role else { return }
        isFinal = true
        goal = min(goal, sent)
    }

    private func planChurn(_ script: Script) -> Bool {
        let isClient = role == 0
        switch script.ending {
        case .clientFirst:
            isFinal = isClient || seen == .fin
            goal = isClient ? script.up : seen == .fin ? script.down : 0
        case .backendFirst:
            isFinal = !isClient || seen == .fin
            goal = !isClient ? script.down : seen == .fin ? script.up : script.early
        case .together:
            isFinal = true
            goal = isClient ? script.up : script.down
        case .clientResets:
            goal = isClient ? script.up : received == script.up ? script.down : 0
            return isClient && sent == script.up && received == script.down
        case .backendResets:
            goal = !isClient ? script.down : received == script.down ? script.up : script.early
            return !isClient && sent == script.down && received == script.up
        case .clientAborts:
            goal = isClient ? script.up / 2 : script.down
            return isClient && sent == goal
        case .backendAborts:
            goal = isClient ? script.up : script.down / 2
            return !isClient && sent == goal
        case .emptyFinish: isFinal = true
        case .emptyReset: return isClient
        }
        return false
    }

    // MARK: Bytes

    /// Says what may be said. Returns false where the kernel reports a reset.
    func say(_ buffer: UnsafeMutableRawPointer) -> Bool {
        guard let outgoing, ended == .none else { return true }
        while sent < goal {
            var count = Int(min(UInt64(End.piece), goal - sent))
            // Pieces of all sizes, and now and then a byte that is called urgent: it travels in line.
            if script?.kind != .talk, dice.chance(20) { count = 1 + dice.below(count) }
            let flags = count == 1 && script?.isUrgent == true ? Int32(MSG_OOB) : 0
            outgoing.fill(buffer, count, at: sent)
            let taken = send(descriptor, buffer, count, flags | Int32(MSG_NOSIGNAL))
            if taken < 0 {
                let code = errno
                if code == EINTR { continue }
                return code == EAGAIN
            }
            sent += UInt64(taken)
            side?.pointee.sent = sent
            if script?.isUrgent == true, sent < goal, dice.chance(5) {
                var byte: UInt8 = 0
                outgoing.fill(&byte, 1, at: sent)
                if send(descriptor, &byte, 1, Int32(MSG_OOB | MSG_NOSIGNAL)) == 1 {
                    sent += 1
                    side?.pointee.sent = sent
                }
            }
            if taken < count { return true }
        }
        return true
    }

    /// Compares what was heard with what should have been.
    func hear(_ bytes: UnsafeRawPointer, _ count: Int, _ board: Board) {
        if let incoming, side?.pointee.isFaulty == false,
            let place = incoming.firstDifference(bytes, count, at: received)
        {
            side?.pointee.isFaulty = true
            Diagnosis.report(incoming, bytes, count, place, at: received, board)
        }
        received += UInt64(count)
        side?.pointee.received = received
    }

    // MARK: The end

    func finish() {
        StreamSocket.shutdownWrite(descriptor)
        ended = .fin
        side?.pointee.ended = .fin
    }

    func reset() {
        ended = .reset
        side?.pointee.ended = .reset
        StreamSocket.resetOnClose(descriptor)
    }

    func saw(_ end: StreamEnd) {
        seen = end
        side?.pointee.seen = end
    }

    /// Nothing more will come and nothing more will be said.
    var isDone: Bool { seen != .none && ended != .none || seen == .reset || ended == .reset }
}

/// What went wrong in a stream.
enum Diagnosis {
    /// Bytes of the stream around the place that are looked through for those that came.
    private static let reach: UInt64 = 1 << 19
    private static let needle = 24

    /// - Parameters:
    ///   - place: of the first wrong byte among `count`, which should have begun at `offset` of the stream.
    static func report(
        _ stream: StreamPattern, _ bytes: UnsafeRawPointer, _ count: Int, _ place: Int, at offset: UInt64,
        _ board: Board
    ) {
        let position = offset + UInt64(place)
        let name = "connection \(stream.number), \(stream.direction == 0 ? "upstream" : "downstream"), byte \(position)"
        // Heads of cells, from a little before the place on.
        var start = max(0, place - StreamPattern.headBytes + 1)
        while start + StreamPattern.headBytes <= count {
            if let head = StreamPattern.head(bytes + start) {
                if head.number != stream.number || head.direction != stream.direction {
                    let direction = head.direction == 0 ? "upstream" : "downstream"
                    board.fault(\.foreign, "\(name): bytes of connection \(head.number), \(direction)")
                    return
                }
                let stands = head.cell << UInt64(head.shift)
                let here = offset + UInt64(start)
                if stands != here { return shifted(by: Int64(stands) - Int64(here), name, board) }
            }
            start += 1
        }
        // No head: is it another stretch of this stream?
        let length = min(needle, count - place)
        let from = position - min(position, reach)
        let window = UnsafeMutableRawPointer.allocate(byteCount: Int(2 * reach), alignment: 16)
        defer { window.deallocate() }
        stream.fill(window, Int(2 * reach), at: from)
        if length >= 8 {
            for candidate in 0..<Int(2 * reach) - length where memcmp(window + candidate, bytes + place, length) == 0 {
                return shifted(by: Int64(from) + Int64(candidate) - Int64(position), name, board)
            }
        }
        board.fault(\.corrupt, "\(name): bytes of unknown origin")
    }

    private static func shifted(by distance: Int64, _ name: String, _ board: Board) {
        if distance > 0 {
            board.fault(\.skipped, "\(name): \(distance) bytes are missing")
        } else {
            board.fault(\.repeated, "\(name): \(-distance) bytes come again")
        }
    }
}
