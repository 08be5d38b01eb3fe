import Addressing
import Configuration
import Control
import Forwarding
import Linux

/// Counts the local ports that connections to backends take.
///
/// The kernel is asked, because a port is taken until its TIME_WAIT is over, and by other programs' connections as well.
/// Where it does not answer, the connections of this daemon are counted. Takes as long as there are sockets on the machine:
/// for a thread of its own.
struct PortCensus: Sendable {
    /// A backend whose ports are counted.
    struct Target: Sendable {
        let service: String
        let backend: String
        let endpoint: Endpoint
        /// The addresses that its connections come from; none: the kernel chooses.
        let sources: [IPAddress]
        let isTransparent: Bool
    }

    struct Result: Sendable {
        var rows: [SourcePortsRow] = []
        /// Why the kernel did not say; nil: it did.
        var failure: Errno?
        /// What it took, in ns.
        var cost: UInt64 = 0
    }

    let targets: [Target]
    let table: ConnectionTable

    func count() -> Result {
        let begin = Clock.now()
        var counts: [Endpoint: [IPAddress: Int]] = [:]
        for target in targets { counts[target.endpoint] = [:] }
        var result = Result()
        for family in Set(targets.map(\.endpoint.address.family)) {
            let failure = TCPSockets.visit(family) { local, peer in
                guard let index = counts.index(forKey: peer) else { return }
                counts.values[index][local, default: 0] += 1
            }
            if let failure { result.failure = failure }
        }
        if result.failure != nil { countOwn(&counts) }
        let limit = ProcessUsage.localPortCount
        for target in targets {
            let used = counts[target.endpoint] ?? [:]
            func add(_ source: String, _ used: Int) {
                result.rows.append(
                    SourcePortsRow(
                        service: target.service, backend: target.backend, source: source, used: used, limit: limit))
            }
            if target.sources.isEmpty {
                add(target.isTransparent ? "client" : "auto", used.values.max() ?? 0)
            } else {
                for source in target.sources { add("\(source)", used[source] ?? 0) }
            }
        }
        result.cost = Clock.now() - begin
        return result
    }

    private func countOwn(_ counts: inout [Endpoint: [IPAddress: Int]]) {
        for endpoint in counts.keys { counts[endpoint] = [:] }
        table.visit { snapshot in
            guard let peer = snapshot.backendAddress, let local = snapshot.backendLocal?.address,
                let index = counts.index(forKey: peer)
            else { return }
            counts.values[index][local, default: 0] += 1
        }
    }
}

extension Topology {
    /// The live backends, as a census takes them.
    var portTargets: [PortCensus.Target] {
        backends.compactMap { backend in
            guard backend.isLive, let service = backend.service, let endpoint = backend.configuration.address.endpoint
            else { return nil }
            let source = services[service].configuration.source
            return PortCensus.Target(
                service: backend.serviceName, backend: backend.configuration.name, endpoint: endpoint,
                sources: source.addresses(endpoint.address.family), isTransparent: source.isTransparent)
        }
    }
}
