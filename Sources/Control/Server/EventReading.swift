internal import NIOCore

/// One client's way through the events. Lives on the control event loop.
///
/// It is a place in the hub's ring and nothing more, so that a client that does not read costs no memory: it goes on where
/// it was, and is told how many events it has missed where the ring has gone on without it.
final class EventReading {
    /// Lines in one buffer.
    private static let batch = 64

    private let hub: EventHub
    /// Whether it goes on when there is nothing more for now.
    let waits: Bool
    private var place: UInt64
    /// The cursor was of another start of the daemon: how much has happened since is not known.
    private var isLost: Bool
    /// It has looked once: what it misses from then on, it misses because it does not read. What it came too late for is
    /// nobody's fault, and would be counted anew with each that asks with an old cursor.
    private var hasBegun = false
    private var subscription: Int?

    /// - Parameters:
    ///   - since: the parameter of that name: a cursor, or `start` for all that is kept; nil: from now on.
    ///   - waits: false: ends after what there is.
    init(_ hub: EventHub, since: String?, waits: Bool) throws(ControlError) {
        self.hub = hub
        self.waits = waits
        isLost = false
        switch since {
        case nil: place = hub.end
        case "start": place = 0
        case let text?:
            guard let cursor = EventCursor(text) else {
                throw ControlError(
                    .badRequest, "since: \"\(text)\" is not a cursor as events have it, and not the word start")
            }
            place = hub.place(after: cursor) ?? 0
            isLost = hub.place(after: cursor) == nil
        }
    }

    /// - Parameter body: called when there is something to read, and with true when nothing more will happen.
    func follow(_ body: @escaping (_ isOver: Bool) -> Void) {
        subscription = hub.subscribe { body($0 == nil) }
    }

    func end() {
        if let subscription { hub.unsubscribe(subscription) }
        subscription = nil
    }

    var isAtEnd: Bool { place >= hub.end && !isLost }

    /// The next lines; nil: there are none for now.
    func next() -> ByteBuffer? {
        defer { hasBegun = true }
        guard !isAtEnd else { return nil }
        let (missed, events) = hub.events(from: place, limit: EventReading.batch)
        let first = events.first?.number ?? hub.end
        var lines = ByteBuffer()
        func add(_ line: [UInt8]) {
            lines.writeBytes(line)
            lines.writeInteger(UInt8(ascii: "\n"))
        }
        if isLost || missed > 0 { add(hub.missedLine(isLost ? nil : missed, before: first)) }
        if hasBegun, missed > 0 { hub.addMissed(missed) }
        for event in events { add(event.line) }
        isLost = false
        place = events.last.map { $0.number + 1 } ?? hub.end
        return lines
    }
}
