import Addressing
import CLayout
import Linux

/// What a reload changes for the workers, on its way to all of them.
public final class Reconfiguration: Sendable {
    let table: ForwardingTable
    /// By worker: all that it is to have; nil: what it has.
    let listeners: [[WorkerListener]]?
    private let left: Locked<Int>
    private let acknowledged: @Sendable () -> Void

    init(
        table: ForwardingTable, listeners: [[WorkerListener]]?, workers: Int,
        acknowledged: @escaping @Sendable () -> Void
    ) {
        self.table = table
        self.listeners = listeners
        self.acknowledged = acknowledged
        left = Locked(workers)
    }

    /// Called by each worker once it has made the change.
    func acknowledge() {
        let isLast = left.with { left in
            left -= 1
            return left == 0
        }
        if isLast { acknowledged() }
    }
}

extension Worker {
    /// Makes the change: listeners that are gone are closed under the old table, then the new one counts.
    mutating func take(_ change: Reconfiguration) {
        defer { change.acknowledge() }
        if let wanted = change.listeners?[index], listening != .stopped {
            let gone = listeners.filter { old in
                !wanted.contains { $0.listener == old.listener && $0.descriptor == old.descriptor }
            }
            for listener in gone { close(listener) }
            exchangeTable(change.table)
            let known = listeners
            listeners = wanted
            for listener in wanted where !known.contains(where: { $0.listener == listener.listener }) {
                if let failure = watch(listener) { reportLocal(failure) }
            }
        } else {
            exchangeTable(change.table)
        }
    }

    /// Time-outs of connections that are open follow the new table.
    private mutating func exchangeTable(_ new: ForwardingTable) {
        let haveTimesChanged =
            table.services.count > new.services.count
            || zip(table.services, new.services).contains {
                $0.idleTimeout != $1.idleTimeout || $0.halfCloseTimeout != $1.halfCloseTimeout
            }
        let old = table
        table = new
        countClients(after: old)
        rememberClients(after: old)
        beginReview(after: old)
        guard haveTimesChanged else { return }
        for slot in 0..<free.highWater {
            let state = Int(records[slot].state)
            if state == LIMPET_OPEN || state == LIMPET_HALF_CLOSED { armTimer(slot) }
        }
    }

    /// Connections of clients count from now on where they have a limit and had none, and no more where they had.
    private func countClients(after old: ForwardingTable) {
        let changes = table.services.indices.map { slot in
            let had = slot < old.services.count && old.services[slot].limits.perClient != 0
            let has = table.services[slot].limits.perClient != 0
            return (has ? 1 : 0) - (had ? 1 : 0)
        }
        guard changes.contains(where: { $0 != 0 }) else { return }
        for slot in 0..<free.highWater where !isFree(records + slot) {
            let service = records[slot].service
            guard changes[Int(service)] != 0, !isAwaitingHeader(slot), let client = records[slot].client.endpoint else {
                continue
            }
            if changes[Int(service)] > 0 {
                tally.clients.add(client.address, service: service)
            } else {
                tally.clients.leave(client.address, service: service)
            }
        }
    }

    /// Takes in who waits at a listening socket and closes it: without that the kernel would reset its queue.
    mutating func close(_ listener: WorkerListener) {
        let isRefusing = region.admission(of: Int(listener.listener)) == .refusing
        for _ in 0..<Int(StreamSocket.backlog) / Worker.acceptsPerTurn(listener) {
            if isRefusing ? !refuseBatch(listener) : !acceptBatch(listener) { break }
        }
        poller.remove(listener.descriptor)
        limpet_listener_descriptor(region.listener(Int(listener.listener)), Int32(index)).pointee = -1
        limpet_order()
        Descriptor.close(listener.descriptor)
        listeners.removeAll { $0.listener == listener.listener }
    }
}
