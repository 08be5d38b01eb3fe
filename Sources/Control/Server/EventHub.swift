internal import FoundationEssentials
public import Linux

/// Where events outlive the engine that posted them.
public protocol EventStore {
    /// Bytes that a line may have.
    var longest: Int { get }
    /// What there is, in ascending order of the numbers.
    func load() -> [(number: UInt64, line: [UInt8])]
    /// Keeps a line; what is oldest goes for it.
    func append(_ number: UInt64, _ line: [UInt8])
    /// Events that readers were too slow for, so far.
    var missed: UInt64 { get }
    func addMissed(_ count: UInt64)
}

/// An event as it was posted.
public struct PostedEvent: Sendable {
    /// From 1 on, without gaps.
    public let number: UInt64
    public let time: Timestamp
    public let event: ControlEvent
    /// The object as it is sent, without a newline.
    public let line: [UInt8]
}

/// Keeps the last events, and tells everybody who listens of each. Made anywhere; used on the control event loop alone.
public final class EventHub: @unchecked Sendable {
    /// So many events are kept.
    public static let capacity = 1024
    /// What a line may have where there is no store to say.
    private static let longestLine = 1000

    private let version: String
    private let epoch: UInt64
    private let store: (any EventStore)?
    private let encoder = JSONEncoder()
    /// In ascending order, the newest last; `next` is the number of the one to come.
    private var kept: [PostedEvent] = []
    private var next: UInt64 = 1
    private var listeners: [Int: (PostedEvent?) -> Void] = [:]
    private var nextID = 0
    private var ownMissed: UInt64 = 0

    /// - Parameters:
    ///   - version: of the daemon.
    ///   - epoch: when the numbers began, in milliseconds since 1970.
    ///   - store: nil: events end with the engine.
    public init(
        version: String = limpetVersion, epoch: UInt64 = Clock.wall() / 1_000_000, store: (any EventStore)? = nil
    ) {
        self.version = version
        self.epoch = epoch
        self.store = store
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for (number, line) in store?.load() ?? [] {
            next = number + 1
            // Of another build perhaps: what this one does not know is left out.
            guard let reply = try? JSONDecoder().decode(Reply<ControlEvent>.self, from: Data(line)) else { continue }
            kept.append(PostedEvent(number: number, time: reply.time, event: reply.body, line: line))
        }
        kept.removeFirst(max(0, kept.count - EventHub.capacity))
    }

    /// Events so far, since the daemon has started.
    public var total: UInt64 { next - 1 }

    /// Events that readers were too slow for; where there is a store, also of engines before.
    public var missed: UInt64 { store?.missed ?? ownMissed }

    /// The last events, the newest last.
    public func recent(_ count: Int) -> ArraySlice<PostedEvent> { kept.suffix(count) }

    public func post(_ event: ControlEvent) {
        var event = event
        let number = next
        event.cursor = EventCursor(epoch: epoch, number: number).description
        guard let posted = whole(number, event) else { return }
        next += 1
        store?.append(number, posted.line)
        // Not one by one, or every event would move all of them.
        if kept.count >= 2 * EventHub.capacity { kept.removeFirst(kept.count - EventHub.capacity + 1) }
        kept.append(posted)
        for listener in listeners.values { listener(posted) }
    }

    /// A place from which the next event is the next to come.
    var end: UInt64 { next }

    /// The place that a cursor names.
    /// - Returns: nil where it is of another start of the daemon, or of no event that has been posted.
    func place(after cursor: EventCursor) -> UInt64? {
        cursor.epoch == epoch && cursor.number < next ? cursor.number + 1 : nil
    }

    /// What was posted from a place on.
    /// - Parameter place: 0: from the oldest on, whatever was before.
    func events(from place: UInt64, limit: Int) -> (missed: UInt64, events: ArraySlice<PostedEvent>) {
        let oldest = next - min(next - 1, UInt64(EventHub.capacity))
        let start = max(place, oldest)
        let found = kept[index(of: start)...].prefix(limit)
        // An engine that died while it wrote one has left it out, and so has a build that does not know its kind.
        let first = found.first?.number ?? next
        return (place == 0 ? 0 : first - min(first, place), found)
    }

    /// Where the first event of that number or a higher one lies.
    private func index(of number: UInt64) -> Int {
        var range = kept.startIndex..<kept.endIndex
        while !range.isEmpty {
            let middle = (range.lowerBound + range.upperBound) / 2
            range = kept[middle].number < number ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    /// The line that says that events are left out.
    /// - Parameters:
    ///   - count: nil: not known.
    ///   - place: of the next event that is told.
    func missedLine(_ count: UInt64?, before place: UInt64) -> [UInt8] {
        var event = ControlEvent(.missed, count: count.map { Int(clamping: $0) })
        event.cursor = EventCursor(epoch: epoch, number: place - min(place, 1)).description
        return encoded(event, .now) ?? []
    }

    /// Counts what a reader was too slow for.
    func addMissed(_ count: UInt64) {
        if let store { store.addMissed(count) } else { ownMissed += count }
    }

    /// Nothing more is going to happen.
    func finish() {
        for listener in listeners.values { listener(nil) }
    }

    /// - Parameter listener: called with every event, and with nil at the end.
    /// - Returns: what ``unsubscribe(_:)`` takes.
    public func subscribe(_ listener: @escaping (PostedEvent?) -> Void) -> Int {
        nextID += 1
        listeners[nextID] = listener
        return nextID
    }

    public func unsubscribe(_ id: Int) {
        listeners[id] = nil
    }

    /// With a cause that is as short as it has to be.
    private func whole(_ number: UInt64, _ event: ControlEvent) -> PostedEvent? {
        var event = event
        let time = Timestamp.now
        let longest = store?.longest ?? EventHub.longestLine
        while let line = encoded(event, time) {
            if line.count <= longest { return PostedEvent(number: number, time: time, event: event, line: line) }
            guard let cause = event.cause, !cause.isEmpty else { return nil }
            event.cause = cause.count < 8 ? "" : cause.prefix(cause.count * 3 / 4) + "…"
        }
        return nil
    }

    private func encoded(_ event: ControlEvent, _ time: Timestamp) -> [UInt8]? {
        (try? encoder.encode(Reply(version: version, time: time, body: event))).map { Array($0) }
    }
}
