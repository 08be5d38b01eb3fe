public import Stickiness

/// Where a new connection goes: the one walk that workers make for a client and that `where` shows.
public enum Selection {
    /// The first of a client's preference order in the best tier that has any. One scan for each tier that has none, and
    /// one more; allocates nothing.
    /// - Parameters:
    ///   - order: not yet iterated.
    ///   - tier: of a member, by its index; nil for one that must not be used.
    /// - Returns: nil where none may be used.
    @inline(__always)
    public static func choose(_ order: PreferenceOrder, tier: (Int) -> Tier?) -> Int? {
        for wanted in Tier.allCases {
            var order = order
            if let chosen = order.next(where: { tier($0) == wanted }) { return chosen }
        }
        return nil
    }

    /// The same, where a client is to keep the backend that it had: that goes before others that are as good for a new
    /// connection, which is those of its tier, and not before them where it is their backup.
    /// - Parameter remembered: nil: none.
    @inline(__always)
    public static func choose(
        _ order: PreferenceOrder, remembered: Int?, of rendezvous: Rendezvous, tier: (Int) -> Tier?
    ) -> Int? {
        let first = choose(order, tier: tier)
        guard let first, let remembered, remembered != first, rendezvous.areOfOneGroup(first, remembered),
            tier(remembered) == tier(first)
        else { return first }
        return remembered
    }
}
