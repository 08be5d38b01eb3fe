/// How the connections of a backend that drains, or that is disabled, are shed: when it begins, how fast it goes, who goes
/// first. Pure; what was asked for in one word, so that the next engine goes on with it.
public struct DrainPace: Sendable, Hashable {
    /// How fast.
    public enum Speed: Sendable, Hashable {
        /// Nobody is shed: connections have the time until the deadline, if there is one.
        case none
        /// Connections a second, above 0.
        case rate(Double)
        /// All that there are when shedding begins over so many seconds, above 0; then it is a rate.
        case over(Double)
    }

    public var speed: Speed
    public var order: Shedder.Order
    /// Whether the deadline counts although the others cannot take the clients.
    public var isForced: Bool
    /// When shedding begins, in ns since the start of the machine; kept in tenths of a second, rounded up.
    public private(set) var begins: UInt64

    /// - Parameter begins: in ns.
    public init(speed: Speed, order: Shedder.Order = .random, isForced: Bool = false, begins: UInt64 = 0) {
        self.speed = speed
        self.order = order
        self.isForced = isForced
        self.begins = (begins + DrainPace.tick - 1) / DrainPace.tick * DrainPace.tick
    }

    private static let tick: UInt64 = 100_000_000
    private static let highestRate = 1e6
    /// Seconds.
    private static let shortestTime = 0.01

    // MARK: In one word

    /// From the lowest bit: 2 for the order, 1 for the force, 2 for the kind of speed, 28 for its value (a binary32 without
    /// its sign and its last three bits), 31 for the tenths of a second. 0 stands for an unforced pace without a speed.
    public var word: UInt64 {
        let (kind, value): (UInt64, Double) =
            switch speed {
            case .none: (0, 0)
            case .rate(let rate): (1, rate)
            case .over(let seconds): (2, seconds)
            }
        let order: UInt64 =
            switch order {
            case .random: 0
            case .idle: 1
            case .oldest: 2
            }
        let bits = UInt64(Float(value).bitPattern >> 3)
        let tenths = min(begins / DrainPace.tick, 0x7fff_ffff)
        return order | (isForced ? 4 : 0) | kind << 3 | bits << 5 | tenths << 33
    }

    public init(word: UInt64) {
        let value = Double(Float(bitPattern: UInt32(word >> 5 & 0xfff_ffff) << 3))
        let isUsable = value > 0 && value.isFinite
        switch word >> 3 & 3 {
        // Whatever a damaged word says, nobody is to stumble over it again and again.
        case 1 where isUsable: speed = .rate(min(value, DrainPace.highestRate))
        case 2 where isUsable: speed = .over(max(value, DrainPace.shortestTime))
        default: speed = .none
        }
        switch word & 3 {
        case 1: order = .idle
        case 2: order = .oldest
        default: order = .random
        }
        isForced = word & 4 != 0
        begins = (word >> 33) * DrainPace.tick
    }

    // MARK: How long it takes

    /// Connections a second, once shedding begins with so many; nil: nobody is shed.
    public func rate(for connections: Int) -> Double? {
        switch speed {
        case .none: nil
        case .rate(let rate): rate
        case .over(let seconds): max(Double(connections), 1) / seconds
        }
    }

    /// Seconds until the last of so many connections is closed, as far as it can be told; nil: nothing closes them.
    /// - Parameter deadline: as ``begins``; nil: none.
    public func secondsLeft(connections: Int, now: UInt64, deadline: UInt64?) -> Double? {
        if connections == 0 { return 0 }
        func seconds(until time: UInt64) -> Double { time > now ? Double(time - now) / 1e9 : 0 }
        let shed = rate(for: connections).map { seconds(until: begins) + Double(connections) / $0 }
        return [shed, deadline.map(seconds)].compactMap { $0 }.min()
    }
}

/// What keeps a backend's connections from being shed: the others could not take the clients.
public enum DrainHindrance: Sendable, Hashable {
    /// No other backend of the service takes new connections.
    case nobody
    /// This one took them when shedding began, and is down now.
    case down(String)
    /// The same, and is at its limit.
    case full(String)
    /// Connects to this one fail.
    case failing(String)

    /// As the end of a sentence that begins with "paused: ".
    public var sentence: String {
        switch self {
        case .nobody: "no other backend of the service takes new connections"
        case .down(let name): "\(name) is down"
        case .full(let name): "\(name) is full"
        case .failing(let name): "connects to \(name) fail"
        }
    }
}

/// Watches the backends that are to take the clients of one that drains. Pure: it is told what there is to be seen.
public struct DrainWatch: Sendable {
    /// Another backend of the service, as it is now.
    public struct Survivor: Sendable {
        public var slot: Int
        public var name: String
        /// nil: it takes new connections.
        public var ineligible: AwayReason?
        /// Connects to it that have ever failed.
        public var failures: UInt64

        public init(slot: Int, name: String, ineligible: AwayReason?, failures: UInt64) {
            self.slot = slot
            self.name = name
            self.ineligible = ineligible
            self.failures = failures
        }
    }

    /// After a failed connect nobody more is sent for so long, in ns.
    public static let rest: UInt64 = 3_000_000_000

    /// By slot: those that have taken connections since shedding began.
    private var well: Set<Int> = []
    /// By slot: connects that had failed at the last look, and when one was seen last.
    private var failures: [Int: (count: UInt64, last: UInt64?)] = [:]

    public init() {}

    /// What is against sending anybody more there; nil: nothing. One that was down or full before does not count until it is
    /// well again; one that an operator takes out does not count from then on.
    /// - Parameter now: ns.
    public mutating func look(_ survivors: [Survivor], now: UInt64) -> DrainHindrance? {
        var found: DrainHindrance?
        for survivor in survivors {
            let known = failures[survivor.slot]
            var last = known?.last
            if let known, known.count != survivor.failures { last = now }
            failures[survivor.slot] = (survivor.failures, last)
            switch survivor.ineligible {
            case nil:
                well.insert(survivor.slot)
                if let last, now - min(now, last) < DrainWatch.rest { found = found ?? .failing(survivor.name) }
            case .down?:
                if well.contains(survivor.slot) { found = found ?? .down(survivor.name) }
            case .full?:
                if well.contains(survivor.slot) { found = found ?? .full(survivor.name) }
            case .drain?, .maintenance?: well.remove(survivor.slot)
            case .home?, .checking?, .connectFailed?, .affinity?: break
            }
        }
        return survivors.contains { $0.ineligible == nil } ? found : .nobody
    }
}
