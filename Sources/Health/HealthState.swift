public import Backends

/// What is known of one backend, and how it becomes known: the rules of health, without clock and sockets. Plain value.
///
/// It changes by what checks and connections tell; whoever asks ``wait(using:)`` after each knows when the next check is
/// due.
public struct HealthState: Sendable, Equatable {
    /// How it is judged. Times in ns.
    public struct Rules: Sendable, Equatable {
        public var interval: UInt64
        public var fastInterval: UInt64
        public var downInterval: UInt64
        public var rise: Int
        public var fall: Int

        public init(interval: UInt64, fastInterval: UInt64, downInterval: UInt64, rise: Int, fall: Int) {
            self.interval = interval
            self.fastInterval = fastInterval
            self.downInterval = downInterval
            self.rise = rise
            self.fall = fall
        }
    }

    public private(set) var health: Health
    public var rules: Rules
    /// Checks in a row that speak against ``health``; for a backend that is being checked: failed ones.
    public private(set) var against = 0
    /// It was taken down by its connections and not by its checks.
    public private(set) var isMarked = false
    /// Whether the checks have been spread over the interval yet.
    private var isSpread = false

    /// - Parameter health: what is known from before: ``Health/checking`` of a backend that is new. What an agent asks for
    ///   is kept elsewhere: a backend that takes no clients for it is up.
    public init(_ health: Health, rules: Rules) {
        self.health = health == .draining || health == .maintenance ? .up : health
        self.rules = rules
    }

    /// A check has come to an end.
    /// - Returns: true where the health has changed by it.
    public mutating func note(passed: Bool) -> Bool {
        switch (health, passed) {
        case (.checking, true), (.unchecked, true): return become(.up)
        case (.up, true), (.draining, true), (.maintenance, true):
            against = 0
            return false
        case (.down, false):
            against = 0
            isMarked = false
            return false
        case (.up, false), (.checking, false), (.unchecked, false), (.draining, false), (.maintenance, false):
            against += 1
            return against >= rules.fall && become(.down)
        case (.down, true):
            against += 1
            return against >= rules.rise && become(.up)
        }
    }

    /// An agent says it: it counts at once.
    /// - Returns: true where the health has changed by it.
    public mutating func declare(isUp: Bool) -> Bool {
        let health: Health = isUp ? .up : .down
        against = 0
        isMarked = false
        return self.health != health && become(health)
    }

    /// Its connections fail: it is down at once, and its checks find out how it goes on.
    /// - Returns: false where it was down already.
    public mutating func mark() -> Bool {
        guard health != .down else { return false }
        isMarked = true
        return become(.down)
    }

    private mutating func become(_ health: Health) -> Bool {
        if health != .down { isMarked = false }
        against = 0
        self.health = health
        return true
    }

    /// Whether a change may be under way.
    public var isInDoubt: Bool { against > 0 || isMarked }

    /// ns from the start of the check that has just ended to the start of the next one. A tenth more or less, so that
    /// checks which began together do not stay together; the first one after the beginning comes earlier still.
    public mutating func wait(using generator: inout some RandomNumberGenerator) -> UInt64 {
        let usual = isInDoubt ? rules.fastInterval : health == .down ? rules.downInterval : rules.interval
        if !isSpread, !isInDoubt {
            isSpread = true
            return .random(in: usual / 2...usual, using: &generator)
        }
        return .random(in: usual - usual / 10...usual + usual / 10, using: &generator)
    }

    /// ns to the first check of one of `count` backends: all have been checked soon, and not all at once.
    public static func firstWait(
        of count: Int, interval: UInt64, using generator: inout some RandomNumberGenerator
    ) -> UInt64 {
        .random(in: 0...min(interval, UInt64(max(0, count - 1)) * 1_000_000), using: &generator)
    }
}
