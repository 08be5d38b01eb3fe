/// What becomes of a backend's connections when it goes down.
public enum WhenDown: String, Sendable, CaseIterable {
    /// They stay: a backend that fails its check may well serve on.
    case keep
    /// They are closed over a minute, each at a quiet moment.
    case shed
    /// They are closed at once.
    case close
}

/// Closes many connections at a pace, each at a moment at which nothing is on its way: who, and when. Pure: whoever drives
/// it looks at the connections and closes them.
public struct Shedder: Sendable {
    /// Who goes first.
    public enum Order: String, Sendable, CaseIterable {
        case random
        /// Who has been silent for longest.
        case idle
        /// Who has been there for longest.
        case oldest
    }

    /// A connection, as it was at the beginning. Times are ns of one clock.
    public struct Candidate: Sendable, Hashable {
        /// Where to look for it.
        public var position: Int
        public var id: UInt64
        public var opened: UInt64
        public var active: UInt64

        public init(position: Int, id: UInt64, opened: UInt64, active: UInt64) {
            self.position = position
            self.id = id
            self.opened = opened
            self.active = active
        }
    }

    /// Silence that makes a moment quiet, in ns.
    public static let quiet: UInt64 = 250_000_000

    /// How long a quiet moment is waited for, in ns; then the connection is closed as it is.
    private let patience: UInt64
    /// Connections a second.
    private let rate: Double
    /// The next one is last.
    private var rest: [Candidate]
    /// Those whose turn has come, with when it came.
    private var waiting: [(candidate: Candidate, since: UInt64)] = []
    private var credit: Double
    private var last: UInt64

    /// - Parameters:
    ///   - rate: above 0.
    ///   - patience: ns; 0: nobody is waited for.
    ///   - atOnce: connections that may go at the first step, 0 to 1. With 0 the last of n goes after n/rate seconds.
    public init(
        _ candidates: [Candidate], order: Order, rate: Double, patience: UInt64 = 10_000_000_000, atOnce: Double = 1,
        now: UInt64
    ) {
        credit = atOnce
        switch order {
        case .random: rest = candidates.shuffled()
        case .idle: rest = candidates.sorted { $0.active > $1.active }
        case .oldest: rest = candidates.sorted { $0.opened > $1.opened }
        }
        self.rate = rate
        self.patience = patience
        last = now
    }

    /// Connections that have not been closed and were not found gone.
    public var left: Int { rest.count + waiting.count }

    /// Takes the place of a ``step(now:active:)`` in which nobody may be closed: the time is not made up for, and nobody's
    /// patience runs out meanwhile.
    public mutating func pause(now: UInt64) {
        let time = now - min(now, last)
        for index in waiting.indices { waiting[index].since += time }
        credit = min(credit, 1)
        last = max(last, now)
    }

    /// Those to close now. Never more in any second than the rate says, and one: time in which it was not called is not made
    /// up for.
    /// - Parameter active: when something last went through a connection; nil where it is gone, or is to stay after all.
    public mutating func step(now: UInt64, active: (Candidate) -> UInt64?) -> [Candidate] {
        credit = min(credit + rate * Double(now - min(now, last)) / 1e9, max(1, rate))
        last = max(last, now)
        var due: [Candidate] = []
        var stillWaiting: [(candidate: Candidate, since: UInt64)] = []
        for entry in waiting {
            guard let moment = active(entry.candidate) else { continue }
            if credit >= 1, isQuiet(moment, now) || now - min(now, entry.since) >= patience {
                credit -= 1
                due.append(entry.candidate)
            } else {
                stillWaiting.append(entry)
            }
        }
        waiting = stillWaiting
        // Those whose turn comes while they talk do not hold up the others; but not everybody is looked at each time.
        var looks = Int(credit) + 16
        while credit >= 1, looks > 0, waiting.count < Int(rate * Double(patience) / 1e9) + 16,
            let candidate = rest.popLast()
        {
            guard let moment = active(candidate) else { continue }
            looks -= 1
            if isQuiet(moment, now) || patience == 0 {
                credit -= 1
                due.append(candidate)
            } else {
                waiting.append((candidate, now))
            }
        }
        return due
    }

    private func isQuiet(_ moment: UInt64, _ now: UInt64) -> Bool {
        now >= moment && now - moment >= Shedder.quiet
    }
}
