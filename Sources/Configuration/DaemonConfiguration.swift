public import Addressing
public import Backends
public import Stickiness

/// Everything that limpetd was told, validated: one value, whether it came from flags, from a file, or from both.
///
/// A value of this type is always usable: every reference resolves, every range has been checked. Pure data; any
/// thread may hold a copy.
public struct DaemonConfiguration: Sendable, Equatable {
    /// The services, in the order of the file. Never empty; names and listening addresses are unique.
    public var services: [ServiceConfiguration]
    /// Number of forwarding threads, 1 to 64; nil: one per core that the process may use.
    public var workers: Int?
    /// Upper bound of concurrent connections over all services; nil: what the descriptor limit allows.
    public var maxConnections: Int?
    /// Time for which a daemon that is to end says so and accepts on. Zero: none.
    public var shutdownDelay: Duration = .zero
    /// Time over which a daemon that ends closes its connections, each at a quiet moment. Zero: at once.
    public var shutdownDrain: Duration = .zero
    /// Time after which the connections of a backend, listener or service that a reload has removed are closed; nil: never.
    public var removedDeadline: Duration?
    /// Path of the control socket; nil: the default for the user that runs the daemon.
    public var controlPath: String?
    /// Groups, by name or number, whose members may read by it, nil: the daemon's; and may change, nil: none.
    public var controlReadGroup: String?
    public var controlAdminGroup: String?
    /// Directory of the lock and of what survives a restart; nil: the default for the user that runs the daemon.
    public var stateDirectory: String?
    /// User and group to become after binding, where the daemon starts as root. nil: `limpet`.
    public var user: String?
    public var group: String?
    /// Whether the daemon gives up what it does not need of the kernel.
    public var sandbox: SandboxMode = .on
    public var logLevel: LogLevel = .info
    public var logFormat: LogFormat = .text
    public var accessLog: AccessLog = .off
    /// Where metrics and readiness are served over HTTP; nil: nowhere. Port 0 asks the kernel for a free port.
    public var metrics: Endpoint?
    /// The page for people, at the same address.
    public var statusPage = StatusPageConfiguration()
    /// The key of all hashes. Published default unless `hash-key-file` names another.
    public var hashKey: HashKey = .published
    /// The file that the key came from; nil when it is the published default.
    public var hashKeyFile: String?
    /// Clients that are remembered, 1024 to ``mostAffinityEntries``.
    public var affinityEntries = 65536
    public static let mostAffinityEntries = 1_048_576
    /// The contents of the files that access lists name, by path. The rules of the lists follow from them.
    public var networkFiles: [String: [Prefix]] = [:] {
        didSet { compileAccess() }
    }
    /// Name servers; empty: those of the system.
    public var resolvers: [Endpoint] = []
    /// Time after which a name is asked for again; nil: as long as the answer counts.
    public var resolveInterval: Duration?
    /// Time that one question to the name servers may take.
    public var resolveTimeout: Duration = .seconds(5)

    public init(services: [ServiceConfiguration]) {
        self.services = services
    }
}

/// The page for people.
public struct StatusPageConfiguration: Sendable, Equatable {
    public var isServed = false
    /// Whether it shows addresses of clients.
    public var showsClients = false
    /// Names, beside addresses and localhost, by which it may be asked for.
    public var hosts: [String] = []

    public init() {}

    /// Whether a text can be the name of a host, without a port: labels of letters, digits, hyphens and underscores.
    static func isHost(_ text: String) -> Bool {
        guard (1...253).contains(text.utf8.count) else { return false }
        return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.utf8.count)
                && label.unicodeScalars.allSatisfy {
                    $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "-" || $0 == "_")
                }
        }
    }
}

/// Severities of the log, in swift-log's order and spelling.
public enum LogLevel: String, Sendable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
}

/// How a line of the log looks.
public enum LogFormat: String, Sendable, CaseIterable {
    case text, json
}

/// Of what in the life of a connection the log has a line.
public enum AccessLog: String, Sendable, CaseIterable {
    case off, end, both
}

/// One or more listening addresses and the backends behind them.
public struct ServiceConfiguration: Sendable, Equatable {
    /// 1 to 64 characters of `A–Z a–z 0–9 . _ -`; unique.
    public var name: String
    /// Where clients arrive. Never empty. Port 0 asks the kernel for a free port.
    public var listeners: [ListenerConfiguration]
    /// Where connections go, in the order of the file (which plays no part in the choice). Never empty.
    public var backends: [BackendConfiguration]
    /// What of the client's address is hashed.
    public var hashOn: HashInput = .source
    public var mask: SourceMask = SourceMask()
    public var connectTimeout: Duration = .seconds(3)
    /// Backends to try before the client is reset, 1 to 64.
    public var connectAttempts: Int = 3
    public var source = SourceConfiguration()
    /// Connects to a backend that fail in a row before it counts as down, 1 to 1000; nil: they change nothing.
    public var passiveFall: Int? = 3
    /// Time over which a backend that comes back or is added gets its full weight; nil: it has it at once.
    public var slowStart: Duration?
    public var whenDown: WhenDown = .keep
    public var whenAllDown: WhenAllDown = .any
    /// Connections, over all backends; nil: no limit.
    public var maxConnections: Int?
    /// Connections of one client, and how many it may open in a second; nil: no limit.
    public var maxConnectionsPerClient: Int?
    public var acceptRatePerClient: Int?
    /// Connects to one backend that may be under way.
    public var maxConnecting: Int = 256
    /// Times its fair share of the connections at which a backend counts as full, in hundredths; nil: loads do not count.
    public var maxLoadFactor: Int?
    /// nil: off.
    public var idleTimeout: Duration?
    /// How long a half-closed connection may live without a byte; nil: off.
    public var halfCloseTimeout: Duration? = .seconds(300)
    /// TCP_USER_TIMEOUT of both sides; nil: the kernel's own behaviour.
    public var userTimeout: Duration? = .seconds(300)
    /// TCP keepalive of both sides; nil: off.
    public var keepalive: Keepalive? = Keepalive()
    /// The PROXY header that backends get; nil: none.
    public var sendProxy: ProxyVersion?
    /// Whether clients speak first: who has sent nothing yet is not accepted (TCP_DEFER_ACCEPT).
    public var isClientFirst = false
    /// What it says beside the addresses, each once; only in version 2.
    public var sendProxyFields: [ProxyField] = []
    /// Networks whose connections have to begin with a PROXY header, and the time in which it has to come.
    public var acceptProxy: [Prefix] = []
    public var acceptProxyTimeout: Duration = .seconds(3)
    /// Who may come in, by whatever listener.
    public var access = AccessConfiguration()
    /// Time after its last connection for which a client keeps its backend; nil: its home alone decides.
    public var affinity: Duration?
    /// How its backends are checked, where they do not say otherwise.
    public var health = HealthCheck()
    /// SO_RCVBUF and SO_SNDBUF of both sides in bytes; nil: the kernel tunes by itself.
    public var receiveBuffer: Int?
    public var sendBuffer: Int?

    public init(name: String, listeners: [ListenerConfiguration], backends: [BackendConfiguration]) {
        self.name = name
        self.listeners = listeners
        self.backends = backends
    }
}

/// Forms of the PROXY protocol's header.
public enum ProxyVersion: String, Sendable, CaseIterable {
    /// A line of text.
    case v1
    /// Binary.
    case v2
}

/// TCP keepalive probes, see tcp(7).
public struct Keepalive: Sendable, Equatable {
    /// Idle time before the first probe, 1 s to 32767 s in whole seconds.
    public var idle: Duration = .seconds(60)
    /// Time between probes, 1 s to 32767 s in whole seconds.
    public var interval: Duration = .seconds(10)
    /// Unanswered probes before the connection is given up, 1 to 127.
    public var count: Int = 6

    public init() {}
}

/// A named server.
public struct BackendConfiguration: Sendable, Equatable {
    /// 1 to 64 characters of `A–Z a–z 0–9 . _ -`; unique in its service. It is what is hashed.
    public var name: String
    public var address: BackendAddress
    /// 1 to 256.
    public var weight: Int = 1
    /// Connections at which the backend counts as full; nil: no limit.
    public var maxConnections: Int?
    /// How it is checked; nil: as its service says.
    public var health: HealthCheck?
    /// 0: it is none; n: used only where no backend of a lower tier can be. A file knows 0 and 1, SRV records more.
    public var backupTier = 0
    /// Each address of its name is a backend of its own.
    public var expands = false
    /// Which addresses of its name count, or of the names in its SRV records; any where it has no name.
    public var family = NameFamily.any
    /// The name of the SRV records that say where its backends are; nil: ``address`` says it.
    public var service: HostName?
    /// The name of the backend in the file that this one was made of; nil: it stands there itself.
    public var template: String?

    /// Used only where no backend of the service that is none can be.
    public var isBackup: Bool {
        get { backupTier > 0 }
        set { backupTier = newValue ? 1 : 0 }
    }

    public init(name: String, address: BackendAddress) {
        self.name = name
        self.address = address
    }

    public init(name: String, address: Endpoint) {
        self.init(name: name, address: .endpoint(address))
    }
}
