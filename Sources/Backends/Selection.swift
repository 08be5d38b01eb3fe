public import Stickiness

/// Where a new connection goes.
public struct Selection: Sendable, Hashable {
    /// The client's first choice by the hash alone.
    public let home: Int
    /// The best member that may be used; nil where none may.
    public let chosen: Int?
    /// Why ``home`` was passed over; ``AwayReason/home`` where it was not.
    public let reason: AwayReason

    /// Walks down a client's preference order. Two scans at most, however many members are passed over; allocates
    /// nothing.
    /// - Parameters:
    ///   - order: not yet iterated.
    ///   - reason: nil for a member that may be used, else why not; asked first about the home, then about others in no
    ///     particular order.
    /// - Returns: nil where there are no members at all.
    public static func choose(_ order: PreferenceOrder, reason: (Int) -> AwayReason?) -> Selection? {
        var order = order
        guard let home = order.next() else { return nil }
        guard let away = reason(home) else { return Selection(home: home, chosen: home, reason: .home) }
        return Selection(home: home, chosen: order.next { reason($0) == nil }, reason: away)
    }
}
