internal import Glibc
public import Linux

/// Standard error, as all that is logged goes there: whole lines, one write(2) each or some together, so that those of two
/// processes do not mix.
///
/// Nobody waits long for a reader. As long as there is room a line goes out at once. Where there is none: in an engine it
/// waits in memory for the log's thread, up to ``queueLimit``, and whoever wrote it goes on; elsewhere the writer waits for
/// ``patience``, once. What finds no place is dropped, and how much is said once somebody reads again. Any thread may use it.
public enum LogOutput {
    /// Bytes of lines that may wait.
    static let queueLimit = 256 * 1024
    /// Milliseconds that a line is waited with where there is no thread to do so.
    private static let patience: Int32 = 200
    /// What is written at once: so much goes into a pipe that has room at all, and does not mix with others' (pipe(7)).
    public static let piece = 4096

    private struct State {
        var lines: [[UInt8]] = []
        /// Of `lines`, those before it have gone out.
        var head = 0
        var bytes = 0
        /// Lines that were dropped since the last one that went out.
        var dropped = 0
        /// The log's thread has something in hand, or may have: that goes out before anything else.
        var isBusy = false
        /// Wakes the log's thread; nil: there is none.
        var wakeUp: WakeUp?
        /// Where it is counted for good what was dropped and what waits.
        var counters: Counters?
        /// Of the lines that wait, those that the log's thread has in hand.
        var taken = 0
    }

    /// Called under the lock, with by how many it changes.
    public struct Counters: Sendable {
        let dropped: @Sendable (Int) -> Void
        let waiting: @Sendable (Int) -> Void

        public init(dropped: @escaping @Sendable (Int) -> Void, waiting: @escaping @Sendable (Int) -> Void) {
            self.dropped = dropped
            self.waiting = waiting
        }
    }

    private static let state = Locked(State())

    /// From now on lines wait for ``takeWaiting(into:)`` where nobody reads.
    /// - Parameters:
    ///   - wakeUp: signalled when there is something to take.
    ///   - lost: lines that an engine before had waiting.
    ///   - counters: told of what is dropped and what waits.
    public static func queue(wakeUp: WakeUp, lost: Int, counters: Counters) {
        state.with {
            $0.wakeUp = wakeUp
            $0.counters = counters
            $0.dropped += lost
            counters.dropped(lost)
            counters.waiting(-lost)
        }
    }

    /// No thread takes lines any more.
    public static func stopQueueing() {
        state.with { $0.wakeUp = nil }
    }

    /// Writes a line of the log, or has it written.
    /// - Parameters:
    ///   - line: with its line feed.
    ///   - lost: makes the line that says how many were dropped before.
    static func write(_ line: String, lost: (Int) -> String) {
        state.with { state in
            let isFree = state.head == state.lines.count && !state.isBusy
            guard let wakeUp = state.wakeUp else {
                // Who has waited once in vain does not wait again.
                guard hasRoom(within: state.dropped == 0 ? patience : 0) else { return drop(&state) }
                if let text = takeDropped(&state, lost) { put(Array(text.utf8)) }
                return put(Array(line.utf8))
            }
            // One write and no more: there may be no room for a second.
            if isFree, state.dropped == 0, line.utf8.count <= piece, hasRoom(within: 0) {
                return put(Array(line.utf8))
            }
            guard state.bytes + line.utf8.count <= queueLimit else { return drop(&state) }
            // Between those before and those after them.
            if let text = takeDropped(&state, lost) { append(text, &state) }
            append(line, &state)
            wakeUp.signal()
        }
    }

    private static func append(_ line: String, _ state: inout State) {
        state.lines.append(Array(line.utf8))
        state.bytes += line.utf8.count
        state.counters?.waiting(1)
    }

    private static func drop(_ state: inout State) {
        state.dropped += 1
        state.counters?.dropped(1)
    }

    private static func takeDropped(_ state: inout State, _ lost: (Int) -> String) -> String? {
        if state.dropped == 0 { return nil }
        defer { state.dropped = 0 }
        return lost(state.dropped)
    }

    // MARK: The log's thread

    /// Moves lines that wait to the end of `chunk`, as long as it is no longer than a ``piece``, or a line alone. They must
    /// go out by ``writeChunk(_:within:)``.
    public static func takeWaiting(into chunk: inout [UInt8]) {
        state.with { state in
            state.isBusy = true
            while state.head < state.lines.count {
                let line = state.lines[state.head]
                guard chunk.isEmpty || chunk.count + line.count <= piece else { return }
                chunk += line
                state.bytes -= line.count
                state.head += 1
                state.taken += 1
            }
            state.lines = []
            state.head = 0
        }
    }

    /// Whether lines wait.
    public static var isWaiting: Bool { state.with { $0.head < $0.lines.count } }

    /// What was taken has gone out; the thread has nothing in hand.
    public static func rest() {
        state.with { state in
            state.isBusy = false
            state.counters?.waiting(-state.taken)
            state.taken = 0
        }
    }

    /// Writes what ``takeWaiting(into:)`` has begun, and takes it out of `chunk`. Nobody else of this process writes
    /// meanwhile, and nobody waits.
    /// - Returns: false: nobody has read for so long (milliseconds), and something is left.
    public static func writeChunk(_ chunk: inout [UInt8], within milliseconds: Int32) -> Bool {
        while !chunk.isEmpty {
            guard hasRoom(within: milliseconds) else { return false }
            let count = chunk.withUnsafeBytes { Glibc.write(2, $0.baseAddress, min(piece, $0.count)) }
            if count < 0 && Errno.last == .interrupted { continue }
            // There is nobody, and will be nobody.
            if count <= 0 { chunk.removeAll() } else { chunk.removeFirst(count) }
        }
        return true
    }

    // MARK: The descriptor

    private static func put(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.count <= piece || hasRoom(within: patience) else { return }
            let part = rest.prefix(piece)
            let count = part.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
            if count < 0 && Errno.last == .interrupted { continue }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    private static func hasRoom(within milliseconds: Int32) -> Bool {
        var output = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
        // Where it cannot be told, or nobody will ever read, write(2) does not wait.
        return poll(&output, 1, milliseconds) != 0
    }
}
