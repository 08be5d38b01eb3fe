public import Addressing

/// One backend, in `GET /v1/backends`.
public struct BackendRow: Codable, Sendable, Equatable {
    /// What the operator wants.
    public enum Intent: String, Codable, Sendable, CaseIterable {
        case ready, drain, maintenance
    }

    /// What the checks say; up where none is configured.
    public enum Health: String, Codable, Sendable, CaseIterable {
        case checking, up, down
    }

    /// Intent, health and limit in one word, in this precedence: maintenance, draining or drained, down, checking,
    /// full, up. Removed: a reload has taken it out of the configuration, and connections of it are left.
    public enum State: String, Codable, Sendable, CaseIterable {
        case up, checking, draining, drained, maintenance, down, full, removed
    }

    /// How it stands with the name that a backend is given by.
    public struct Resolution: Codable, Sendable, Equatable {
        /// What is asked for: `ws1.example.net`, or `SRV _ws._tcp.example.net`.
        public var name: String
        /// Where the backend is, in the order in which it is tried; empty where ``BackendRow/address`` is an address.
        public var addresses: [String]
        /// Records of the last good answer; 0: there has been none.
        public var records: Int
        /// Records of the last answer that were left out: too many, or none that could be used.
        public var leftOut: Int
        /// When the last good answer came; null: not since the engine began.
        @Nullable public var answeredAt: Timestamp?
        /// What was wrong with the last answer; null: nothing.
        @Nullable public var error: String?
        /// The backend in the configuration that this one was made of; null: it stands there itself.
        @Nullable public var template: String?

        public init(
            name: String, addresses: [String], records: Int, leftOut: Int, answeredAt: Timestamp?, error: String?,
            template: String?
        ) {
            self.name = name
            self.addresses = addresses
            self.records = records
            self.leftOut = leftOut
            self.answeredAt = answeredAt
            self.error = error
            self.template = template
        }

        enum CodingKeys: String, CodingKey {
            case name, addresses, records, error, template
            case leftOut = "left_out"
            case answeredAt = "answered_at"
        }
    }

    public var service: String
    public var name: String
    public var address: BackendAddress
    public var state: State
    public var intent: Intent
    public var health: Health
    /// In force now; 0 where it is removed.
    public var weight: Int
    /// As the configuration says.
    public var weightConfigured: Int
    /// Established connections.
    public var connections: Int
    /// Connections whose connect to this backend is under way.
    public var connecting: Int
    /// Of ``connections``, those whose home is another backend.
    public var away: Int
    /// Connections that were ever established.
    public var total: UInt64
    /// Bytes from clients to this backend.
    public var bytesIn: UInt64
    /// Bytes from this backend to clients.
    public var bytesOut: UInt64
    public var connectFailures: UInt64
    /// Connections that went to another backend because a connect to this one failed.
    public var fallbacks: UInt64
    /// When ``state`` last changed.
    public var since: Timestamp
    /// When an operator last asked for the ``intent`` that differs from the configuration's; null where none does.
    @Nullable public var intentSince: Timestamp?
    /// When what is left of its connections will be closed; null: never.
    @Nullable public var closesAt: Timestamp?
    /// When an operator set the ``weight`` that differs from the configuration's; null where it does not.
    @Nullable public var weightSince: Timestamp?
    /// How its health is checked: tcp, http and so on, or off.
    public var check: String
    /// What the last check found, in words; null where none has been made.
    @Nullable public var checkResult: String?
    /// When the last check ended; null where none has been made.
    @Nullable public var checkedAt: Timestamp?
    /// When the next one is due; null where none is.
    @Nullable public var nextCheck: Timestamp?
    /// Share of the ``weight`` that counts while the backend starts slowly, 0.1 to 0.9; null where all of it does.
    @Nullable public var ramp: Double?
    /// How its drain stands; null where the ``intent`` is ready.
    @Nullable public var drain: DrainRow?
    /// How it stands with its name; null where it is given by none.
    @Nullable public var resolution: Resolution?

    public init(
        service: String, name: String, address: BackendAddress, state: State, intent: Intent, health: Health,
        weight: Int,
        weightConfigured: Int, connections: Int, connecting: Int, away: Int, total: UInt64, bytesIn: UInt64,
        bytesOut: UInt64, connectFailures: UInt64, fallbacks: UInt64, since: Timestamp,
        intentSince: Timestamp? = nil, closesAt: Timestamp? = nil, weightSince: Timestamp? = nil, check: String = "off",
        checkResult: String? = nil, checkedAt: Timestamp? = nil, nextCheck: Timestamp? = nil, ramp: Double? = nil,
        drain: DrainRow? = nil, resolution: Resolution? = nil
    ) {
        self.service = service
        self.name = name
        self.address = address
        self.state = state
        self.intent = intent
        self.health = health
        self.weight = weight
        self.weightConfigured = weightConfigured
        self.connections = connections
        self.connecting = connecting
        self.away = away
        self.total = total
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.connectFailures = connectFailures
        self.fallbacks = fallbacks
        self.since = since
        self.intentSince = intentSince
        self.closesAt = closesAt
        self.weightSince = weightSince
        self.check = check
        self.checkResult = checkResult
        self.checkedAt = checkedAt
        self.nextCheck = nextCheck
        self.ramp = ramp
        self.drain = drain
        self.resolution = resolution
    }

    /// `service/backend`.
    public var fullName: BackendName { BackendName(service: service, backend: name) }

    enum CodingKeys: String, CodingKey {
        case service, name, address, state, intent, health, weight, connections, connecting, away, total, fallbacks
        case since, ramp, drain, resolution
        case weightConfigured = "weight_configured"
        case bytesIn = "bytes_in"
        case bytesOut = "bytes_out"
        case connectFailures = "connect_failures"
        case intentSince = "intent_since"
        case closesAt = "closes_at"
        case weightSince = "weight_since"
        case check
        case checkResult = "check_result"
        case checkedAt = "checked_at"
        case nextCheck = "next_check"
    }
}

/// One listening address, in `GET /v1/listeners`.
public struct ListenerRow: Codable, Sendable, Equatable {
    public enum State: String, Codable, Sendable, CaseIterable {
        case accepting, paused
        /// Who arrives is reset, because an operator wants it so.
        case refusing
    }

    public var service: String
    /// The address, and the network interface where it is bound to one: `0.0.0.0%eth0:80`.
    public var name: String
    /// As bound: with the port that the kernel chose where the configuration says 0.
    public var address: String
    /// Connections that came in here and exist now.
    public var connections: Int
    public var accepted: UInt64
    /// Connections that were accepted and given up before they had a backend.
    public var refused: UInt64
    public var state: State
    /// Why it does not accept; null while it does.
    @Nullable public var reason: String?
    /// How it is bound, where not as is usual: `device=eth0`, `freebind`, `v6only=false`.
    public var options: [String]

    public init(
        service: String, name: String, address: String, connections: Int, accepted: UInt64, refused: UInt64,
        state: State, reason: String?, options: [String] = []
    ) {
        self.service = service
        self.name = name
        self.address = address
        self.connections = connections
        self.accepted = accepted
        self.refused = refused
        self.state = state
        self.reason = reason
        self.options = options
    }
}

/// The answer of `GET /v1/backends`.
public struct BackendsReport: Codable, Sendable, Equatable {
    public var backends: [BackendRow]

    public init(backends: [BackendRow]) {
        self.backends = backends
    }
}

/// The answer of `GET /v1/listeners`.
public struct ListenersReport: Codable, Sendable, Equatable {
    public var listeners: [ListenerRow]

    public init(listeners: [ListenerRow]) {
        self.listeners = listeners
    }
}
