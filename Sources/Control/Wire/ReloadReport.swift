/// Reads the configuration again and applies it: `POST /v1/reload`.
public struct ReloadRequest: Sendable, Equatable {
    /// Only say what would happen.
    public var dryRun: Bool

    public init(dryRun: Bool) {
        self.dryRun = dryRun
    }
}

/// The answer of `POST /v1/reload`: what has changed, or would.
public struct ReloadReport: Codable, Sendable, Equatable {
    public var dryRun: Bool
    /// Of the configuration that was read.
    public var configHash: String
    /// Empty where it is the one that is active already.
    public var changes: [Change]
    /// The services that were there and still are, in the order of the configuration.
    public var homes: [Homes]
    /// Where the connections of services whose answers change would be, once their clients have connected again.
    public var plans: [ServicePlan]
    /// Connections of what is removed: they stay until they end, or until the deadline.
    public var removedConnections: Int
    /// Seconds until what is left of ``removedConnections`` is closed; null: never.
    @Nullable public var removedDeadlineSeconds: Double?
    /// What its owner should know of the configuration, a line each.
    public var warnings: [String]

    /// One difference, by name.
    public struct Change: Codable, Sendable, Equatable {
        public enum Kind: String, Codable, Sendable, CaseIterable {
            case added, removed, changed
        }

        public enum Object: String, Codable, Sendable, CaseIterable {
            case daemon, service, listener, backend
        }

        public var change: Kind
        public var object: Object
        /// null for what concerns the whole daemon.
        @Nullable public var service: String?
        /// The name of a backend, the address of a listener; null for others.
        @Nullable public var name: String?
        /// The setting that is changed; null for what is added or removed.
        @Nullable public var key: String?
        @Nullable public var old: String?
        @Nullable public var new: String?

        public init(
            change: Kind, object: Object, service: String?, name: String?, key: String?, old: String?, new: String?
        ) {
            self.change = change
            self.object = object
            self.service = service
            self.name = name
            self.key = key
            self.old = old
            self.new = new
        }
    }

    /// How many clients of a service have another home afterwards. Nobody is moved by that: a client goes home with its
    /// next connection.
    public struct Homes: Codable, Sendable, Equatable {
        public var service: String
        /// Clients that are connected: what differs in the part of the address that is hashed.
        public var clients: Int
        /// Of ``clients``, those whose home is another.
        public var moved: Int
        /// Share of all clients that there can be whose home is another, 0 to 1.
        public var share: Double

        public init(service: String, clients: Int, moved: Int, share: Double) {
            self.service = service
            self.clients = clients
            self.moved = moved
            self.share = share
        }
    }

    public init(
        dryRun: Bool, configHash: String, changes: [Change], homes: [Homes], plans: [ServicePlan],
        removedConnections: Int,
        removedDeadlineSeconds: Double?, warnings: [String]
    ) {
        self.dryRun = dryRun
        self.configHash = configHash
        self.changes = changes
        self.homes = homes
        self.plans = plans
        self.removedConnections = removedConnections
        self.removedDeadlineSeconds = removedDeadlineSeconds
        self.warnings = warnings
    }

    enum CodingKeys: String, CodingKey {
        case changes, homes, plans, warnings
        case dryRun = "dry_run"
        case configHash = "config_hash"
        case removedConnections = "removed_connections"
        case removedDeadlineSeconds = "removed_deadline_seconds"
    }
}
