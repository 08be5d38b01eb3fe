import Addressing
import CContinuity
import CLayout
import Linux

/// What is written down of an end: why, by whom, for the counters and for the access log. Once per connection, and for some
/// at their start; nothing here is done per message.
extension Worker {
    // MARK: Why

    /// Says why a connection ends, as soon as that is known. The first cause stays; only an orderly end gives way to another,
    /// as long as it is not complete: a client that has sent FIN may be reset all the same.
    func note(_ reason: EndReason, _ slot: Int) {
        let record = records + slot
        let known = EndReason(rawValue: record.pointee.end)
        if let known, !known.isFIN || reason.isFIN { return }
        limpet_publish8(&record.pointee.end, reason.rawValue)
    }

    /// One side has ended orderly, and the other may have before. Which was first is noted.
    func noteFIN(_ slot: Int, _ direction: Int) {
        let record = records + slot
        guard record.pointee.end == 0, has(limpet_direction_of(record, Int32(direction)), LIMPET_DIRECTION_EOF) else {
            return
        }
        let isSecond = has(limpet_direction_of(record, Int32(1 - direction)), LIMPET_DIRECTION_EOF)
        note((direction == LIMPET_IN) != isSecond ? .clientFIN : .backendFIN, slot)
    }

    /// What it means that a socket has given this error.
    static func reason(_ error: Errno, _ side: Int) -> EndReason {
        switch error {
        case .connectionReset, .brokenPipe: side == 0 ? .clientReset : .backendReset
        case .timedOut, .hostUnreachable, .networkUnreachable: side == 0 ? .clientTimeout : .backendTimeout
        case let error where error.isLocal: .local
        default: side == 0 ? .clientReset : .backendReset
        }
    }

    // MARK: The counters

    @inline(__always)
    func countSplice(_ result: SpliceResult) {
        limpet_bump64(limpet_splice_calls(region.metrics(ofWorker: index), result.rawValue), 1)
    }

    /// Counts an end and writes it into the access log's ring; before the record is given back. Done again after a death it
    /// does what is not done yet.
    func recordEnd(_ record: UnsafeMutablePointer<limpet_record>) {
        if record.pointee.end_flags & UInt8(LIMPET_END_COUNTED) == 0 {
            // The event in hand is rather lost than counted twice.
            limpet_publish8(&record.pointee.end_flags, record.pointee.end_flags | UInt8(LIMPET_END_COUNTED))
            inject(LIMPET_AT_END_FLAGGED)
            let metrics = region.metrics(ofWorker: index)
            // A damaged number would count somewhere else.
            let reason = EndReason(rawValue: record.pointee.end) ?? .unknown
            if record.pointee.end != reason.rawValue { limpet_publish8(&record.pointee.end, reason.rawValue) }
            limpet_bump64(limpet_closed(metrics, Int32(reason.rawValue)), 1)
            let lasted = now - min(now, record.pointee.opened)
            limpet_observe_duration(&metrics.pointee.duration, lasted / 1000)
            inject(LIMPET_AT_END_COUNTED)
        }
        guard limpet_load8(&region.logState.pointee.access) != UInt8(LIMPET_ACCESS_OFF),
            record.pointee.end_flags & UInt8(LIMPET_END_LOGGED) == 0
        else { return }
        log(record, LIMPET_ACCESS_END)
        inject(LIMPET_AT_END_LOGGED)
        limpet_publish8(&record.pointee.end_flags, record.pointee.end_flags | UInt8(LIMPET_END_LOGGED))
    }

    /// The process ends, and with it what is still open: the kernel closes it.
    mutating func recordEndsOfAll(_ reason: EndReason) {
        for slot in 0..<free.highWater where !isFree(records + slot) {
            note(reason, slot)
            recordEnd(records + slot)
        }
    }

    /// A connection has its backend. Says in the record how long that took, counts it, and writes the start into the access
    /// log's ring.
    /// - Parameter began: when the connect to this backend was started, in ns.
    func recordStart(_ record: UnsafeMutablePointer<limpet_record>, began: UInt64) {
        limpet_observe_connect(
            &region.metrics(index, backend: Int(record.pointee.backend)).pointee.connect,
            (now - min(now, began)) / 1000)
        logStart(record)
    }

    private func logStart(_ record: UnsafeMutablePointer<limpet_record>) {
        guard limpet_load8(&region.logState.pointee.access) == UInt8(LIMPET_ACCESS_BOTH),
            record.pointee.end_flags & UInt8(LIMPET_START_LOGGED) == 0
        else { return }
        log(record, LIMPET_ACCESS_START)
        inject(LIMPET_AT_START_LOGGED)
        limpet_publish8(&record.pointee.end_flags, record.pointee.end_flags | UInt8(LIMPET_START_LOGGED))
    }

    /// An engine has died with this connection in hand, and may have come from its connect to here and no further.
    func recordStartAgain(_ record: UnsafeMutablePointer<limpet_record>) {
        let hasBegun = record.pointee.delivered.0 > 0 || record.pointee.delivered.1 > 0 || record.pointee.end != 0
        if !hasBegun { logStart(record) }
    }

    /// A client was turned away that has no record.
    func recordRefusal(_ reason: EndReason, _ client: Endpoint?, _ listener: WorkerListener) {
        let counters = region.counters(index, listener: Int(listener.listener))
        limpet_bump64(&counters.pointee.refused, 1)
        limpet_bump64(
            limpet_refused(region.metrics(index, listener: Int(listener.listener)), Int32(reason.rawValue)), 1)
        guard limpet_load8(&region.logState.pointee.access) != UInt8(LIMPET_ACCESS_OFF) else { return }
        guard let entry = nextEntry() else { return }
        entry.pointee = limpet_access_entry()
        entry.pointee.id = limpet_fetch_add64(&region.header.pointee.next_id, 1)
        entry.pointee.time = now
        entry.pointee.client.set(client)
        entry.pointee.peer.set(client)
        entry.pointee.service = listener.service
        entry.pointee.listener = listener.listener
        entry.pointee.backend = .max
        entry.pointee.home = .max
        entry.pointee.kind = UInt8(LIMPET_ACCESS_END)
        entry.pointee.end = reason.rawValue
        publishEntry()
    }

    // MARK: The access log's ring

    private func log(_ record: UnsafeMutablePointer<limpet_record>, _ kind: Int) {
        // Whoever died between the entry and the flag has left it as the last one.
        let ring = region.accessRing(index)
        if ring.pointee.head > 0 {
            let last = limpet_entry(ring, ring.pointee.head - 1)
            if last.pointee.id == record.pointee.id, last.pointee.kind == UInt8(kind) { return }
        }
        guard let entry = nextEntry() else { return }
        entry.pointee.id = record.pointee.id
        entry.pointee.time = now
        entry.pointee.duration = kind == LIMPET_ACCESS_END ? now - min(now, record.pointee.opened) : 0
        entry.pointee.bytes = record.pointee.delivered
        entry.pointee.client = record.pointee.client
        entry.pointee.peer = record.pointee.peer
        entry.pointee.service = record.pointee.service
        entry.pointee.listener = record.pointee.listener
        entry.pointee.backend = record.pointee.backend
        entry.pointee.home = record.pointee.home
        entry.pointee.kind = UInt8(kind)
        entry.pointee.end = kind == LIMPET_ACCESS_END ? record.pointee.end : 0
        entry.pointee.attempt = record.pointee.attempt
        entry.pointee.away_reason = record.pointee.away_reason
        entry.pointee.connect = UInt32(clamping: limpet_unpack_time(record.pointee.connect_time))
        publishEntry()
    }

    /// Where the next line goes; nil: whoever writes the log is that far behind, and the line is lost.
    private func nextEntry() -> UnsafeMutablePointer<limpet_access_entry>? {
        let ring = region.accessRing(index)
        // Ordered: what the log's thread has read there, it has read before it moved on.
        guard ring.pointee.head &- limpet_load64_ordered(&ring.pointee.tail) < UInt64(LIMPET_ACCESS_ENTRIES) else {
            limpet_bump64(&ring.pointee.dropped, 1)
            return nil
        }
        return limpet_entry(ring, ring.pointee.head)
    }

    private func publishEntry() {
        let ring = region.accessRing(index)
        limpet_publish64(&ring.pointee.head, ring.pointee.head + 1)
        limpet_fence()
        if limpet_load32(&region.logState.pointee.asleep) != 0 {
            limpet_store32(&region.logState.pointee.asleep, 0)
            logWakeUp?.signal()
        }
    }
}
