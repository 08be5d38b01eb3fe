/// Why a backend was passed over for a new connection; for a connection: why it is not at its home.
///
/// The raw value is written into a connection's record when it is accepted and must not change.
public enum AwayReason: UInt8, Sendable, CaseIterable {
    /// Nothing was passed over: the connection is at home.
    case home = 0
    case drain = 1
    case maintenance = 2
    case down = 3
    case checking = 4
    case full = 5
    /// It was eligible, but could not be connected to.
    case connectFailed = 6
    /// It was eligible, but another is remembered as the client's.
    case affinity = 7

    /// One word, for tables and JSON; where a state of a backend is the reason, that state's.
    public var word: String {
        switch self {
        case .home: "home"
        case .drain: "draining"
        case .maintenance: "maintenance"
        case .down: "down"
        case .checking: "checking"
        case .full: "full"
        case .connectFailed: "connect-failed"
        case .affinity: "affinity"
        }
    }

    /// What it means, as the end of a sentence that begins with the backend's name.
    public var sentence: String {
        switch self {
        case .home: "is the client's first choice"
        case .drain: "is draining and takes no new connections"
        case .maintenance: "is in maintenance and takes no new connections"
        case .down: "is down"
        case .checking: "has not passed its first health check yet"
        case .full: "has reached its limit of connections"
        case .connectFailed: "could not be connected to"
        case .affinity: "is the client's first choice, but another backend is remembered as its own"
        }
    }
}

/// How good a backend is for a new connection, best first: one of a tier is used only where no better tier has any.
public enum Tier: UInt8, Sendable, CaseIterable {
    /// Up, or not checked at all.
    case up = 0
    /// Its first check has not passed yet.
    case checking = 1
    /// Down by health, and the service tries those where there is nothing else.
    case down = 2
}

/// What a service does with clients when none of its backends is up.
public enum WhenAllDown: String, Sendable, CaseIterable {
    /// Their preference order is tried anyway: better a connect that may fail than a reset for certain.
    case any
    /// They are reset.
    case refuse
}

/// Whether a backend may take a new connection.
public enum Eligibility {
    /// nil: never to be used now. What an operator wants and a limit are not overridden, however bad things are.
    public static func tier(intent: Intent, health: Health, isFull: Bool, whenAllDown: WhenAllDown) -> Tier? {
        guard intent == .ready, !isFull else { return nil }
        switch health {
        case .unchecked, .up: return .up
        case .checking: return .checking
        case .down: return whenAllDown == .any ? .down : nil
        case .draining, .maintenance: return nil
        }
    }

    /// Nil for a backend that may; else the reason why not. Where several hold, the one that ``BackendState`` shows.
    public static func reason(intent: Intent, health: Health, isFull: Bool) -> AwayReason? {
        switch (intent, health) {
        case (.maintenance, _), (.ready, .maintenance): .maintenance
        case (.drain, _), (.ready, .draining): .drain
        case (.ready, .down): .down
        case (.ready, .checking): .checking
        case (.ready, .unchecked), (.ready, .up): isFull ? .full : nil
        }
    }
}
