/// The registry: every key there is. A key that is not here does not exist, whatever the file says.
public enum ConfigurationKeys {

    // MARK: For the whole daemon

    public static let workers = daemon(
        "workers", .integer(1...64, word: "auto"), "auto", flag: true,
        "Number of forwarding threads; auto is one per processor that the daemon may use.")
    public static let maxConnections = daemon(
        "max-connections", .integer(1...10_000_000, word: "auto"), "auto", flag: true,
        "Connections at which accepting pauses, over all services; auto is what the descriptor limit allows.")
    public static let shutdownDelay = daemon(
        "shutdown-delay", .duration(.zero...hours(24), word: nil), "0s", flag: true,
        "Time for which a stop goes on accepting, not ready any more, before anything else.")
    public static let shutdownDrain = daemon(
        "shutdown-drain", .duration(.zero...year, word: nil), "0s", flag: true,
        "Time over which a stop closes connections, each at a quiet moment.")
    public static let removedDeadline = daemon(
        "removed-deadline", .duration(.zero...year, word: "never"), "never", flag: false,
        "Time that a reload leaves to the connections of a backend, listener or service that it removes.")
    public static let control = daemon(
        "control", .path(limit: 107), "by user", flag: true,
        "Path of the control socket.")
    public static let stateDirectory = daemon(
        "state-directory", .path(limit: 4000), "by user", flag: true,
        "Directory of the lock and of what survives a restart.")
    public static let user = daemon(
        "user", .account, "limpet", flag: true,
        "User to become once the listeners are bound, where the daemon starts as root.")
    public static let group = daemon(
        "group", .account, "the user's own", flag: true,
        "Group to become, where the daemon starts as root.")
    public static let logLevel = daemon(
        "log-level", .choice(LogLevel.allCases.map(\.rawValue)), LogLevel.info.rawValue, flag: true,
        "Least severity that is logged.")
    public static let logFormat = daemon(
        "log-format", .choice(LogFormat.allCases.map(\.rawValue)), LogFormat.text.rawValue, flag: true,
        "Form of the lines of the log.")
    public static let accessLog = daemon(
        "access-log", .choice(AccessLog.allCases.map(\.rawValue)), AccessLog.off.rawValue, flag: true,
        "Whether the log has a line for the end of each connection, or one for its start, too.")
    public static let metrics = daemon(
        "metrics", .endpointOr(word: "off"), "off", flag: true,
        "Where /metrics, /ready and /live are served over HTTP.")
    public static let statusPage = daemon(
        "status-page", .boolean, "false", flag: false,
        "Whether a page for people is served beside the metrics.")
    public static let statusPageClients = daemon(
        "status-page-clients", .boolean, "false", flag: false,
        "Whether that page shows addresses of clients.")
    public static let statusPageHosts = daemon(
        "status-page-hosts", .hosts, "[]", flag: false,
        "Names, beside addresses and localhost, by which that page may be asked for.")
    public static let hashKeyFile = daemon(
        "hash-key-file", .path(limit: 4000), "the published key", flag: true,
        "File of the secret key of all hashes: 32 hexadecimal digits.")
    public static let defaults = daemon(
        "defaults", .table(word: nil), "none", flag: false,
        "Settings for every service that does not set them itself.")
    public static let service = daemon(
        "service", .tables, nil, flag: false,
        "A service: its listening addresses and the backends behind them.")

    // MARK: What a service is

    public static let serviceName = ConfigurationKey(
        name: "name", section: .service, kind: .name, defaultText: nil, hasFlag: false,
        summary: "Name of the service, by which the commands and the log call it.")
    public static let listen = ConfigurationKey(
        name: "listen", section: .service, kind: .listeners, defaultText: nil, hasFlag: true,
        summary: "Where clients arrive.")
    public static let backend = ConfigurationKey(
        name: "backend", section: .service, kind: .tables, defaultText: nil, hasFlag: true,
        summary: "A backend: a server that connections go to.")

    // MARK: How a service behaves

    public static let hashOn = behaviour(
        "hash-on", .choice(["source", "source-port"]), "source", flag: true,
        "What of the client chooses its backend: its address, or its address and port.")
    public static let ipv4Prefix = behaviour(
        "ipv4-prefix", .integer(0...32, word: nil), "32", flag: true,
        "Leading bits of an IPv4 client address that are hashed.")
    public static let ipv6Prefix = behaviour(
        "ipv6-prefix", .integer(0...128, word: nil), "64", flag: true,
        "Leading bits of an IPv6 client address that are hashed.")
    public static let connectTimeout = behaviour(
        "connect-timeout", .duration(.milliseconds(1)...hours(1), word: nil), "3s", flag: true,
        "Time that one attempt to connect to a backend may take.")
    public static let connectAttempts = behaviour(
        "connect-attempts", .integer(1...64, word: nil), "3", flag: true,
        "Backends that are tried before the client is reset.")
    public static let passiveFall = behaviour(
        "passive-fall", .integer(1...1000, word: "off"), "3", flag: false,
        "Connects to a backend that fail in a row before it counts as down.")
    public static let slowStart = behaviour(
        "slow-start", .duration(.seconds(1)...hours(24), word: "off"), "off", flag: false,
        "Time over which a backend that comes back or is added gets its full weight.")
    public static let whenDown = behaviour(
        "when-down", .choice(["keep", "shed", "close"]), "keep", flag: false,
        "What becomes of the connections of a backend that goes down.")
    public static let whenAllDown = behaviour(
        "when-all-down", .choice(["any", "refuse"]), "any", flag: false,
        "What becomes of clients while no backend is up: any is tried, or they are refused.")
    public static let serviceMaxConnections = behaviour(
        "max-connections", .integer(1...10_000_000, word: "off"), "off", flag: false,
        "Connections of the service at which further clients are reset.")
    public static let maxConnectionsPerClient = behaviour(
        "max-connections-per-client", .integer(1...1_000_000, word: "off"), "off", flag: false,
        "Connections of one client at which further ones of it are reset.")
    public static let acceptRatePerClient = behaviour(
        "accept-rate-per-client", .integer(1...1_000_000, word: "off"), "off", flag: false,
        "Connections that one client may open in a second; further ones are reset.")
    public static let maxConnecting = behaviour(
        "max-connecting", .integer(1...1_000_000, word: nil), "256", flag: false,
        "Connects to one backend that may be under way; who comes then waits for one to end.")
    public static let maxLoadFactor = behaviour(
        "max-load-factor", .hundredths(100...10_000, word: "off"), "off", flag: false,
        "Times its fair share of the connections at which a backend counts as full.")
    public static let idleTimeout = behaviour(
        "idle-timeout", .duration(.milliseconds(100)...year, word: "off"), "off", flag: true,
        "Time without a byte either way after which a connection is closed.")
    public static let halfCloseTimeout = behaviour(
        "half-close-timeout", .duration(.milliseconds(100)...year, word: "off"), "5m", flag: false,
        "Time without a byte after which a connection that one side has ended is closed.")
    public static let userTimeout = behaviour(
        "user-timeout", .duration(.milliseconds(100)...hours(596), word: "off"), "5m", flag: false,
        "Time that sent data may stay unacknowledged before the connection is given up (TCP_USER_TIMEOUT).")
    public static let keepalive = behaviour(
        "keepalive", .table(word: "off"), "on", flag: false,
        "TCP keepalive towards both sides.")
    public static let sendProxy = behaviour(
        "send-proxy", .choice(["v1", "v2", "off"]), "off", flag: true,
        "Header of the PROXY protocol with which each connection to a backend begins, so that it knows the client.")
    public static let health = behaviour(
        "health", .check, "tcp", flag: true,
        "How it is found out whether the backends are well: by connecting, by asking for http:PATH, or not at all.")
    public static let healthInterval = behaviour(
        "health-interval", .duration(checkIntervals, word: nil), "2s", flag: true,
        "Time from one check of a backend to the next.")
    public static let receiveBuffer = behaviour(
        "receive-buffer", .size(bufferSizes, word: "auto"), "auto", flag: false,
        "Receive buffer of both sockets (SO_RCVBUF); auto leaves it to the kernel.")
    public static let sendBuffer = behaviour(
        "send-buffer", .size(bufferSizes, word: "auto"), "auto", flag: false,
        "Send buffer of both sockets (SO_SNDBUF); auto leaves it to the kernel.")

    // MARK: Backends

    public static let backendName = ConfigurationKey(
        name: "name", section: .backend, kind: .name, defaultText: nil, hasFlag: false,
        summary: "Name of the backend; it is what is hashed, so it stays when the address changes.")
    public static let address = ConfigurationKey(
        name: "address", section: .backend, kind: .backendAddress, defaultText: nil, hasFlag: false,
        summary: "Where the backend is reached.")
    public static let weight = ConfigurationKey(
        name: "weight", section: .backend, kind: .integer(1...256, word: nil), defaultText: "1", hasFlag: false,
        summary: "Share of the clients, in proportion to the weights of the other backends.")
    public static let backendMaxConnections = ConfigurationKey(
        name: "max-connections", section: .backend, kind: .integer(1...10_000_000, word: "off"), defaultText: "off",
        hasFlag: false, summary: "Connections at which the backend counts as full.")
    public static let backup = ConfigurationKey(
        name: "backup", section: .backend, kind: .boolean, defaultText: "false", hasFlag: false,
        summary: "Whether the backend is used only where no other of the service can be.")

    public static let backendHealth = ConfigurationKey(
        name: "health", section: .backend, kind: .check, defaultText: "the service's", hasFlag: false,
        summary: "How it is found out whether this backend is well, where that differs from the service's check.")

    // MARK: Health checks

    public static let healthType = check(
        "type", .choice(HealthCheck.Kind.words), "the service's, else tcp",
        "What a check does.")
    public static let healthMethod = check(
        "method", .choice(["GET", "HEAD", "OPTIONS"]), "GET", "http: the method of the request.")
    public static let healthPath = check(
        "path", .text(limit: 1024), "none; type http requires it", "http: the path that is asked for.")
    public static let healthHost = check(
        "host", .text(limit: 255), "the address that is asked", "http: the Host field of the request.")
    public static let healthStatus = check(
        "expect-status", .text(limit: 255), StatusList.standard.description,
        "http: statuses that pass: 200, 200-399, 2xx, or several of these with commas.")
    public static let healthBody = check(
        "expect-body", .text(limit: 1024), "none", "http: a text that the body has to contain.")
    public static let healthSend = check(
        "send", .text(limit: 1024), "none", "expect and agent: what is sent to the server first.")
    public static let healthExpect = check(
        "expect", .text(limit: 1024), "none; type expect requires it or expect-regex",
        "expect: a text that the server has to send.")
    public static let healthRegex = check(
        "expect-regex", .text(limit: 1024), "none",
        "expect: a regular expression that has to match in what the server sends.")
    public static let healthPort = check(
        "port", .integer(1...65535, word: nil), "the backend's", "The port that is checked.")
    public static let healthAddress = check(
        "address", .ipAddress, "the backend's", "The address that is checked.")
    public static let checkInterval = check(
        "interval", .duration(checkIntervals, word: nil), "health-interval", "Time from one check to the next.")
    public static let fastInterval = check(
        "fast-interval", .duration(checkIntervals, word: "auto"), "auto",
        "The same while a change is under way; auto is a quarter of interval.")
    public static let downInterval = check(
        "down-interval", .duration(checkIntervals, word: "auto"), "auto",
        "The same while the backend is down; auto is twice interval.")
    public static let checkTimeout = check(
        "timeout", .duration(.milliseconds(10)...Duration.seconds(60), word: nil), "2s",
        "Time that one check may take in all.")
    public static let rise = check(
        "rise", .integer(1...100, word: nil), "2", "Passed checks in a row that take a backend up.")
    public static let fall = check(
        "fall", .integer(1...100, word: nil), "3", "Failed checks in a row that take a backend down.")

    // MARK: Keepalive

    public static let keepaliveIdle = ConfigurationKey(
        name: "idle", section: .keepalive, kind: .seconds(keepaliveTimes), defaultText: "60s", hasFlag: false,
        summary: "Silence before the first probe.")
    public static let keepaliveInterval = ConfigurationKey(
        name: "interval", section: .keepalive, kind: .seconds(keepaliveTimes), defaultText: "10s", hasFlag: false,
        summary: "Time between probes.")
    public static let keepaliveCount = ConfigurationKey(
        name: "count", section: .keepalive, kind: .integer(1...127, word: nil), defaultText: "6", hasFlag: false,
        summary: "Unanswered probes before the connection is given up.")

    /// Every key, section by section, in the order of the manual and of the rendered configuration.
    public static let all: [ConfigurationKey] = [
        workers, maxConnections, shutdownDelay, shutdownDrain, removedDeadline, control, controlReadGroup,
        controlAdminGroup, stateDirectory, user, group, sandbox,
        logLevel, logFormat, accessLog, metrics, statusPage, statusPageClients, statusPageHosts, hashKeyFile,
        affinityEntries, resolvers, resolveInterval, resolveTimeout,
        defaults, service,
        serviceName, listen, backend,
        listenerAddress, device, freebind, v6only, mode, listenerOwner, listenerGroup, intercept,
        listenerAllow, listenerDeny,
        hashOn, ipv4Prefix, ipv6Prefix, connectTimeout, connectAttempts,
        source, sourceDevice, mark, transparent,
        passiveFall, slowStart, whenDown, whenAllDown,
        serviceMaxConnections, maxConnectionsPerClient, acceptRatePerClient, maxConnecting, maxLoadFactor,
        idleTimeout, halfCloseTimeout, userTimeout,
        keepalive, sendProxy, health, healthInterval, receiveBuffer, sendBuffer,
        clientFirst, acceptProxy, acceptProxyTimeout, sendProxyFields,
        allow, deny, affinity,
        backendName, address, expand, srv, family, weight, backendMaxConnections, backendHealth, backup,
        healthType, healthMethod, healthPath, healthHost, healthStatus, healthBody, healthSend, healthExpect,
        healthRegex,
        healthPort, healthAddress, checkInterval, fastInterval, downInterval, checkTimeout, rise, fall,
        keepaliveIdle, keepaliveInterval, keepaliveCount,
    ]

    /// What is settled when the daemon starts: another value waits for the next start, and a reload that brings one is
    /// refused. (``maxConnections`` may change, up to what the daemon was started for.)
    public static let fixedAtStart: [ConfigurationKey] = [
        workers, control, stateDirectory, user, group, sandbox, affinityEntries,
    ]

    /// The keys of some sections, in the order of ``all``.
    public static func keys(in sections: ConfigurationKey.Section...) -> [ConfigurationKey] {
        all.filter { sections.contains($0.section) }
    }

    private static func hours(_ count: Int) -> Duration { .seconds(count * 3600) }
    private static let year = hours(8760)
    private static let bufferSizes = 4096...512 * 1024 * 1024
    /// The kernel's bounds, tcp(7).
    private static let keepaliveTimes = Duration.seconds(1)...Duration.seconds(32767)

    private static let checkIntervals = HealthCheck.shortestInterval...hours(1)

    private static func check(
        _ name: String, _ kind: ConfigurationKey.Kind, _ defaultText: String, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, section: .health, kind: kind, defaultText: defaultText, hasFlag: false, summary: summary)
    }

    private static func daemon(
        _ name: String, _ kind: ConfigurationKey.Kind, _ defaultText: String?, flag: Bool, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, section: .daemon, kind: kind, defaultText: defaultText, hasFlag: flag, summary: summary)
    }

    private static func behaviour(
        _ name: String, _ kind: ConfigurationKey.Kind, _ defaultText: String, flag: Bool, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, section: .behaviour, kind: kind, defaultText: defaultText, hasFlag: flag, summary: summary)
    }
}
