/// Hands every event to everybody who listens at that moment. Made anywhere; used on the control event loop alone.
public final class EventHub: @unchecked Sendable {
    private var listeners: [Int: (ControlEvent?) -> Void] = [:]
    private var nextID = 0
    /// Events that were left out for somebody who did not read.
    public private(set) var missed: UInt64 = 0

    public init() {}

    public func post(_ event: ControlEvent) {
        for listener in listeners.values { listener(event) }
    }

    /// An event was left out for somebody who does not read.
    func noteMissed() { missed += 1 }

    /// Nothing more is going to happen.
    func end() {
        for listener in listeners.values { listener(nil) }
    }

    /// - Parameter listener: called with nil at the end.
    /// - Returns: what ``unsubscribe(_:)`` takes.
    func subscribe(_ listener: @escaping (ControlEvent?) -> Void) -> Int {
        nextID += 1
        listeners[nextID] = listener
        return nextID
    }

    func unsubscribe(_ id: Int) {
        listeners[id] = nil
    }
}
