public import Addressing

/// Whom to ask, and how long. Plain value.
public struct ResolverSettings: Sendable, Equatable {
    /// Name servers; empty: those of the system (resolv.conf), as they are at each question.
    public var servers: [Endpoint]
    /// Time for a whole question, over all servers, repetitions and the search list.
    public var timeout: Duration

    /// Times that each server is asked.
    static let tries = 3

    public init(servers: [Endpoint] = [], timeout: Duration = .seconds(5)) {
        self.servers = servers
        self.timeout = timeout
    }

    /// What c-ares takes: `192.0.2.53:53,[2001:db8::53]:53`.
    var list: String { servers.map(\.description).joined(separator: ",") }
}
