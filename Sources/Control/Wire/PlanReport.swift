/// Asks what a change would move: `GET /v1/plan`.
public struct PlanRequest: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        case drain, disable
        /// 1 to 256; nil: what the configuration says.
        case weight(Int?)
    }

    /// An existing backend.
    public var backend: BackendName
    public var action: Action

    public init(backend: BackendName, action: Action) {
        self.backend = backend
        self.action = action
    }
}

/// The answer of `GET /v1/plan`. Nothing has changed.
public struct PlanReport: Codable, Sendable, Equatable {
    /// drain, disable or weight.
    public var action: String
    public var backend: String
    /// That would be in force; null where the action is another.
    @Nullable public var weight: Int?
    /// Whether the action would be refused without force, as it would leave its service without a backend.
    public var needsForce: Bool
    public var plan: ServicePlan

    public init(action: String, backend: String, weight: Int?, needsForce: Bool, plan: ServicePlan) {
        self.action = action
        self.backend = backend
        self.weight = weight
        self.needsForce = needsForce
        self.plan = plan
    }

    enum CodingKeys: String, CodingKey {
        case action, backend, weight, plan
        case needsForce = "needs_force"
    }
}

/// Where the connections of a service would be after a change, and its backends' loads.
public struct ServicePlan: Codable, Sendable, Equatable {
    public var service: String
    /// All that there are now.
    public var connections: Int
    /// Those that would be at another backend.
    public var moving: Int
    /// Of ``moving``, those that no backend would take.
    public var homeless: Int
    /// The fullest backend of those that take clients, in proportion to its weight, as a multiple of the average; null:
    /// there is nothing to compare.
    @Nullable public var maxOverAverage: Double?
    @Nullable public var maxOverAverageAfter: Double?
    /// In the order of the configuration, those that are removed last.
    public var backends: [Backend]

    public struct Backend: Codable, Sendable, Equatable {
        public var backend: String
        public var connections: Int
        public var leaving: Int
        public var arriving: Int
        /// Of all that move, 0 to 1.
        public var share: Double
        public var connectionsAfter: Int
        /// Afterwards; null: none.
        @Nullable public var limit: Int?
        /// Connections whose next choice this would be, had it room: they go on to the one after.
        public var passedOn: Int

        public init(
            backend: String, connections: Int, leaving: Int, arriving: Int, share: Double, connectionsAfter: Int,
            limit: Int?, passedOn: Int
        ) {
            self.backend = backend
            self.connections = connections
            self.leaving = leaving
            self.arriving = arriving
            self.share = share
            self.connectionsAfter = connectionsAfter
            self.limit = limit
            self.passedOn = passedOn
        }

        enum CodingKeys: String, CodingKey {
            case backend, connections, leaving, arriving, share, limit
            case connectionsAfter = "connections_after"
            case passedOn = "passed_on"
        }
    }

    public init(
        service: String, connections: Int, moving: Int, homeless: Int, maxOverAverage: Double?,
        maxOverAverageAfter: Double?, backends: [Backend]
    ) {
        self.service = service
        self.connections = connections
        self.moving = moving
        self.homeless = homeless
        self.maxOverAverage = maxOverAverage
        self.maxOverAverageAfter = maxOverAverageAfter
        self.backends = backends
    }

    enum CodingKeys: String, CodingKey {
        case service, connections, moving, homeless, backends
        case maxOverAverage = "max_over_average"
        case maxOverAverageAfter = "max_over_average_after"
    }
}
