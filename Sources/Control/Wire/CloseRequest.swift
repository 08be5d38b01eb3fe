public import Addressing

/// Closes connections: `POST /v1/close`.
public struct CloseRequest: Sendable, Equatable {
    public enum Selector: Sendable, Equatable {
        /// By number; those that have gone are reported as missing.
        case ids([ConnectionID])
        /// All that match.
        case matching(ConnectionSelector)
    }

    public var selector: Selector
    /// RST instead of FIN.
    public var reset: Bool
    /// Close even where it is more than one.
    public var force: Bool

    public init(selector: Selector, reset: Bool, force: Bool) {
        self.selector = selector
        self.reset = reset
        self.force = force
    }
}

/// Which connections are meant: those that match all that is given.
public struct ConnectionSelector: Sendable, Equatable, CustomStringConvertible {
    /// An existing service.
    public var service: String?
    /// An existing backend, or one that a reload has removed.
    public var backend: BackendName?
    /// Holds the client's address.
    public var client: Prefix?
    public var state: ConnectionRow.State?
    /// Accepted at least so long ago.
    public var older: Duration?
    /// Without a byte for at least so long.
    public var idle: Duration?

    public init(
        service: String? = nil, backend: BackendName? = nil, client: Prefix? = nil, state: ConnectionRow.State? = nil,
        older: Duration? = nil, idle: Duration? = nil
    ) {
        self.service = service
        self.backend = backend
        self.client = client
        self.state = state
        self.older = older
        self.idle = idle
    }

    /// As on a command line; empty for all connections.
    public var description: String {
        [
            service.map { "--service \($0)" }, backend.map { "--backend \($0)" }, client.map { "--client \($0)" },
            state.map { "--state \($0.rawValue)" }, older.map { "--older \(DurationText.age(seconds: $0.inSeconds))" },
            idle.map { "--idle \(DurationText.age(seconds: $0.inSeconds))" },
        ].compactMap { $0 }.joined(separator: " ")
    }
}

/// The answer of `POST /v1/close`.
public struct CloseReport: Codable, Sendable, Equatable {
    /// How many connections were told to close.
    public var closed: Int
    /// Numbers that were asked for and that no connection has.
    public var missing: [ConnectionID]

    public init(closed: Int, missing: [ConnectionID] = []) {
        self.closed = closed
        self.missing = missing
    }
}
