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
    public var listener: Endpoint
    /// The backend that serves it, or that is being connected to.
    public var backend: String
    /// The first in the client's order of preference, computed now.
    public var home: String
    /// Who the client is: from the PROXY header when there is one.
    public var client: Endpoint
    /// Who is connected.
    public var peer: Endpoint
    /// Our end of the client's socket.
    public var clientLocal: Endpoint
    public var backendAddress: Endpoint
    /// Our end of the backend's socket; null before the first connect has been started.
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

    public init(
        id: ConnectionID, service: String, listener: Endpoint, backend: String, home: String, client: Endpoint,
        peer: Endpoint, clientLocal: Endpoint, backendAddress: Endpoint, backendLocal: Endpoint?, state: State,
        ageSeconds: Double, idleSeconds: Double, bytesIn: UInt64, bytesOut: UInt64, worker: Int
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
    }

    enum CodingKeys: String, CodingKey {
        case id, service, listener, backend, home, client, peer, state, worker
        case clientLocal = "client_local"
        case backendAddress = "backend_address"
        case backendLocal = "backend_local"
        case ageSeconds = "age_seconds"
        case idleSeconds = "idle_seconds"
        case bytesIn = "bytes_in"
        case bytesOut = "bytes_out"
    }
}

/// In JSON an endpoint is its text: `203.0.113.7:5222` or `[2001:db8::7]:5222`.
extension Endpoint: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
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
