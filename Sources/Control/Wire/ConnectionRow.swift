public import Addressing

/// One connection: a line of `GET /v1/connections`.
///
/// Addresses stay values until a row is written, so that rows which a filter drops cost no formatting.
public struct ConnectionRow: Codable, Sendable, Equatable {
    public enum State: String, Codable, Sendable, CaseIterable {
        case connecting, open
        case halfClosed = "half_closed"
        case closing
    }

    public var id: ConnectionID
    public var service: String
    /// The listening address that it came in by.
    public var listener: String
    /// The backend that serves it, or that is being connected to; `-` where there is none yet: it waits for its PROXY header,
    /// or for a connect to be its own to start.
    public var backend: String
    /// The first in the client's order of preference, computed now.
    public var home: String
    /// Who the client is: from the PROXY header when there is one.
    public var client: Endpoint
    /// Who is connected.
    public var peer: Endpoint
    /// Our end of the client's socket.
    /// null where it came by a Unix socket: the ``listener`` says which.
    @Nullable public var clientLocal: Endpoint?
    /// null as long as there is no backend.
    @Nullable public var backendAddress: BackendAddress?
    /// Our end of the backend's socket; null before the first connect has been started, and where it is a Unix socket.
    @Nullable public var backendLocal: Endpoint?
    public var state: State
    /// Since it was accepted.
    public var ageSeconds: Double
    /// Since the last byte in either direction; since it was accepted, when there was none.
    public var idleSeconds: Double
    /// Bytes from the client to the backend.
    public var bytesIn: UInt64
    /// Bytes from the backend to the client.
    public var bytesOut: UInt64
    /// The worker that serves it, from 0.
    public var worker: Int
    /// Why another backend than its home serves it, as it was when it was accepted; null where it was at home.
    @Nullable public var awayReason: String?
    /// What the kernel says of it; null where that was not asked for, and where it ended meanwhile.
    @Nullable public var kernel: Kernel?
    /// Where it lies in the table. For the server alone, never sent.
    public var position = 0

    /// What the kernel says of a connection, each figure of its own moment.
    public struct Kernel: Codable, Sendable, Equatable {
        /// null: there is no such socket yet, or any more.
        @Nullable public var client: Side?
        @Nullable public var backend: Side?
        /// Bytes that wait in the pipe from the client to the backend.
        public var pipeIn: Int
        /// Bytes that wait in the pipe from the backend to the client.
        public var pipeOut: Int

        public init(client: Side?, backend: Side?, pipeIn: Int, pipeOut: Int) {
            self.client = client
            self.backend = backend
            self.pipeIn = pipeIn
            self.pipeOut = pipeOut
        }

        enum CodingKeys: String, CodingKey {
            case client, backend
            case pipeIn = "pipe_in"
            case pipeOut = "pipe_out"
        }
    }

    /// One of its sockets.
    public struct Side: Codable, Sendable, Equatable {
        /// Smoothed round-trip time; null: not known yet.
        @Nullable public var rttSeconds: Double?
        /// Segments that were sent again, ever; null where it is a Unix socket.
        @Nullable public var retransmits: Int?
        /// Bytes that were written and that the peer has not acknowledged; null where it is a Unix socket.
        @Nullable public var unacknowledged: Int?
        /// Bytes that have come and were not read.
        public var unread: Int

        public init(rttSeconds: Double?, retransmits: Int?, unacknowledged: Int?, unread: Int) {
            self.rttSeconds = rttSeconds
            self.retransmits = retransmits
            self.unacknowledged = unacknowledged
            self.unread = unread
        }

        enum CodingKeys: String, CodingKey {
            case retransmits, unacknowledged, unread
            case rttSeconds = "rtt_seconds"
        }
    }

    public init(
        id: ConnectionID, service: String, listener: String, backend: String, home: String, client: Endpoint,
        peer: Endpoint, clientLocal: Endpoint?, backendAddress: BackendAddress?, backendLocal: Endpoint?, state: State,
        ageSeconds: Double, idleSeconds: Double, bytesIn: UInt64, bytesOut: UInt64, worker: Int,
        awayReason: String? = nil, kernel: Kernel? = nil, position: Int = 0
    ) {
        self.id = id
        self.service = service
        self.listener = listener
        self.backend = backend
        self.home = home
        self.client = client
        self.peer = peer
        self.clientLocal = clientLocal
        self.backendAddress = backendAddress
        self.backendLocal = backendLocal
        self.state = state
        self.ageSeconds = ageSeconds
        self.idleSeconds = idleSeconds
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.worker = worker
        self.awayReason = awayReason
        self.kernel = kernel
        self.position = position
    }

    enum CodingKeys: String, CodingKey {
        case id, service, listener, backend, home, client, peer, state, worker, kernel
        case awayReason = "away_reason"
        case clientLocal = "client_local"
        case backendAddress = "backend_address"
        case backendLocal = "backend_local"
        case ageSeconds = "age_seconds"
        case idleSeconds = "idle_seconds"
        case bytesIn = "bytes_in"
        case bytesOut = "bytes_out"
    }
}

/// In JSON it is its text: `203.0.113.7:5222`, `unix:/run/app.sock` or `ws.example.org:5222`.
extension BackendAddress: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do throws(BackendAddressError) {
            self = try BackendAddress(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// In JSON an endpoint is its text: `203.0.113.7:5222` or `[2001:db8::7]:5222`; a user's is `unix:uid=1000`.
extension Endpoint: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        if let client = IPAddress(client: text), client.family == .user {
            self.init(address: client, port: 0)
            return
        }
        do throws(EndpointError) {
            self = try Endpoint(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
