/// Why a connection has ended, or a client was not taken in. A closed list: every end has one of these, and limpetd(8) says
/// what each means.
///
/// The numbers lie in the shared region and stay what they are; there is room for 31.
public enum EndReason: UInt8, CaseIterable, Sendable {
    /// Both sides have sent FIN, the client first.
    case clientFIN = 1
    /// Both sides have sent FIN, the backend first.
    case backendFIN = 2
    case clientReset = 3
    case backendReset = 4
    /// The client answered no more: keepalive, the user time-out or the network said so.
    case clientTimeout = 5
    case backendTimeout = 6
    /// `idle-timeout`.
    case idle = 7
    /// `half-close-timeout`: one side had sent FIN, and the other was quiet for too long after.
    case halfClosed = 8
    case drain = 9
    /// `disable --close`.
    case disable = 10
    /// `removed-deadline`, after a reload took the backend or listener away.
    case removed = 11
    /// `when-down`: its backend is down.
    case down = 12
    case rehome = 13
    /// `close`.
    case `operator` = 14
    case shutdown = 15
    /// No backend might be asked.
    case noBackend = 16
    /// All backends that were asked failed.
    case connectFailure = 17
    /// This machine had not the memory, descriptors or epoll watches that it takes.
    case local = 18
    /// Three engines in a row died with it in hand.
    case fault = 19
    /// An engine died with it in hand, and what had been sent could not be told.
    case unrecoverable = 20
    /// `max-connections` of the service. This one and the three below never had a backend, nor, but for clients that came by a
    /// proxy, a place in the table.
    case serviceLimit = 21
    /// `max-connections-per-client`.
    case clientLimit = 22
    /// `accept-rate-per-client`.
    case clientRate = 23
    /// The listener is paused and refuses.
    case paused = 24
    /// Its end had begun under an earlier version of limpetd, which did not write down why.
    case unknown = 25
    /// `allow` and `deny`, of the service or of the listener.
    case denied = 26
    /// A trusted proxy has sent no PROXY header, or none that can be read.
    case proxyHeader = 27
    /// A client that is no trusted proxy has sent a PROXY header.
    case proxyUntrusted = 28
    /// No local address had a port left for a connection to a backend.
    case sourcePorts = 29

    /// As the log and the metrics write it.
    public var word: String {
        switch self {
        case .clientFIN: "client-fin"
        case .backendFIN: "backend-fin"
        case .clientReset: "client-rst"
        case .backendReset: "backend-rst"
        case .clientTimeout: "client-timeout"
        case .backendTimeout: "backend-timeout"
        case .idle: "idle"
        case .halfClosed: "half-closed"
        case .drain: "drain"
        case .disable: "disable"
        case .removed: "removed"
        case .down: "down"
        case .rehome: "rehome"
        case .operator: "operator"
        case .shutdown: "shutdown"
        case .noBackend: "no-backend"
        case .connectFailure: "connect-failure"
        case .local: "local"
        case .fault: "fault"
        case .unrecoverable: "unrecoverable"
        case .serviceLimit: "service-limit"
        case .clientLimit: "client-limit"
        case .clientRate: "client-rate"
        case .paused: "paused"
        case .unknown: "unknown"
        case .denied: "denied"
        case .proxyHeader: "proxy-header"
        case .proxyUntrusted: "proxy-untrusted"
        case .sourcePorts: "source-ports"
        }
    }

    public var by: EndedBy {
        switch self {
        case .clientFIN, .clientReset, .clientTimeout: .client
        case .backendFIN, .backendReset, .backendTimeout, .connectFailure: .backend
        case .drain, .disable, .removed, .rehome, .operator, .shutdown, .paused: .operator
        case .idle, .halfClosed, .down, .noBackend, .local, .fault, .unrecoverable, .serviceLimit, .clientLimit,
            .clientRate, .unknown, .denied, .proxyHeader, .proxyUntrusted, .sourcePorts:
            .limpetd
        }
    }

    /// Whether clients end so that were reset without having been given to a backend: what a listener counts as refused.
    public var isRefusal: Bool {
        switch self {
        case .noBackend, .connectFailure, .serviceLimit, .clientLimit, .clientRate, .paused: true
        case .proxyHeader, .proxyUntrusted, .sourcePorts, .denied: true
        default: false
        }
    }

    /// An orderly end, which gives way to any other that comes before it is complete.
    var isFIN: Bool { self == .clientFIN || self == .backendFIN }
}

/// Who has ended a connection.
public enum EndedBy: String, CaseIterable, Sendable {
    case client, backend, `operator`, limpetd
}
