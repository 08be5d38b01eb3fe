import Backends
import CLayout

/// What workers do about clients that are to keep their backend.
///
/// The backend that a client was connected to last is the one that it keeps, also where it came there because another was
/// drained or down: its state is there now, and going back of itself would move it a second time. (So do stick tables and the
/// duration-based stickiness of cloud balancers.) It gives way to everything that keeps a backend from taking new connections.
extension Worker {
    /// The member of its service that a client is to keep, where it is to keep one.
    func rememberedMember(
        _ record: UnsafeMutablePointer<limpet_record>, _ service: ForwardingTable.Service
    ) -> Int? {
        if service.affinity == 0 { return nil }
        let backend = region.affinity.backend(
            of: record.pointee.source_key, service: record.pointee.service, lasting: service.affinity, now: now)
        guard let backend else { return nil }
        return service.members.firstIndex { $0.slot == backend }
    }

    /// A connection has its backend.
    func remember(_ slot: Int) {
        guard table.hasAffinity else { return }
        region.affinity.remember(
            records + slot, index, region.affinity.link(index, slot), table, now: now, isNew: true)
    }

    /// A connection ends.
    func leaveRemembered(_ slot: Int) {
        guard region.affinity.isUsed else { return }
        region.affinity.leave(region.affinity.link(index, slot), now: now)
    }

    /// A connection's client is not to come back to where it is.
    func forgetRemembered(_ slot: Int) {
        guard region.affinity.isUsed else { return }
        region.affinity.forget(region.affinity.link(index, slot))
    }

    /// Services that remember their clients from now on begin with those that are connected.
    func rememberClients(after old: ForwardingTable) {
        let begins = table.services.indices.map { slot in
            table.services[slot].affinity != 0 && old.affinity(ofService: UInt16(slot)) == 0
        }
        guard begins.contains(true) else { return }
        let affinity = region.affinity
        for slot in 0..<free.highWater where !isFree(records + slot) {
            let link = affinity.link(index, slot)
            guard begins[Int(records[slot].service)], !affinity.counts(link), records[slot].end == 0 else { continue }
            affinity.remember(records + slot, index, link, table, now: now, isNew: false)
        }
    }
}
