/// How the drain of a backend stands, or how it is emptied by `disable --close`: the field `drain` of a backend.
public struct DrainRow: Codable, Sendable, Equatable {
    public enum Phase: String, Codable, Sendable, CaseIterable {
        /// Connections are left alone, until the deadline if there is one.
        case kept
        /// Shedding has not begun yet.
        case grace
        /// Connections are closed at a pace.
        case shedding
        /// The others could not take the clients: nobody is sent away.
        case paused
        /// The deadline has come, and what was left is being closed.
        case closing
        /// No connection is left.
        case done
    }

    public var phase: Phase
    /// Why it is paused; null where it is not.
    @Nullable public var reason: String?
    /// Connections a second; null where there is none, or it is not known before shedding begins.
    @Nullable public var rate: Double?
    /// Who goes first: random, idle, oldest; null where nobody is shed.
    @Nullable public var order: String?
    /// Whether the deadline counts whatever becomes of the others.
    public var forced: Bool
    /// Until shedding begins; 0 where it has.
    public var graceSeconds: Double
    /// Until the last connection is closed, as far as it can be told; null where it cannot.
    @Nullable public var secondsLeft: Double?

    public init(
        phase: Phase, reason: String? = nil, rate: Double? = nil, order: String? = nil, forced: Bool = false,
        graceSeconds: Double = 0, secondsLeft: Double? = nil
    ) {
        self.phase = phase
        self.reason = reason
        self.rate = rate
        self.order = order
        self.forced = forced
        self.graceSeconds = graceSeconds
        self.secondsLeft = secondsLeft
    }

    enum CodingKeys: String, CodingKey {
        case phase, reason, rate, order, forced
        case graceSeconds = "grace_seconds"
        case secondsLeft = "seconds_left"
    }
}
