/// Puts another executable in the place of the running one: `POST /v1/upgrade`.
public struct UpgradeRequest: Sendable, Equatable {
    /// Absolute; nil: where the running one was started from.
    public var path: String?
    /// Never go back to the running one, however the new one fares.
    public var noRollback: Bool

    public init(path: String?, noRollback: Bool) {
        self.path = path
        self.noRollback = noRollback
    }
}

/// How an upgrade stands: the answer of `POST /v1/upgrade`, sent when it has begun, and of `GET /v1/upgrades/ID`.
public struct UpgradeReport: Codable, Sendable, Equatable {
    public enum State: String, Codable, Sendable, CaseIterable {
        /// The new executable is being looked at and asked.
        case checking
        /// The running one makes way.
        case parking
        /// The new one has taken over and does not serve yet.
        case starting
        /// Done.
        case serving
        /// Nothing has changed.
        case refused
        /// The new one failed, and the one before serves again.
        case rolledBack = "rolled_back"
    }

    /// Counts the upgrades of this daemon, from 1.
    public var id: UInt64
    public var state: State
    public var oldVersion: String
    /// null: it is not known yet, or never was.
    @Nullable public var newVersion: String?
    /// Connections that were kept; null until the new version serves.
    @Nullable public var connections: Int?
    /// From the moment at which the first worker was told to stop to that at which the last one served again; null until
    /// then.
    @Nullable public var pauseMilliseconds: Double?
    /// Why it was refused or rolled back; null where it was not.
    @Nullable public var reason: String?

    public init(
        id: UInt64, state: State, oldVersion: String, newVersion: String?, connections: Int? = nil,
        pauseMilliseconds: Double? = nil, reason: String? = nil
    ) {
        self.id = id
        self.state = state
        self.oldVersion = oldVersion
        self.newVersion = newVersion
        self.connections = connections
        self.pauseMilliseconds = pauseMilliseconds
        self.reason = reason
    }

    /// Whether it will not change any more, unless the new version fails later.
    public var isOver: Bool {
        switch state {
        case .checking, .parking, .starting: false
        case .serving, .refused, .rolledBack: true
        }
    }

    enum CodingKeys: String, CodingKey {
        case id, state, connections, reason
        case oldVersion = "old_version"
        case newVersion = "new_version"
        case pauseMilliseconds = "pause_ms"
    }
}
