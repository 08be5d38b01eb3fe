/// The answer of `GET /v1/top`: all that changes fast, of one moment. Rates are differences between two of them.
public struct TopReport: Codable, Sendable, Equatable {
    public var uptimeSeconds: Double
    /// Connections that exist now, in any state.
    public var connections: Int
    public var maxConnections: Int
    /// Open descriptors of engine and keeper, which share them.
    public var descriptors: Int
    public var descriptorLimit: Int
    /// Pipes that exist, and of these those with bytes in them.
    public var pipes: Int
    public var pipesHeld: Int
    public var maxPipes: Int
    public var workers: [Worker]
    public var backends: [BackendRow]
    public var listeners: [ListenerRow]
    /// Of the local ports of connections to backends, those that are nearest to their end; null where none were counted.
    @Nullable public var sourcePorts: SourcePortsRow?

    public struct Worker: Codable, Sendable, Equatable {
        /// From 0.
        public var worker: Int
        public var connections: Int
        /// Processor time of its thread since this engine began.
        public var processorSeconds: Double

        public init(worker: Int, connections: Int, processorSeconds: Double) {
            self.worker = worker
            self.connections = connections
            self.processorSeconds = processorSeconds
        }

        enum CodingKeys: String, CodingKey {
            case worker, connections
            case processorSeconds = "processor_seconds"
        }
    }

    public init(
        uptimeSeconds: Double, connections: Int, maxConnections: Int, descriptors: Int, descriptorLimit: Int,
        pipes: Int, pipesHeld: Int, maxPipes: Int, workers: [Worker], backends: [BackendRow], listeners: [ListenerRow],
        sourcePorts: SourcePortsRow? = nil
    ) {
        self.uptimeSeconds = uptimeSeconds
        self.connections = connections
        self.maxConnections = maxConnections
        self.descriptors = descriptors
        self.descriptorLimit = descriptorLimit
        self.pipes = pipes
        self.pipesHeld = pipesHeld
        self.maxPipes = maxPipes
        self.workers = workers
        self.backends = backends
        self.listeners = listeners
        self.sourcePorts = sourcePorts
    }

    enum CodingKeys: String, CodingKey {
        case connections, descriptors, pipes, workers, backends, listeners
        case uptimeSeconds = "uptime_seconds"
        case maxConnections = "max_connections"
        case descriptorLimit = "descriptor_limit"
        case pipesHeld = "pipes_held"
        case maxPipes = "max_pipes"
        case sourcePorts = "source_ports"
    }
}
