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
        /// Where it is; several where a name says so.
        let endpoints: [Endpoint]
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
        for endpoint in targets.flatMap(\.endpoints) { counts[endpoint] = [:] }
        var result = Result()
        for family in Set(targets.flatMap(\.endpoints).map(\.address.family)) {
            let failure = TCPSockets.visit(family) { local, peer in
                guard let index = counts.index(forKey: peer) else { return }
                counts.values[index][local, default: 0] += 1
            }
            if let failure { result.failure = failure }
        }
        if result.failure != nil { countOwn(&counts) }
        let limit = ProcessUsage.localPortCount
        for target in targets {
            // The ports of each of its addresses are its own: what counts is where most are taken.
            var used: [IPAddress: Int] = [:]
            for endpoint in target.endpoints { used.merge(counts[endpoint] ?? [:], uniquingKeysWith: max) }
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
            guard let peer = snapshot.backendAddress?.endpoint, let local = snapshot.backendLocal?.address,
                let index = counts.index(forKey: Endpoint(address: peer.address, port: peer.port))
            else { return }
            counts.values[index][local, default: 0] += 1
        }
    }
}

extension Topology {
    /// The live backends, as a census takes them.
    var portTargets: [PortCensus.Target] {
        backends.indices.compactMap { slot in
            let backend = backends[slot]
            guard backend.isLive, let service = backend.service else { return nil }
            let known = backend.configuration.address.endpoint.map { [$0] } ?? endpoints(slot)
            guard !known.isEmpty else { return nil }
            let source = services[service].configuration.source
            // The kernel's list of sockets has addresses without their links.
            let endpoints = known.map { Endpoint(address: $0.address, port: $0.port) }
            let families = Set(endpoints.map(\.address.family))
            return PortCensus.Target(
                service: backend.serviceName, backend: backend.configuration.name, endpoints: endpoints,
                sources: [.v4, .v6].filter(families.contains).flatMap { source.addresses($0) },
                isTransparent: source.isTransparent)
        }
    }
}
