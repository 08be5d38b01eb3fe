import CLayout
import Linux

/// Connections that wait for a connect to be theirs to start, first come first served for each backend. One worker's.
struct DialQueue: ~Copyable {
    struct Item {
        var slot: Int
        var generation: UInt32
    }

    private struct Queue {
        var items: [Item] = []
        var head = 0
    }

    private var queues: [UInt16: Queue] = [:]

    var isEmpty: Bool { queues.isEmpty }

    /// Those for which somebody waits.
    var backends: [UInt16] { Array(queues.keys) }

    func isWaiting(for backend: UInt16) -> Bool { !queues.isEmpty && queues[backend] != nil }

    mutating func append(_ item: Item, for backend: UInt16) {
        queues[backend, default: Queue()].items.append(item)
    }

    func first(for backend: UInt16) -> Item? { queues[backend].map { $0.items[$0.head] } }

    mutating func takeFirst(for backend: UInt16) -> Item? {
        guard var queue = queues.removeValue(forKey: backend) else { return nil }
        let item = queue.items[queue.head]
        queue.head += 1
        if queue.head == queue.items.count { return item }
        if queue.head > 1024, queue.head * 2 > queue.items.count {
            queue.items.removeFirst(queue.head)
            queue.head = 0
        }
        queues[backend] = queue
        return item
    }
}

/// A backend is not dialled more often at once than it is to be: who comes when it has as many connects under way waits
/// here and does not go to another, or everybody would be away when a failover sends them all to one survivor.
extension Worker {
    /// The connection waits until a connect to the backend has come to its end. It has none of its places yet.
    mutating func wait(_ slot: Int, for member: ForwardingTable.Member) {
        let record = records + slot
        limpet_write_begin(&record.pointee.sequence)
        record.pointee.backend = member.slot
        nameBackend(slot, member.address)
        limpet_write_end(&record.pointee.sequence)
        waiting.append(DialQueue.Item(slot: slot, generation: record.pointee.generation), for: member.slot)
        // Its reset is to be seen, however long it waits.
        armDialTimer(slot)
    }

    func mayDial(_ backend: UInt16, _ limits: ServiceLimits) -> Bool {
        limpet_load64(&counters(backend).pointee.connecting)
            < limits.connecting(ofWorker: index, among: region.workerCount)
    }

    /// Lets those go on that can. Once a turn.
    mutating func dialWaiting() {
        for backend in waiting.backends {
            // A connection that a death has left without one waits for no backend in particular.
            while let item = waiting.first(for: backend) {
                let record = records + item.slot
                let isWaiting =
                    record.pointee.generation == item.generation
                    && record.pointee.state == UInt8(LIMPET_CONNECTING) && record.pointee.descriptor.1 < 0
                if isWaiting, backend != .max,
                    !mayDial(backend, table.services[Int(record.pointee.service)].limits)
                {
                    break
                }
                _ = waiting.takeFirst(for: backend)
                if !isWaiting { continue }
                takeInHand(item.slot, item.generation)
                dialServed(item.slot, backend)
                putDown()
            }
        }
    }
}
