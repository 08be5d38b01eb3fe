import CLayout

extension SharedRegion {
    /// Makes all gauges agree with the records: how many connections are open, on what, and how many places are taken
    /// under each limit. Before the workers start: nobody else may be changing records.
    func recount() {
        header.pointee.open = 0
        header.pointee.waiting = 0
        // Slots of all kinds are given from the lowest up: past the first free one there is nothing.
        for slot in 0..<backendSlots {
            if backend(slot).pointee.used == UInt8(LIMPET_SLOT_FREE) { break }
            backend(slot).pointee.load = 0
            for worker in 0..<workerCount {
                let counters = counters(worker, backend: slot)
                counters.pointee.open = 0
                counters.pointee.connecting = 0
                counters.pointee.away = 0
            }
        }
        for slot in 0..<listenerSlots {
            if listener(slot).pointee.used == UInt8(LIMPET_SLOT_FREE) { break }
            for worker in 0..<workerCount { counters(worker, listener: slot).pointee.open = 0 }
        }
        for worker in 0..<workerCount {
            self.worker(worker).pointee.open = 0
            let first = records(worker)
            for slot in 0..<recordsPerWorker {
                if first[slot].generation == 0 { break }
                if first[slot].state != UInt8(LIMPET_FREE) { count(first + slot, worker) }
            }
        }
    }

    private func count(_ record: UnsafeMutablePointer<limpet_record>, _ worker: Int) {
        header.pointee.open += 1
        self.worker(worker).pointee.open += 1
        counters(worker, listener: Int(record.pointee.listener)).pointee.open += 1
        guard record.pointee.descriptor.1 >= 0 else { return }
        backend(Int(record.pointee.backend)).pointee.load += 1
        let counters = counters(worker, backend: Int(record.pointee.backend))
        if record.pointee.state == UInt8(LIMPET_CONNECTING) {
            counters.pointee.connecting += 1
        } else {
            counters.pointee.open += 1
            if record.pointee.backend != record.pointee.home { counters.pointee.away += 1 }
        }
    }
}
