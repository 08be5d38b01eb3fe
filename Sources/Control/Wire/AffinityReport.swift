public import Addressing

/// Clients that are remembered: `GET /v1/affinity`, and to be forgotten: `POST /v1/affinity`.
public struct AffinityRequest: Sendable, Equatable {
    /// A client, or with a service that hashes networks, any address of its; nil: all.
    public var address: IPAddress?
    /// The client's port, where the service hashes it; nil: any.
    public var port: UInt16?
    /// An existing service; nil: all.
    public var service: String?
    /// Rows at most.
    public var limit: Int
    public var force: Bool

    /// Rows where nobody says how many, and how many may be asked for.
    public static let defaultLimit = 1000
    public static let mostRows = 10_000

    public init(
        address: IPAddress?, port: UInt16? = nil, service: String?, limit: Int = AffinityRequest.defaultLimit,
        force: Bool = false
    ) {
        self.address = address
        self.port = port
        self.service = service
        self.limit = limit
        self.force = force
    }
}

/// The answer of `GET /v1/affinity`.
public struct AffinityReport: Codable, Sendable, Equatable {
    /// Clients that are remembered and that the request means; ``clients`` may have fewer.
    public var entries: Int
    /// Clients that can be remembered, over all services.
    public var limit: Int
    /// Connections that went to the backend that was remembered.
    public var hits: UInt64
    /// Connections of remembered clients that went to another.
    public var moves: UInt64
    /// Clients that were forgotten before their time, for want of room.
    public var evictions: UInt64
    /// In the order of services and addresses.
    public var clients: [Client]

    public struct Client: Codable, Sendable, Equatable {
        public var service: String
        /// As much of the client as is hashed: an address or a network, with the port where that counts.
        public var client: String
        public var backend: String
        /// Where it would go otherwise; null: the service has no backend.
        @Nullable public var home: String?
        public var connections: Int
        /// Until it is forgotten; null: it has connections, and is not.
        @Nullable public var secondsLeft: Double?

        public init(
            service: String, client: String, backend: String, home: String?, connections: Int, secondsLeft: Double?
        ) {
            self.service = service
            self.client = client
            self.backend = backend
            self.home = home
            self.connections = connections
            self.secondsLeft = secondsLeft
        }

        enum CodingKeys: String, CodingKey {
            case service, client, backend, home, connections
            case secondsLeft = "seconds_left"
        }
    }

    public init(entries: Int, limit: Int, hits: UInt64, moves: UInt64, evictions: UInt64, clients: [Client]) {
        self.entries = entries
        self.limit = limit
        self.hits = hits
        self.moves = moves
        self.evictions = evictions
        self.clients = clients
    }
}

/// The answer of `POST /v1/affinity`.
public struct AffinityClearReport: Codable, Sendable, Equatable {
    /// Clients that were forgotten.
    public var cleared: Int

    public init(cleared: Int) {
        self.cleared = cleared
    }
}
