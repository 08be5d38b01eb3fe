import Addressing
import Backends
import Configuration
import Control
import Forwarding
import Linux
import Logging
import Observability
import Stickiness

/// Which clients are remembered, and who is not let in.
extension Controller {
    // MARK: Remembered clients

    func affinity(_ request: AffinityRequest) -> AffinityReport {
        let now = Clock.now()
        var found: [AffinityTable.Entry] = []
        var count = 0
        region.affinity.visit(now: now, lasting: topology.affinity) { entry in
            guard isMeant(entry, request) else { return }
            count += 1
            if found.count < request.limit { found.append(entry) }
        }
        let order = Dictionary(topology.liveServices.enumerated().map { ($1, $0) }) { first, _ in first }
        found.sort { one, other in
            (order[one.service] ?? 0, one.client.address, one.client.port)
                < (order[other.service] ?? 0, other.client.address, other.client.port)
        }
        let totals = region.affinity.totals(workers: region.workerCount)
        return AffinityReport(
            entries: count, limit: region.affinity.capacity, hits: totals.hits, moves: totals.moves,
            evictions: totals.evictions, clients: found.map { row($0, now) })
    }

    func forgetAffinity(
        _ request: AffinityRequest, by caller: Caller
    ) throws(ControlError) -> AffinityClearReport {
        let now = Clock.now()
        if request.address == nil, !request.force {
            var count = 0
            region.affinity.visit(now: now, lasting: topology.affinity) { if isMeant($0, request) { count += 1 } }
            if count > 1 {
                throw ControlError(.needsForce, "\(count) clients would be forgotten")
            }
        }
        let client = request.address.map { address in
            " " + (request.port.map { "\(Endpoint(address: address, port: $0))" } ?? "\(address)")
        }
        audit("affinity\(client ?? "") --clear" + (request.service.map { " --service \($0)" } ?? ""), caller)
        return AffinityClearReport(
            cleared: region.affinity.forget(now: now, lasting: topology.affinity, where: { isMeant($0, request) }))
    }

    /// Clients of a service that have no connection and would not go home are to go home, too.
    func forgetAway(_ service: Int) {
        guard topology.affinity(service) != 0 else { return }
        _ = region.affinity.forgetAll { entry in
            entry.service == service && entry.connections == 0 && home(entry) != entry.backend
        }
    }

    /// Services that remember nobody have forgotten everybody, also for the day on which they remember again. Once every worker
    /// goes by the configuration.
    func forgetUnremembered() {
        _ = region.affinity.forgetAll { topology.affinity($0.service) == 0 }
    }

    private func isMeant(_ entry: AffinityTable.Entry, _ request: AffinityRequest) -> Bool {
        guard entry.service < topology.services.count, entry.backend < topology.backends.count else { return false }
        let service = topology.services[entry.service]
        if let wanted = request.service, wanted != service.configuration.name { return false }
        guard let address = request.address else { return true }
        let asked = service.keyer.hashed(Endpoint(address: address, port: request.port ?? 0))
        return asked.address == entry.client.address && (request.port == nil || asked.port == entry.client.port)
    }

    private func home(_ entry: AffinityTable.Entry) -> Int? {
        let service = topology.services[entry.service]
        let key = service.keyer.key(for: entry.client.address, port: entry.client.port)
        return service.rendezvous.first(of: key).map { service.slots[$0] }
    }

    private func row(_ entry: AffinityTable.Entry, _ now: UInt64) -> AffinityReport.Client {
        let service = topology.services[entry.service]
        let lasting = topology.affinity(entry.service)
        let passed = now - min(now, entry.time)
        return AffinityReport.Client(
            service: service.configuration.name, client: clientText(entry.client, service),
            backend: topology.backends[entry.backend].configuration.name,
            home: home(entry).map { topology.backends[$0].configuration.name }, connections: entry.connections,
            secondsLeft: entry.connections > 0
                ? nil : Double((lasting - min(lasting, passed)) / 1_000_000) / 1000)
    }

    private func clientText(_ client: Endpoint, _ service: Topology.Service) -> String {
        if client.address.family == .user { return "\(client.address)" }
        let bits = client.address.family == .v4 ? service.keyer.mask.ipv4 : service.keyer.mask.ipv6
        if bits < client.address.family.bitCount {
            let network = "\(client.address)/\(bits)"
            return service.keyer.input == .sourcePort ? "\(network) port \(client.port)" : network
        }
        return service.keyer.input == .sourcePort ? "\(client)" : "\(client.address)"
    }

    func writeAffinity(_ text: inout MetricsText) {
        let services = topology.liveServices.filter { topology.affinity($0) != 0 }
        guard !services.isEmpty else { return }
        var counts: [Int: Int] = [:]
        region.affinity.visit(now: Clock.now(), lasting: topology.affinity) { counts[$0.service, default: 0] += 1 }
        let totals = region.affinity.totals(workers: region.workerCount)
        text.write(MetricCatalogue.affinityEntries) { samples in
            for service in services {
                samples.add([topology.services[service].configuration.name], counts[service] ?? 0)
            }
        }
        text.write(MetricCatalogue.affinityLimit) { $0.add(region.affinity.capacity) }
        text.write(MetricCatalogue.affinityHits) { $0.add(totals.hits) }
        text.write(MetricCatalogue.affinityMoves) { $0.add(totals.moves) }
        text.write(MetricCatalogue.affinityEvictions) { $0.add(totals.evictions) }
    }

    // MARK: Access lists

    /// The lists that do not let a client in: the service's own and its listeners'.
    func denials(_ client: IPAddress, of service: Int) -> [WhereReport.Denial] {
        // Who comes by a Unix socket is in no network.
        if client.family == .user { return [] }
        func rule(_ rules: AccessRules?) -> String? {
            guard let rules, !rules.letsIn(client) else { return nil }
            return rules.rule(for: client).map { "deny \($0.network)" } ?? "no network of allow has it"
        }
        let own = rule(topology.services[service].configuration.access.rules).map {
            [WhereReport.Denial(listener: nil, rule: $0)]
        }
        return (own ?? [])
            + listeners(of: service).compactMap { listener in
                rule(topology.configuration(ofListener: listener.slot)?.access.rules).map {
                    WhereReport.Denial(listener: listener.name, rule: $0)
                }
            }
    }

    /// Listeners of a service.
    func listenerCount(_ service: Int) -> Int { listeners(of: service).count }

    private func listeners(of service: Int) -> [ListenerSet.Listener] {
        listenerSet.listeners.filter { $0.service == service }
    }

    /// Why a client is let in nowhere.
    func denialText(_ denials: [WhereReport.Denial], _ service: String) -> String {
        if let own = denials.first(where: { $0.listener == nil }) {
            return "denied, and reset when it connects: \(own.rule) (service \(service))"
        }
        let listed = denials.map { "\($0.rule) (listener \($0.listener ?? ""))" }.joined(separator: ", ")
        return "denied, and reset when it connects: \(listed)"
    }

    /// By which listeners a client is not let in.
    func someDenialText(_ denials: [WhereReport.Denial]) -> String {
        denials.map { "; denied at listener \($0.listener ?? ""): \($0.rule)" }.joined()
    }
}

extension Topology {
    /// Nanoseconds for which a service remembers its clients; 0: not at all.
    func affinity(_ service: Int) -> UInt64 {
        guard service < services.count, tables.services[service].use == .live else { return 0 }
        return services[service].configuration.affinity?.nanoseconds ?? 0
    }

    /// The slot of the backend that a client is to keep; nil: none.
    func remembered(_ key: UInt64, service: Int, in region: SharedRegion) -> Int? {
        let lasting = affinity(service)
        if lasting == 0 { return nil }
        return region.affinity.backend(of: key, service: UInt16(service), lasting: lasting, now: Clock.now())
            .map(Int.init)
    }
}
