public import Stickiness

/// Where the connections of a service would be after a change, reckoned from those that there are. Pure; two walks over the
/// connections, a choice or two for each that moves.
public struct MovePlan: Sendable {
    /// A service before the change, or after it.
    public struct Side: Sendable {
        public var rendezvous: Rendezvous
        /// In the order of the rendezvous.
        public var members: [Member]
        /// As of ``LoadBound``; nil: no bound.
        public var loadFactor: Int?

        public init(rendezvous: Rendezvous, members: [Member], loadFactor: Int?) {
            self.rendezvous = rendezvous
            self.members = members
            self.loadFactor = loadFactor
        }
    }

    public struct Member: Sendable, Hashable {
        public var slot: Int
        /// Whatever its load is; nil: it takes nobody.
        public var tier: Tier?
        /// nil: none.
        public var limit: Int?
        /// In tenths, above 0.
        public var weight: Int

        public init(slot: Int, tier: Tier?, limit: Int? = nil, weight: Int = 10) {
            self.slot = slot
            self.tier = tier
            self.limit = limit
            self.weight = weight
        }
    }

    /// A connection: the slot of its backend, and its client as both sides hash it.
    public struct Connection: Sendable, Hashable {
        public var slot: Int
        public var before: UInt64
        public var after: UInt64
        /// The slot of the backend that its client is to keep; nil: its home alone decides.
        public var remembered: Int?

        public init(slot: Int, before: UInt64, after: UInt64, remembered: Int? = nil) {
            self.slot = slot
            self.before = before
            self.after = after
            self.remembered = remembered
        }
    }

    /// What becomes of a backend.
    public struct Outcome: Sendable, Hashable {
        public var connections = 0
        public var leaving = 0
        public var arriving = 0
        /// Those that it would have been the next choice of, had it not been full.
        public var passedOn = 0

        public var after: Int { connections - leaving + arriving }

        public init() {}
    }

    /// By slot; a backend that has nothing and gets nothing is not there.
    public private(set) var outcomes: [Int: Outcome] = [:]
    public let connections: Int
    public private(set) var moving = 0
    /// Of ``moving``, those that no backend would take.
    public private(set) var homeless = 0
    /// The fullest backend of those that take clients, in proportion to its weight, as a multiple of all of them together;
    /// nil: there is nothing to compare.
    public private(set) var skew: Double?
    public private(set) var skewAfter: Double?

    /// - Parameter emptied: slots whose connections are closed, and with them nobody else's; nil: nobody's are, and those
    ///   move who would be sent elsewhere when they connect again.
    public init(_ all: [Connection], from before: Side, to after: Side, emptied: Set<Int>?) {
        connections = all.count
        for connection in all { outcomes[connection.slot, default: Outcome()].connections += 1 }
        skew = MovePlan.skew(before) { outcomes[$0]?.connections ?? 0 }
        var placement = Placement(after, outcomes.mapValues(\.connections))
        var movers: [Connection] = []
        for connection in all {
            if let emptied {
                guard emptied.contains(connection.slot) else { continue }
            } else {
                let next = after.firstChoice(of: connection.after, connection.remembered)
                guard let next, next != connection.slot,
                    next != before.firstChoice(of: connection.before, connection.remembered)
                else {
                    continue
                }
            }
            movers.append(connection)
            outcomes[connection.slot, default: Outcome()].leaving += 1
            placement.leave(connection.slot)
        }
        moving = movers.count
        for mover in movers {
            let (place, passedOver) = placement.place(mover.after, mover.remembered)
            if let passedOver { outcomes[passedOver, default: Outcome()].passedOn += 1 }
            if let place {
                outcomes[place, default: Outcome()].arriving += 1
            } else {
                homeless += 1
            }
        }
        skewAfter = MovePlan.skew(after) { outcomes[$0]?.after ?? 0 }
    }

    private static func skew(_ side: Side, _ load: (Int) -> Int) -> Double? {
        let counted = side.members.filter { $0.tier == .up }
        let (total, weight) = counted.reduce((0, 0)) { ($0.0 + load($1.slot), $0.1 + $1.weight) }
        guard total > 0, weight > 0 else { return nil }
        let fullest = counted.map { Double(load($0.slot)) / Double($0.weight) }.max() ?? 0
        return fullest / (Double(total) / Double(weight))
    }
}

extension MovePlan.Side {
    /// The slot that a client would be sent to, were nobody full; nil: none.
    fileprivate func firstChoice(of key: UInt64, _ remembered: Int?) -> Int? {
        choose(key, remembered) { $0.tier }.map { members[$0].slot }
    }

    /// The position of the member that a client is sent to.
    /// - Parameter remembered: the slot that it is to keep; nil: none.
    fileprivate func choose(_ key: UInt64, _ remembered: Int?, _ tier: (MovePlan.Member) -> Tier?) -> Int? {
        Selection.choose(
            rendezvous.preferenceOrder(of: key),
            remembered: remembered.flatMap { slot in members.firstIndex { $0.slot == slot } }, of: rendezvous
        ) { tier(members[$0]) }
    }
}

/// The backends as they fill up.
private struct Placement {
    private let side: MovePlan.Side
    /// By slot.
    private var loads: [Int: Int]
    /// Of those that are up, together.
    private var load: Int
    private let weight: Int
    private let counted: Set<Int>

    init(_ side: MovePlan.Side, _ loads: [Int: Int]) {
        self.side = side
        self.loads = loads
        let up = side.members.filter { $0.tier == .up }
        counted = Set(up.map(\.slot))
        weight = up.reduce(0) { $0 + $1.weight }
        load = up.reduce(0) { $0 + (loads[$1.slot] ?? 0) }
    }

    mutating func leave(_ slot: Int) {
        loads[slot, default: 0] -= 1
        if counted.contains(slot) { load -= 1 }
    }

    /// - Returns: where the client goes, and which one it had gone to if that were not full.
    mutating func place(_ key: UInt64, _ remembered: Int?) -> (place: Int?, passedOver: Int?) {
        guard let first = side.choose(key, remembered, { $0.tier }) else { return (nil, nil) }
        var chosen: Int? = first
        if !hasRoom(side.members[first]) {
            chosen = side.choose(key, remembered) { hasRoom($0) ? $0.tier : nil }
        }
        let passedOver = chosen == first ? nil : side.members[first].slot
        guard let chosen else { return (nil, passedOver) }
        let slot = side.members[chosen].slot
        loads[slot, default: 0] += 1
        if counted.contains(slot) { load += 1 }
        return (slot, passedOver)
    }

    private func hasRoom(_ member: MovePlan.Member) -> Bool {
        let own = loads[member.slot] ?? 0
        if let limit = member.limit, own >= limit { return false }
        guard let factor = side.loadFactor else { return true }
        return !LoadBound(factor: factor, load: UInt64(max(0, load)), weight: weight)
            .isExceeded(load: UInt64(max(0, own)), weight: member.weight)
    }
}
