/// The answer of `GET /v1/status`. The daemon's version is in the envelope, see ``Reply``.
public struct StatusReport: Codable, Sendable, Equatable {
    /// The process that systemd knows: the keeper's.
    public var pid: Int32
    /// The process that works. Equal to ``pid`` where one process does both.
    public var enginePID: Int32
    /// Counts the engines that this keeper has started, from 1.
    public var engineGeneration: Int
    /// Since the keeper started.
    public var uptimeSeconds: Double
    public var ready: Bool
    public var workers: Int
    /// Connections that exist now, in any state.
    public var connections: Int
    /// Where accepting pauses.
    public var maxConnections: Int
    /// RLIMIT_NOFILE as it is in force.
    public var descriptorLimit: Int
    /// Times that an accept or a connect found no descriptor left.
    public var descriptorFailures: UInt64
    /// Connects that failed for a lack of this machine: descriptors, local ports, memory.
    public var localFailures: UInt64
    /// Pipes that exist now. Each holds bytes that wait for a slow reader, or waits to be used.
    public var pipes: Int
    /// As many pipes may exist.
    public var maxPipes: Int
    /// Times that a worker wanted a pipe and got none; it then forwards without, more slowly.
    public var pipesRefused: UInt64
    /// The permitted capabilities, spelt as in capabilities(7) (`CAP_NET_BIND_SERVICE`); empty: none.
    public var capabilities: [String]
    /// What keeps the daemon from doing what it never has to.
    public var sandbox: SandboxReport
    /// The user that the daemon runs as: its name, or its number where it has none.
    public var user: String
    /// Hash of the active configuration: equal on two instances that were told the same.
    public var configHash: String
    public var services: [ServiceStatus]
    /// What operators have set and the configuration says otherwise, service by service.
    public var differences: [Difference]
    /// Where metrics and readiness are served over HTTP; null: nowhere.
    @Nullable public var metrics: String?
    /// Why what operators have set would not survive a restart; null where it would.
    @Nullable public var unsaved: String?
    /// Local ports of connections to backends, nearest to the end first; null where they were not counted in time.
    @Nullable public var sourcePorts: [SourcePortsRow]?
    /// The last death of an engine; null: none since the keeper started.
    @Nullable public var lastDeath: EngineDeath?

    public init(
        pid: Int32, enginePID: Int32, engineGeneration: Int, uptimeSeconds: Double, ready: Bool, workers: Int,
        connections: Int, maxConnections: Int, descriptorLimit: Int, descriptorFailures: UInt64,
        localFailures: UInt64, pipes: Int, maxPipes: Int, pipesRefused: UInt64, capabilities: [String],
        sandbox: SandboxReport, user: String, configHash: String, services: [ServiceStatus],
        differences: [Difference] = [], metrics: String? = nil, unsaved: String? = nil,
        sourcePorts: [SourcePortsRow]? = nil, lastDeath: EngineDeath?
    ) {
        self.pid = pid
        self.enginePID = enginePID
        self.engineGeneration = engineGeneration
        self.uptimeSeconds = uptimeSeconds
        self.ready = ready
        self.workers = workers
        self.connections = connections
        self.maxConnections = maxConnections
        self.descriptorLimit = descriptorLimit
        self.descriptorFailures = descriptorFailures
        self.localFailures = localFailures
        self.pipes = pipes
        self.maxPipes = maxPipes
        self.pipesRefused = pipesRefused
        self.capabilities = capabilities
        self.sandbox = sandbox
        self.user = user
        self.configHash = configHash
        self.services = services
        self.differences = differences
        self.metrics = metrics
        self.unsaved = unsaved
        self.sourcePorts = sourcePorts
        self.lastDeath = lastDeath
    }

    enum CodingKeys: String, CodingKey {
        case pid, ready, workers, connections, pipes, capabilities, sandbox, user, services
        case differences, metrics, unsaved
        case enginePID = "engine_pid"
        case engineGeneration = "engine_generation"
        case uptimeSeconds = "uptime_seconds"
        case maxConnections = "max_connections"
        case descriptorLimit = "descriptor_limit"
        case descriptorFailures = "descriptor_failures"
        case localFailures = "local_failures"
        case maxPipes = "max_pipes"
        case pipesRefused = "pipes_refused"
        case configHash = "config_hash"
        case sourcePorts = "source_ports"
        case lastDeath = "last_death"
    }
}

/// A service as ``StatusReport`` lists it.
public struct ServiceStatus: Codable, Sendable, Equatable {
    public var name: String
    /// Of key, masks, names and effective weights: equal on two instances if and only if they answer alike.
    public var mappingHash: String

    public init(name: String, mappingHash: String) {
        self.name = name
        self.mappingHash = mappingHash
    }

    enum CodingKeys: String, CodingKey {
        case name
        case mappingHash = "mapping_hash"
    }
}

/// A value in force that is not the configuration's.
public struct Difference: Codable, Sendable, Equatable {
    public enum Field: String, Codable, Sendable, CaseIterable {
        case intent, weight
    }

    public var service: String
    public var backend: String
    public var field: Field
    /// In force: a word, or a number in decimal.
    public var value: String
    /// What the configuration says.
    public var configured: String
    /// When it was set.
    public var since: Timestamp

    public init(service: String, backend: String, field: Field, value: String, configured: String, since: Timestamp) {
        self.service = service
        self.backend = backend
        self.field = field
        self.value = value
        self.configured = configured
        self.since = since
    }
}

/// When and why an engine ended that should not have.
public struct EngineDeath: Codable, Sendable, Equatable {
    public var time: Timestamp
    /// In words, with the signal's name where there was one.
    public var reason: String
    /// Return addresses, innermost first: `limpetd+0x1f00d` as addr2line(1) takes them, a plain address outside of the
    /// program. Empty where none could be had.
    public var trace: [String]
    /// Of the program that died, by which its symbols are found; null where it has none or nothing could be written down.
    @Nullable public var buildID: String?

    public init(time: Timestamp, reason: String, trace: [String], buildID: String?) {
        self.time = time
        self.reason = reason
        self.trace = trace
        self.buildID = buildID
    }

    enum CodingKeys: String, CodingKey {
        case time, reason, trace
        case buildID = "build_id"
    }
}

/// The effective configuration. The socket sends the text alone (`GET /v1/config`); this is what programs make of it.
public struct ConfigurationReport: Codable, Sendable, Equatable {
    public var toml: String

    public init(toml: String) {
        self.toml = toml
    }
}

/// The answer of `GET /v1/ready`, sent with status 200 or 503.
public struct ReadyReport: Codable, Sendable, Equatable {
    public var ready: Bool
    /// Why not; null when ready.
    @Nullable public var reason: String?

    public init(ready: Bool, reason: String?) {
        self.ready = ready
        self.reason = reason
    }
}

/// What limpetctl makes of `GET /v1/metrics`, whose body is the text itself.
public struct MetricsReport: Codable, Sendable, Equatable {
    /// In Prometheus' text format.
    public var metrics: String

    public init(metrics: String) {
        self.metrics = metrics
    }
}

/// Media type of the metrics: Prometheus' text format.
public let metricsMediaType = "text/plain; version=0.0.4; charset=utf-8"
