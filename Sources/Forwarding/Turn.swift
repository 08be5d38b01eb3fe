import CLayout
import Linux

/// The order in which a worker serves what is ready. A message waits for no stream: connections that move data in bulk are
/// put aside until the others have been served, then a few of them have one turn each, and epoll is asked again. What is
/// still ready then it tells again, because it is level-triggered.
extension Worker {
    /// How long after the last event of a connection that is not bulk the streams are held short, in ns.
    private static let mixedTime: UInt64 = 100_000_000
    /// One in so many of the streams that are ready has its turn before epoll is asked again: each asking looks at all of
    /// them once more.
    private static let streamsPerTurn = 8
    private static let mixedStreamsPerTurn = 32
    /// Rounds of one direction in one turn …
    private static let rounds = 4
    /// … and, where messages may be waiting, of so many bytes.
    private static let mixedBytes = 256 * 1024

    /// Whether connections that send messages have been there lately.
    @inline(__always)
    private var isMixed: Bool { now < mixedUntil }

    /// Rounds of one direction before other connections have their turn.
    @inline(__always)
    var roundsPerTurn: Int { isMixed ? 1 : Worker.rounds }

    /// Bytes that one splice takes at most.
    @inline(__always)
    var bytesPerRound: Int { isMixed ? Worker.mixedBytes : .max }

    /// Serves what epoll has told of.
    @inline(__always)
    mutating func serve(_ count: Int) {
        var streams = 0
        for position in 0..<count {
            let event = poller.event(position)
            if position + 1 < count { fetch(poller.event(position + 1).token) }
            if canWait(event.token) {
                poller.keep(event, at: streams)
                streams += 1
            } else {
                dispatch(event)
            }
        }
        if streams > 0 { serveStreams(streams, isFull: count == poller.capacity) }
    }

    /// Begins to fetch what the next event is about: over a thousand connections it is in no near cache any more.
    @inline(__always)
    private func fetch(_ token: UInt64) {
        if Token.generation(token) != 0 { limpet_record_prefetch(records + Token.slot(token)) }
    }

    /// Whether the event can wait: a direction of the connection goes by splice.
    @inline(__always)
    private mutating func canWait(_ token: UInt64) -> Bool {
        let generation = Token.generation(token)
        if generation == 0 { return false }
        let record = records + Token.slot(token)
        guard record.pointee.generation == generation else { return false }
        let flags = record.pointee.direction.0.flags | record.pointee.direction.1.flags
        if flags & UInt16(LIMPET_DIRECTION_BULK.rawValue) != 0 { return true }
        mixedUntil = now + Worker.mixedTime
        // Nor does the end of one side, told again, wait for anything but the other side's: that may be among the others.
        let side = Int32(Token.side(token))
        return has(limpet_direction_of(record, side), LIMPET_DIRECTION_EOF)
            && limpet_events(record, side).pointee & Poller.Interest.edge.rawValue == 0
    }

    /// - Parameters:
    ///   - count: how many of the poller's first events are streams'.
    ///   - isFull: there may be more than these.
    private mutating func serveStreams(_ count: Int, isFull: Bool) {
        if isFull {
            // epoll tells of the others next: so all of these have their turn.
            for position in 0..<count { dispatch(poller.event(position)) }
            return
        }
        let turns = 1 + (count - 1) / (isMixed ? Worker.mixedStreamsPerTurn : Worker.streamsPerTurn)
        for _ in 0..<turns {
            // Round and round by slots and sides: epoll promises no order.
            var next = 0
            var least = UInt64.max
            for position in 0..<count {
                let distance = Worker.place(poller.event(position).token) &- lastStream &- 1
                if distance < least { (next, least) = (position, distance) }
            }
            let event = poller.event(next)
            lastStream = Worker.place(event.token)
            dispatch(event)
        }
    }

    @inline(__always)
    private static func place(_ token: UInt64) -> UInt64 { UInt64(Token.slot(token) << 1 | Token.side(token)) }
}
