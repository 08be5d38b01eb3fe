public import Addressing
public import Backends

/// Asks for the preference order of a client: `GET /v1/where`.
public struct WhereRequest: Sendable, Equatable {
    public var address: IPAddress
    /// The client's source port: nil where none was given, which only a service that hashes ports objects to.
    public var port: UInt16?
    /// An existing service.
    public var service: String
    /// As many backends may be imagined away.
    public static let mostLeftOut = 100
    /// Names of that service's backends to imagine away.
    public var without: [String]

    public init(address: IPAddress, port: UInt16?, service: String, without: [String]) {
        self.address = address
        self.port = port
        self.service = service
        self.without = without
    }
}

/// The answer of `GET /v1/where`.
public struct WhereReport: Codable, Sendable, Equatable {
    /// The client's address as it was asked, with its port where one was given.
    public var address: String
    /// What of it is hashed, in text: the masked address, with the port where that counts.
    public var key: String
    public var service: String
    /// The backend that a connection would go to; null: none is eligible.
    @Nullable public var chosen: String?
    /// Why this one, in words.
    public var reason: String
    /// All backends of the service in the client's order.
    public var preference: [Preference]

    /// The backend that is remembered as the client's; null: none is.
    @Nullable public var remembered: String?
    /// The access lists that do not let the client in; empty: all do.
    public var denials: [Denial]

    /// An access list that does not let the client in.
    public struct Denial: Codable, Sendable, Equatable {
        /// The listener whose list it is; null: the service's own.
        @Nullable public var listener: String?
        /// What decides: `deny 10.0.0.0/8`, or that no network of allow has the client.
        public var rule: String

        public init(listener: String?, rule: String) {
            self.listener = listener
            self.rule = rule
        }
    }

    /// A backend in the order of preference.
    public struct Preference: Codable, Sendable, Equatable {
        public var backend: String
        public var eligible: Bool
        /// Why it is not eligible; null where it is.
        @Nullable public var reason: String?

        public init(backend: String, eligible: Bool, reason: String?) {
            self.backend = backend
            self.eligible = eligible
            self.reason = reason
        }
    }

    public init(
        address: String, key: String, service: String, chosen: String?, reason: String, preference: [Preference],
        remembered: String? = nil, denials: [Denial] = []
    ) {
        self.remembered = remembered
        self.denials = denials
        self.address = address
        self.key = key
        self.service = service
        self.chosen = chosen
        self.reason = reason
        self.preference = preference
    }
}

/// Excludes a backend from new connections: `POST /v1/drain`.
public struct DrainRequest: Sendable, Equatable {
    /// An existing backend.
    public var backend: BackendName
    /// Nobody is shed before this time is over.
    public var grace: Duration
    /// How fast connections are shed.
    public var speed: DrainPace.Speed
    /// Who goes first.
    public var order: Shedder.Order
    /// What is left after this time is closed; nil: nothing ever is.
    public var deadline: Duration?
    /// Drain even the last eligible backend of the service, and let the deadline count whatever becomes of the others.
    public var force: Bool

    public init(
        backend: BackendName, grace: Duration = .zero, speed: DrainPace.Speed = .none, order: Shedder.Order = .random,
        deadline: Duration? = nil, force: Bool = false
    ) {
        self.backend = backend
        self.grace = grace
        self.speed = speed
        self.order = order
        self.deadline = deadline
        self.force = force
    }
}

/// Undoes a drain or a maintenance: `POST /v1/undrain`, `POST /v1/enable`.
public struct BackendRequest: Sendable, Equatable {
    /// An existing backend.
    public var backend: BackendName

    public init(backend: BackendName) {
        self.backend = backend
    }
}

/// Takes a backend into maintenance: `POST /v1/disable`.
public struct DisableRequest: Sendable, Equatable {
    /// An existing backend.
    public var backend: BackendName
    /// Close its connections too.
    public var close: Bool
    /// With ``close``: over this time, each at a quiet moment where one comes; nil: at once.
    public var over: Duration?
    /// Disable even the last eligible backend of the service, close even where there are connections.
    public var force: Bool

    public init(backend: BackendName, close: Bool, over: Duration? = nil, force: Bool) {
        self.backend = backend
        self.close = close
        self.over = over
        self.force = force
    }
}

/// Stops taking clients in, or begins again: `POST /v1/pause`, `POST /v1/resume`.
public struct ListenerRequest: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        /// Clients wait in the kernel's queue.
        case pause
        /// They are reset.
        case refuse
        case resume
    }

    /// Of existing listeners, as rows have them.
    public var names: [String]
    public var action: Action

    public init(names: [String], action: Action) {
        self.names = names
        self.action = action
    }
}

/// Sets a backend's weight: `POST /v1/weight`.
public struct WeightRequest: Sendable, Equatable {
    /// An existing backend.
    public var backend: BackendName
    /// 1 to 256; nil: what the configuration says.
    public var weight: Int?

    public init(backend: BackendName, weight: Int?) {
        self.backend = backend
        self.weight = weight
    }
}

/// How a weight is written.
public enum WeightText {
    public static let range = 1...256
    /// The word that gives a weight back to the configuration.
    public static let file = "file"
}

/// The answer to what changes a backend's intent or weight, sent once the change has been written down or could not be.
public struct BackendChange: Codable, Sendable, Equatable {
    /// The one that was meant, as it is now.
    public var backends: [BackendRow]
    /// Why the change, which is in force, would not survive a restart; null where it would.
    @Nullable public var unsaved: String?

    public init(backend: BackendRow, unsaved: String?) {
        backends = [backend]
        self.unsaved = unsaved
    }
}

/// Brings clients that are away home, by closing their connections at a pace: `POST /v1/rehome`.
public struct RehomeRequest: Sendable, Equatable {
    /// An existing service; nil: all.
    public var service: String?
    /// Connections a second, 0 to 100000; 0 ends what is under way. nil: the daemon's choice.
    public var rate: Int?

    public init(service: String?, rate: Int?) {
        self.service = service
        self.rate = rate
    }
}

/// The answer of `POST /v1/rehome`, sent when it begins.
public struct RehomeReport: Codable, Sendable, Equatable {
    /// Connections that are to be closed.
    public var connections: Int
    /// Connections a second.
    public var rate: Int

    public init(connections: Int, rate: Int) {
        self.connections = connections
        self.rate = rate
    }
}

/// Rates of connections, as they are written.
public enum RateText {
    public static let range = 0...100_000

    /// The number in `20/s` or `20`; nil where it is none, or out of range.
    public static func parse(_ text: String) -> Int? {
        let number = text.hasSuffix("/s") ? String(text.dropLast(2)) : text
        guard number.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        return Int(number).flatMap { range.contains($0) ? $0 : nil }
    }
}

/// Ends the daemon: `POST /v1/shutdown`.
public struct ShutdownRequest: Sendable, Equatable {
    /// How long connections may take to end by themselves; nil: as the configuration says.
    public var drain: Duration?

    public init(drain: Duration?) {
        self.drain = drain
    }
}

/// The answer of `POST /v1/shutdown`, sent before anything has happened.
public struct ShutdownReport: Codable, Sendable, Equatable {
    /// Connections at that moment.
    public var connections: Int

    public init(connections: Int) {
        self.connections = connections
    }
}
