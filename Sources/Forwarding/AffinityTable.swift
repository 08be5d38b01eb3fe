import Addressing
import CContinuity
import CLayout
import Linux
import Stickiness

/// Which backend each client had last, see affinity.h: a table in the shared region that all workers write and none waits for.
///
/// A plain value of pointers; any thread may use it. A client is remembered from the moment at which it is connected to a
/// backend, for as long as it has a connection and the time of its service after that. The table belongs to the region, so
/// that it outlives engines and upgrades, and ends with the daemon.
public struct AffinityTable: @unchecked Sendable {
    let header: UnsafeMutablePointer<limpet_affinity_header>
    private let recordsPerWorker: Int

    /// Where a connection is counted: an entry and its version; 0: nowhere.
    typealias Link = UInt64

    init(_ header: UnsafeMutablePointer<limpet_affinity_header>, recordsPerWorker: Int) {
        self.header = header
        self.recordsPerWorker = recordsPerWorker
    }

    static func bytes(records: Int) -> Int {
        MemoryLayout<limpet_affinity_header>.stride + setBytes + records * MemoryLayout<Link>.stride
    }

    private static let setBytes =
        Int(LIMPET_AFFINITY_MOST) / Int(LIMPET_AFFINITY_WAYS) * MemoryLayout<limpet_affinity_set>.stride

    var sets: UnsafeMutablePointer<limpet_affinity_set> {
        UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: limpet_affinity_set.self)
    }

    func link(_ worker: Int, _ slot: Int) -> UnsafeMutablePointer<Link> {
        (UnsafeMutableRawPointer(header + 1) + AffinityTable.setBytes).assumingMemoryBound(to: Link.self)
            + worker * recordsPerWorker + slot
    }

    private func set(of key: UInt64) -> UnsafeMutablePointer<limpet_affinity_set> {
        sets + Int(key & UInt64(header.pointee.sets - 1))
    }

    private func link(_ set: UnsafeMutablePointer<limpet_affinity_set>, _ way: Int32, _ word: UInt64) -> Link {
        (UInt64((set - sets) * Int(LIMPET_AFFINITY_WAYS) + Int(way)) + 1) << 16
            | UInt64(limpet_affinity_version(word))
    }

    /// Entry and word that a link stands for; nil: another client has the entry.
    private func entry(_ link: Link) -> (set: UnsafeMutablePointer<limpet_affinity_set>, way: Int32, word: UInt64)? {
        let index = Int(link >> 16) - 1
        guard index >= 0, index < capacity else { return nil }
        let set = sets + index / Int(LIMPET_AFFINITY_WAYS)
        let way = Int32(index % Int(LIMPET_AFFINITY_WAYS))
        let word = limpet_affinity_load(set, way)
        guard limpet_affinity_backend(word) >= 0, limpet_affinity_version(word) == UInt16(truncatingIfNeeded: link)
        else { return nil }
        return (set, way, word)
    }

    // MARK: As a whole

    /// Entries that there is room for; 0: not settled yet.
    public var capacity: Int { Int(header.pointee.sets) * Int(LIMPET_AFFINITY_WAYS) }

    /// Whether any service remembers, or has remembered, its clients: without that nothing here is touched.
    @inline(__always)
    var isUsed: Bool { limpet_load32(&header.pointee.used) != 0 }

    /// Gives the table its size, once, and says whether it is used from now on. The control plane, or before there is one.
    /// - Parameter entries: at least so many.
    public func settle(entries: Int, isUsed: Bool) {
        if header.pointee.sets == 0 {
            var sets: UInt32 = 1
            let wanted = min(entries, Int(LIMPET_AFFINITY_MOST))
            while Int(sets) * Int(LIMPET_AFFINITY_WAYS) < wanted { sets *= 2 }
            header.pointee.sets = sets
        }
        if isUsed { limpet_store32(&header.pointee.used, 1) }
    }

    /// A new engine begins: counts the connections that there are. Before the workers start.
    func begin(_ region: SharedRegion, _ table: ForwardingTable, now: UInt64) {
        guard header.pointee.sets != 0, isUsed else { return }
        if header.pointee.epoch == 0xfff { forgetTurns() }
        header.pointee.epoch = header.pointee.epoch % 0xfff + 1
        for worker in 0..<region.workerCount {
            let records = region.records(worker)
            for slot in 0..<region.recordsPerWorker {
                if records[slot].generation == 0 { break }
                let link = link(worker, slot)
                if records[slot].state == UInt8(LIMPET_FREE) {
                    if link.pointee != 0 { link.pointee = 0 }
                } else if link.pointee != 0 {
                    countAgain(link.pointee)
                } else if records[slot].end == 0 {
                    remember(records + slot, worker, link, table, now: now, isNew: false)
                }
            }
        }
    }

    /// The turns are counted from the beginning again: what was counted in one of the same number must not count.
    private func forgetTurns() {
        for index in 0..<Int(header.pointee.sets) {
            for way in 0..<Int32(LIMPET_AFFINITY_WAYS) {
                let word = limpet_affinity_load(sets + index, way)
                guard limpet_affinity_count(word) != 0 else { continue }
                _ = limpet_affinity_exchange(
                    sets + index, way, word,
                    limpet_affinity_word(limpet_affinity_version(word), 0, 0, limpet_affinity_backend(word)))
            }
        }
    }

    private func countAgain(_ link: Link) {
        guard let (set, way, word) = entry(link) else { return }
        _ = limpet_affinity_exchange(
            set, way, word,
            limpet_affinity_word(
                limpet_affinity_version(word), header.pointee.epoch, connections(word) + 1,
                limpet_affinity_backend(word)))
    }

    /// Connections that a word counts in this turn.
    func connections(_ word: UInt64) -> UInt32 {
        limpet_affinity_epoch(word) == header.pointee.epoch ? limpet_affinity_count(word) : 0
    }

    // MARK: One client

    /// The backend that a client is to keep; nil: none.
    /// - Parameters:
    ///   - sourceKey: the client's, as it is hashed.
    ///   - service: slot.
    ///   - lasting: ns that its service remembers; above 0.
    ///   - now: ns of ``Clock``.
    public func backend(of sourceKey: UInt64, service: UInt16, lasting: UInt64, now: UInt64) -> UInt16? {
        guard header.pointee.sets != 0 else { return nil }
        let key = limpet_affinity_key(sourceKey, service)
        let set = set(of: key)
        var word: UInt64 = 0
        let way = limpet_affinity_find(set, key, header.pointee.epoch, &word)
        guard way >= 0, isValid(set, way, word, lasting, now) else { return nil }
        return UInt16(limpet_affinity_backend(word))
    }

    /// Whether an entry counts yet: its client has connections, or its time is not over.
    func isValid(
        _ set: UnsafeMutablePointer<limpet_affinity_set>, _ way: Int32, _ word: UInt64, _ lasting: UInt64,
        _ now: UInt64
    ) -> Bool {
        if lasting == 0 { return false }
        if connections(word) > 0 { return true }
        let time = limpet_affinity_time(set, way)
        return now < time || now - time < lasting
    }

    /// A connection has its backend: that is what is remembered of its client from now on.
    /// - Parameter isNew: false: it has had it for some time.
    func remember(
        _ record: UnsafeMutablePointer<limpet_record>, _ worker: Int, _ link: UnsafeMutablePointer<Link>,
        _ table: ForwardingTable, now: UInt64, isNew: Bool
    ) {
        let service = record.pointee.service
        let lasting = table.affinity(ofService: service)
        guard lasting != 0, header.pointee.sets != 0, record.pointee.descriptor.1 >= 0,
            record.pointee.state != UInt8(LIMPET_CONNECTING), let client = record.pointee.client.endpoint
        else { return }
        let backend = Int32(record.pointee.backend)
        let key = limpet_affinity_key(record.pointee.source_key, service)
        let set = set(of: key)
        let counters = limpet_affinity_counters(header, Int32(worker))
        for _ in 0..<4 {
            var word: UInt64 = 0
            var way = limpet_affinity_find(set, key, header.pointee.epoch, &word)
            if way >= 0 {
                let count = connections(word)
                if count == 0xf_ffff { return }
                let next = limpet_affinity_word(
                    limpet_affinity_version(word), header.pointee.epoch, count + 1, backend)
                let wasValid = isValid(set, way, word, lasting, now)
                guard limpet_affinity_exchange(set, way, word, next) else { continue }
                limpet_affinity_stamp(set, way, now)
                if isNew, wasValid {
                    let isHit = limpet_affinity_backend(word) == backend
                    limpet_bump64(limpet_affinity_outcome(counters, isHit), 1)
                }
                word = next
            } else {
                guard let victim = claim(set, table, now, counters) else { continue }
                way = victim
                inject(LIMPET_AT_AFFINITY_CLAIMED)
                let keyer = table.services[Int(service)].keyer
                var shown = limpet_address()
                shown.set(keyer.hashed(client))
                limpet_affinity_fill(set, way, key, &shown, service, backend, now)
                word = limpet_affinity_load(set, way)
            }
            inject(LIMPET_AT_AFFINITY_JOINED)
            limpet_publish64(link, self.link(set, way, word))
            inject(LIMPET_AT_AFFINITY_LINKED)
            return
        }
        // Others were quicker each time. It is not remembered, and nothing else is wrong with that.
    }

    /// Takes an entry of a set: a free one, else one whose time is over, else the one that was used longest ago, those of
    /// clients with connections last. nil: somebody else has just taken that one.
    private func claim(
        _ set: UnsafeMutablePointer<limpet_affinity_set>, _ table: ForwardingTable, _ now: UInt64,
        _ counters: UnsafeMutablePointer<limpet_affinity_worker>
    ) -> Int32? {
        var best: (way: Int32, word: UInt64, rank: Int, time: UInt64)?
        for way in 0..<Int32(LIMPET_AFFINITY_WAYS) {
            let word = limpet_affinity_load(set, way)
            let rank: Int
            if limpet_affinity_backend(word) < 0 {
                // Being filled by somebody who lives.
                if connections(word) > 0 { continue }
                rank = 0
            } else if !isValid(
                set, way, word, table.affinity(ofService: limpet_affinity_service(set, way)), now)
            {
                rank = 0
            } else {
                rank = connections(word) == 0 ? 1 : 2
            }
            let time = limpet_affinity_time(set, way)
            if let best, (best.rank, best.time) <= (rank, time) { continue }
            best = (way, word, rank, time)
            if rank == 0 { break }
        }
        guard let best, limpet_affinity_claim(set, best.way, best.word, header.pointee.epoch) else { return nil }
        if best.rank > 0 { limpet_bump64(&counters.pointee.evictions, 1) }
        return best.way
    }

    /// Whether a connection is counted.
    func counts(_ link: UnsafeMutablePointer<Link>) -> Bool { link.pointee != 0 && entry(link.pointee) != nil }

    /// A connection has ended: from now on the time counts, if it was its client's last.
    func leave(_ link: UnsafeMutablePointer<Link>, now: UInt64) {
        let target = link.pointee
        if target == 0 { return }
        while let (set, way, word) = entry(target) {
            let count = connections(word)
            if count == 0 { break }
            // First: a count of 0 must not be met by a time that is over.
            limpet_affinity_stamp(set, way, now)
            let next = limpet_affinity_word(
                limpet_affinity_version(word), header.pointee.epoch, count - 1, limpet_affinity_backend(word))
            if limpet_affinity_exchange(set, way, word, next) { break }
        }
        inject(LIMPET_AT_AFFINITY_LEFT)
        limpet_publish64(link, 0)
    }

    /// A connection's client is to be remembered no more, whatever other connections it has.
    func forget(_ link: UnsafeMutablePointer<Link>) {
        while link.pointee != 0, let (set, way, word) = entry(link.pointee) {
            if limpet_affinity_forget(set, way, word, header.pointee.epoch) { break }
        }
        limpet_publish64(link, 0)
    }
}
