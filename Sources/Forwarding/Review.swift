import Addressing
import CLayout
import Stickiness

/// Records that have to be brought in line with a table that came after them: whose home is another now. A few are looked
/// at in each turn of the loop, so that it holds nobody up however many there are.
struct Review {
    /// Records to look at in one turn.
    static let batch = 64

    /// The next slot; past the last one: nothing is left to do.
    fileprivate(set) var next = Int.max
    /// By service slot: whether its answers are others than when its records were written.
    fileprivate var services: [Bool] = []
}

extension Worker {
    /// Another table has taken the place of `old`, or of one that a dead worker had not finished with (nil).
    mutating func beginReview(after old: ForwardingTable?) {
        let isUnderWay = review.next < free.highWater
        review.services = table.services.indices.map { slot in
            if isUnderWay, slot < review.services.count, review.services[slot] { return true }
            guard let old, slot < old.services.count else { return true }
            return old.services[slot].fingerprint != table.services[slot].fingerprint
        }
        if review.services.contains(true) { review.next = 0 }
    }

    var isReviewing: Bool { review.next < free.highWater }

    mutating func reviewSome() {
        let end = min(review.next + Review.batch, free.highWater)
        for slot in review.next..<end where !isFree(records + slot) {
            let service = Int(records[slot].service)
            if service < review.services.count, review.services[service], !isAwaitingHeader(slot) { tellHome(slot) }
        }
        review.next = end < free.highWater ? end : .max
    }

    /// Finds a connection's home by the table in force; it stays where it is. Should the worker die between the stores,
    /// the gauge is counted anew from the records.
    private func tellHome(_ slot: Int) {
        let record = records + slot
        let service = table.services[Int(record.pointee.service)]
        guard let client = record.pointee.client.endpoint else { return }
        let key = service.keyer.key(for: client.address, port: client.port)
        let home = service.rendezvous.first(of: key).map { service.members[$0].slot } ?? .max
        let former = record.pointee.home
        guard home != former || key != record.pointee.source_key else { return }
        limpet_publish64(&record.pointee.source_key, key)
        limpet_publish16(&record.pointee.home, home)
        let backend = record.pointee.backend
        guard record.pointee.descriptor.1 >= 0, record.pointee.state != UInt8(LIMPET_CONNECTING) else { return }
        let change = (backend != home ? 1 : 0) - (backend != former ? 1 : 0)
        if change != 0 { limpet_bump64(&counters(backend).pointee.away, UInt64(bitPattern: Int64(change))) }
    }
}

extension ForwardingTable.Service {
    /// Equal where every client has the same order of preference.
    fileprivate var fingerprint: UInt64 { rendezvous.mappingHash(mask: keyer.mask, input: keyer.input) }
}
