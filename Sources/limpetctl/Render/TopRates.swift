import Control

/// What lies between two reports of ``TopReport``, by the second. Counters that have become smaller, as those of a slot that
/// was given to another backend, count as 0.
struct TopRates: Codable, Sendable {
    /// Seconds between the two.
    var intervalSeconds: Double
    var uptimeSeconds: Double
    var connections: Int
    var maxConnections: Int
    var acceptsPerSecond: Double
    var descriptors: Int
    var descriptorLimit: Int
    var pipes: Int
    var pipesHeld: Int
    var maxPipes: Int
    var workers: [Worker]
    var backends: [Backend]
    var listeners: [Listener]
    @Nullable var sourcePorts: SourcePortsRow?

    struct Worker: Codable, Sendable {
        var worker: Int
        var connections: Int
        /// Share of the time that its thread has used a processor, 0 to 1.
        var busy: Double
    }

    struct Backend: Codable, Sendable {
        var service: String
        var name: String
        var state: BackendRow.State
        var connections: Int
        var connecting: Int
        var away: Int
        /// Connections to it that were made.
        var connectsPerSecond: Double
        var bytesInPerSecond: Double
        var bytesOutPerSecond: Double
        var failuresPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case service, name, state, connections, connecting, away
            case connectsPerSecond = "connects_per_second"
            case bytesInPerSecond = "bytes_in_per_second"
            case bytesOutPerSecond = "bytes_out_per_second"
            case failuresPerSecond = "failures_per_second"
        }
    }

    struct Listener: Codable, Sendable {
        var service: String
        var name: String
        var state: ListenerRow.State
        var connections: Int
        var acceptsPerSecond: Double
        var refusedPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case service, name, state, connections
            case acceptsPerSecond = "accepts_per_second"
            case refusedPerSecond = "refused_per_second"
        }
    }

    enum CodingKeys: String, CodingKey {
        case connections, descriptors, pipes, workers, backends, listeners
        case intervalSeconds = "interval_seconds"
        case uptimeSeconds = "uptime_seconds"
        case maxConnections = "max_connections"
        case acceptsPerSecond = "accepts_per_second"
        case descriptorLimit = "descriptor_limit"
        case pipesHeld = "pipes_held"
        case maxPipes = "max_pipes"
        case sourcePorts = "source_ports"
    }

    init(from before: TopReport, to now: TopReport) {
        let interval = now.uptimeSeconds - before.uptimeSeconds
        func rate(_ old: UInt64?, _ new: UInt64) -> Double {
            guard let old, interval > 0, new > old else { return 0 }
            return Double(new - old) / interval
        }
        let backends = Dictionary(before.backends.map { ($0.fullName, $0) }, uniquingKeysWith: { $1 })
        let listeners = Dictionary(before.listeners.map { ($0.service + " " + $0.name, $0) }, uniquingKeysWith: { $1 })
        let workers = Dictionary(before.workers.map { ($0.worker, $0) }, uniquingKeysWith: { $1 })
        intervalSeconds = interval
        uptimeSeconds = now.uptimeSeconds
        connections = now.connections
        maxConnections = now.maxConnections
        descriptors = now.descriptors
        descriptorLimit = now.descriptorLimit
        pipes = now.pipes
        pipesHeld = now.pipesHeld
        maxPipes = now.maxPipes
        sourcePorts = now.sourcePorts
        self.workers = now.workers.map { worker in
            let used = worker.processorSeconds - (workers[worker.worker]?.processorSeconds ?? worker.processorSeconds)
            return Worker(
                worker: worker.worker, connections: worker.connections,
                busy: interval > 0 ? min(1, max(0, used / interval)) : 0)
        }
        self.backends = now.backends.map { row in
            let old = backends[row.fullName]
            return Backend(
                service: row.service, name: row.name, state: row.state, connections: row.connections,
                connecting: row.connecting, away: row.away, connectsPerSecond: rate(old?.total, row.total),
                bytesInPerSecond: rate(old?.bytesIn, row.bytesIn), bytesOutPerSecond: rate(old?.bytesOut, row.bytesOut),
                failuresPerSecond: rate(old?.connectFailures, row.connectFailures))
        }
        self.listeners = now.listeners.map { row in
            let old = listeners[row.service + " " + row.name]
            return Listener(
                service: row.service, name: row.name, state: row.state, connections: row.connections,
                acceptsPerSecond: rate(old?.accepted, row.accepted), refusedPerSecond: rate(old?.refused, row.refused))
        }
        acceptsPerSecond = self.listeners.reduce(0) { $0 + $1.acceptsPerSecond }
    }
}
