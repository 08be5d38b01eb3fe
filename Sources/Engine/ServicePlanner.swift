import Addressing
import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Stickiness

/// Reckons from the table of connections what a change would move. For a thread of its own: it looks at every connection.
struct ServicePlanner: Sendable {
    let region: SharedRegion
    /// As it is.
    let topology: Topology

    /// What is to change about a backend, at run time.
    struct Change: Sendable {
        var slot: Int
        /// nil: it takes nobody any more, and loses its connections.
        var weight: Double?
    }

    /// - Parameters:
    ///   - index: slot of a live service.
    ///   - key: of the hashes.
    func plan(_ index: Int, _ change: Change, key: HashKey) -> ServicePlan {
        let service = topology.services[index]
        let before = side(service)
        var after = before
        guard let position = service.slots.firstIndex(of: change.slot) else {
            return report(service, service, MovePlan([], from: before, to: after, emptied: nil), after)
        }
        if let weight = change.weight {
            var weights = service.weights
            weights[position] = weight
            after.rendezvous = Rendezvous(
                key: key,
                members: zip(service.configuration.backends, weights).map { Rendezvous.Member($0, weight: $1) })
            after.members[position].weight = max(1, Int((weight * 10).rounded()))
        } else {
            after.members[position].tier = nil
        }
        let plan = MovePlan(
            connections(of: index) { client in
                let key = service.keyer.key(for: client.address, port: client.port)
                return (key, key)
            }, from: before, to: after, emptied: change.weight == nil ? [change.slot] : nil)
        return report(service, service, plan, after)
    }

    /// The services that another topology answers otherwise for, in its order.
    func plans(for next: Topology) -> [ServicePlan] {
        next.liveServices.compactMap { index in
            guard index < topology.tables.services.count, topology.tables.services[index].use == .live else {
                return nil
            }
            let (old, new) = (topology.services[index], next.services[index])
            guard old.mappingHash != new.mappingHash else { return nil }
            let (before, after) = (side(old), side(new, of: next))
            let plan = MovePlan(
                connections(of: index) { client in
                    (
                        old.keyer.key(for: client.address, port: client.port),
                        new.keyer.key(for: client.address, port: client.port)
                    )
                }, from: before, to: after, emptied: nil)
            return report(old, new, plan, after)
        }
    }

    private func side(_ service: Topology.Service, of next: Topology? = nil) -> MovePlan.Side {
        MovePlan.Side(
            rendezvous: service.rendezvous,
            members: service.slots.indices.map { position in
                let slot = service.slots[position]
                // What is added begins as it is configured.
                let isNew = next != nil && (slot >= topology.backends.count || !topology.backends[slot].isLive)
                let configured = service.configuration.backends[position].maxConnections
                let limit = isNew ? UInt64(configured ?? 0) : region.effectiveLimit(slot, configured: configured)
                return MovePlan.Member(
                    slot: slot,
                    tier: Eligibility.tier(
                        intent: isNew ? .ready : region.intent(slot), health: isNew ? .up : region.health(slot),
                        isFull: false, whenAllDown: service.configuration.whenAllDown),
                    limit: limit == 0 ? nil : Int(clamping: limit), weight: max(1, service.tenths(position)))
            }, loadFactor: service.configuration.maxLoadFactor)
    }

    /// Those that are not being closed, with both keys of their clients.
    private func connections(
        of service: Int, _ keys: (Endpoint) -> (UInt64, UInt64)
    ) -> [MovePlan.Connection] {
        var found: [MovePlan.Connection] = []
        ConnectionTable(region: region).visit { snapshot in
            let record = snapshot.record
            guard Int(record.service) == service, record.backend != .max, Int(record.state) != LIMPET_CLOSING,
                let client = snapshot.client
            else { return }
            let (before, after) = keys(client)
            // Under another hash nobody is known any more.
            let remembered = before == after ? topology.remembered(before, service: service, in: region) : nil
            found.append(
                MovePlan.Connection(slot: Int(record.backend), before: before, after: after, remembered: remembered))
        }
        return found
    }

    private func report(
        _ old: Topology.Service, _ new: Topology.Service, _ plan: MovePlan, _ after: MovePlan.Side
    ) -> ServicePlan {
        var names: [(slot: Int, name: String)] = zip(new.slots, new.configuration.backends).map { ($0, $1.name) }
        let kept = Set(new.slots)
        names += zip(old.slots, old.configuration.backends).filter { !kept.contains($0.0) }.map { ($0, $1.name) }
        let known = Set(names.map(\.slot))
        // What an earlier reload has removed.
        names += plan.outcomes.keys.filter { !known.contains($0) && $0 < topology.backends.count }.sorted()
            .map { ($0, topology.backends[$0].configuration.name) }
        return ServicePlan(
            service: new.configuration.name, connections: plan.connections, moving: plan.moving,
            homeless: plan.homeless, maxOverAverage: plan.skew.map(rounded),
            maxOverAverageAfter: plan.skewAfter.map(rounded),
            backends: names.map { slot, name in
                let outcome = plan.outcomes[slot] ?? MovePlan.Outcome()
                return ServicePlan.Backend(
                    backend: name, connections: outcome.connections, leaving: outcome.leaving,
                    arriving: outcome.arriving,
                    share: plan.moving == 0 ? 0 : rounded(Double(outcome.arriving) / Double(plan.moving)),
                    connectionsAfter: outcome.after, limit: after.members.first { $0.slot == slot }?.limit,
                    passedOn: outcome.passedOn)
            })
    }

    /// To four digits after the point.
    private func rounded(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }
}
