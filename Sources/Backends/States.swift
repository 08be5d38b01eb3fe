/// What the operator wants of a backend. Kept apart from ``Health``: neither overwrites the other.
///
/// The raw values are stored in shared memory and must not change.
public enum Intent: UInt8, Sendable, CaseIterable {
    /// Take new connections.
    case ready = 0
    /// No new connections; those that exist run out.
    case drain = 1
    /// No new connections and no health checks; those that exist are left alone.
    case maintenance = 2

    /// The word that is shown and configured.
    public var word: String {
        switch self {
        case .ready: "ready"
        case .drain: "drain"
        case .maintenance: "maintenance"
        }
    }
}

/// What is known of a backend by looking. Kept apart from ``Intent``.
///
/// The raw values are stored in shared memory and must not change.
public enum Health: UInt8, Sendable, CaseIterable {
    /// No check is configured: counts as up.
    case unchecked = 0
    /// Checks run but none has passed yet.
    case checking = 1
    case up = 2
    case down = 3
    /// Well, and asks by its agent for no new connections.
    case draining = 4
    /// The same, as in maintenance.
    case maintenance = 5

    /// The word that is shown.
    public var word: String {
        switch self {
        case .unchecked: "unchecked"
        case .checking: "checking"
        case .up: "up"
        case .down: "down"
        case .draining: "draining"
        case .maintenance: "maintenance"
        }
    }
}

/// The one word for a backend in tables: both axes and the limit together.
///
/// The raw values are stored in shared memory and must not change; 0 stands there for none.
public enum BackendState: UInt8, Sendable, CaseIterable {
    case maintenance = 1
    case draining = 2
    case drained = 3
    case down = 4
    case checking = 5
    case full = 6
    case up = 7

    /// What an operator decided goes before what was observed, and that before what is a matter of load.
    /// - Parameter connections: those that the backend has now, connecting ones included; a draining backend without
    ///   any is drained.
    public init(intent: Intent, health: Health, isFull: Bool, connections: Int) {
        self =
            switch (intent, health) {
            case (.maintenance, _), (.ready, .maintenance): .maintenance
            case (.drain, _), (.ready, .draining): connections > 0 ? .draining : .drained
            case (.ready, .down): .down
            case (.ready, .checking): .checking
            case (.ready, .unchecked), (.ready, .up): isFull ? .full : .up
            }
    }
}
