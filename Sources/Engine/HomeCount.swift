import Addressing
import CLayout
import Configuration
import Control
import Forwarding
import Stickiness

/// How many clients have another home under another topology. For a thread of its own: it looks at every connection.
struct HomeCount {
    /// A client of a service, as both hashes see it.
    private struct Client: Hashable, Comparable {
        var before: UInt64
        var after: UInt64

        static func < (left: Client, right: Client) -> Bool {
            (left.before, left.after) < (right.before, right.after)
        }
    }

    /// The services that are there before and after, in the order of the new configuration.
    let homes: [ReloadReport.Homes]
    /// Connections whose backend, listener or service is removed.
    let removedConnections: Int

    init(_ table: ConnectionTable, from old: Topology, to new: Topology) {
        var clients: [Int: [Client]] = [:]
        let kept = new.liveServices.filter { $0 < old.tables.services.count && old.tables.services[$0].use == .live }
        let counted = Set(kept)
        var removed = 0
        let gone = (old: old.tables.goneListeners, new: new.tables.goneListeners)
        table.visit { snapshot in
            let record = snapshot.record
            let slots = (Int(record.service), Int(record.backend), Int(record.listener))
            if HomeCount.isRetired(slots, new.tables, gone.new), !HomeCount.isRetired(slots, old.tables, gone.old) {
                removed += 1
            }
            guard let client = snapshot.client, counted.contains(Int(record.service)) else { return }
            let service = Int(record.service)
            clients[service, default: []].append(
                Client(
                    before: old.services[service].keyer.key(for: client.address, port: client.port),
                    after: new.services[service].keyer.key(for: client.address, port: client.port)))
        }
        removedConnections = removed
        homes = kept.map { slot in
            HomeCount.count(clients[slot] ?? [], old.services[slot], new.services[slot])
        }
    }

    private static func count(
        _ clients: [Client], _ old: Topology.Service, _ new: Topology.Service
    ) -> ReloadReport.Homes {
        let name = new.configuration.name
        var distinct = clients
        distinct.sort()
        var last: Client?
        distinct.removeAll { client in
            defer { last = client }
            return client == last
        }
        // Equal exactly where the answers are.
        guard old.mappingHash != new.mappingHash else {
            return ReloadReport.Homes(service: name, clients: distinct.count, moved: 0, share: 0)
        }
        let moved = distinct.count { client in
            let before = old.rendezvous.first(of: client.before).map { old.configuration.backends[$0].name }
            return before != new.rendezvous.first(of: client.after).map { new.configuration.backends[$0].name }
        }
        let probe = IPAddress(v4: 0x0a01_0203)
        return ReloadReport.Homes(
            service: name, clients: distinct.count, moved: moved,
            share: Rendezvous.movedShare(
                from: old.members, to: new.members,
                sameHash: old.keyer.mask == new.keyer.mask && old.keyer.input == new.keyer.input
                    && old.keyer.key(for: probe, port: 1) == new.keyer.key(for: probe, port: 1)))
    }

    /// - Parameter goneListeners: of the tables.
    private static func isRetired(
        _ slots: (service: Int, backend: Int, listener: Int), _ tables: SlotTables, _ goneListeners: Set<Int>
    ) -> Bool {
        func isRetired<Entry>(_ entries: [Entry], _ slot: Int, _ use: KeyPath<Entry, SlotTables.Use>) -> Bool {
            slot < entries.count && entries[slot][keyPath: use] == .retired
        }
        return isRetired(tables.services, slots.service, \.use) || isRetired(tables.backends, slots.backend, \.use)
            || goneListeners.contains(slots.listener)
    }
}

extension Topology.Service {
    /// With the weights that are in force.
    fileprivate var members: [Rendezvous.Member] {
        zip(configuration.backends, weights).map { Rendezvous.Member($0, weight: $1) }
    }
}
