public import CLayout
public import Linux

/// The areas of the region, see areas.h: where each lies, and what there is in it.
extension SharedRegion {
    /// Bytes of each area that this build knows, by its number.
    static func areaSizes(
        workers: Int, records: Int, backends: Int, listeners: Int
    ) -> [(number: Int, bytes: Int)] {
        [
            (LIMPET_AREA_WORKERS, workers * MemoryLayout<limpet_worker_metrics>.stride),
            (LIMPET_AREA_BACKENDS, workers * backends * MemoryLayout<limpet_backend_metrics>.stride),
            (LIMPET_AREA_LISTENERS, workers * listeners * MemoryLayout<limpet_listener_metrics>.stride),
            (LIMPET_AREA_ACCESS, workers * MemoryLayout<limpet_access_ring>.stride),
            (LIMPET_AREA_LOG, MemoryLayout<limpet_log_state>.stride),
            (LIMPET_AREA_CONTROL, MemoryLayout<limpet_control_counters>.stride),
            (LIMPET_AREA_HISTORY, backends * MemoryLayout<limpet_backend_history>.stride),
            (LIMPET_AREA_EVENTS, Int(LIMPET_EVENTS) * MemoryLayout<limpet_event>.stride),
            (LIMPET_AREA_AFFINITY, AffinityTable.bytes(records: workers * records)),
            (LIMPET_AREA_PROXY, workers * records * MemoryLayout<limpet_proxy>.stride),
            (LIMPET_AREA_SOURCES, backends * MemoryLayout<limpet_source_row>.stride),
            (LIMPET_AREA_UNIX_LISTENERS, listeners * MemoryLayout<limpet_unix_listener>.stride),
            (LIMPET_AREA_SANDBOX, MemoryLayout<limpet_sandbox>.stride),
            (LIMPET_AREA_PROCESS, MemoryLayout<limpet_process>.stride),
            (LIMPET_AREA_PIPED, workers * records * MemoryLayout<limpet_piped>.stride),
        ]
    }

    /// Where areas that a region lacks go: into what is free from `start` on.
    /// - Parameters:
    ///   - header: of the region. Its offset of the table is set, where it had none.
    ///   - areas: the region's table; all zero: it had none.
    ///   - start: the first free byte; moved on behind what is placed.
    public static func placeAreas(
        _ header: inout limpet_shared_header, _ areas: inout limpet_areas, from start: inout Int
    ) {
        func reserve(_ bytes: Int) -> UInt64 {
            defer { start += (bytes + 4095) / 4096 * 4096 }
            return UInt64(start)
        }
        if header.areas_offset == 0 { header.areas_offset = reserve(MemoryLayout<limpet_areas>.stride) }
        for (number, bytes) in missingAreas(header, &areas) {
            limpet_area_of(&areas, Int32(number)).pointee = limpet_area(offset: reserve(bytes), bytes: UInt64(bytes))
        }
    }

    /// Whether a region has all areas that this build works with, each of the size that it works with.
    public static func hasAllAreas(_ memory: SharedMemory) -> Bool {
        let header = memory.base.assumingMemoryBound(to: limpet_shared_header.self)
        if header.pointee.areas_offset == 0 { return false }
        var areas = areas(memory)
        return missingAreas(header.pointee, &areas).isEmpty
    }

    /// The table of a region's areas; all zero where it has none.
    public static func areas(_ memory: SharedMemory) -> limpet_areas {
        let offset = memory.base.assumingMemoryBound(to: limpet_shared_header.self).pointee.areas_offset
        return offset == 0
            ? limpet_areas() : (memory.base + Int(offset)).assumingMemoryBound(to: limpet_areas.self).pointee
    }

    private static func missingAreas(
        _ header: limpet_shared_header, _ areas: inout limpet_areas
    ) -> [(number: Int, bytes: Int)] {
        let sizes = areaSizes(
            workers: Int(header.workers), records: Int(header.records_per_worker), backends: Int(header.backends),
            listeners: Int(header.listeners))
        return sizes.filter { limpet_area_of(&areas, Int32($0.number)).pointee.bytes != UInt64($0.bytes) }
    }

    // MARK: What there is

    /// Written by that worker alone.
    @inline(__always)
    public func metrics(ofWorker index: Int) -> UnsafeMutablePointer<limpet_worker_metrics> {
        base(LIMPET_AREA_WORKERS, of: limpet_worker_metrics.self) + index
    }

    @inline(__always)
    public func metrics(_ worker: Int, backend slot: Int) -> UnsafeMutablePointer<limpet_backend_metrics> {
        base(LIMPET_AREA_BACKENDS, of: limpet_backend_metrics.self) + worker * backendSlots + slot
    }

    @inline(__always)
    public func metrics(_ worker: Int, listener slot: Int) -> UnsafeMutablePointer<limpet_listener_metrics> {
        base(LIMPET_AREA_LISTENERS, of: limpet_listener_metrics.self) + worker * listenerSlots + slot
    }

    /// Lines of the access log that wait to be written: the worker adds, the log's thread takes.
    @inline(__always)
    public func accessRing(_ worker: Int) -> UnsafeMutablePointer<limpet_access_ring> {
        base(LIMPET_AREA_ACCESS, of: limpet_access_ring.self) + worker
    }

    @inline(__always)
    public var logState: UnsafeMutablePointer<limpet_log_state> { base(LIMPET_AREA_LOG, of: limpet_log_state.self) }

    /// What the control plane counts; its thread alone writes it.
    public var controlCounters: UnsafeMutablePointer<limpet_control_counters> {
        base(LIMPET_AREA_CONTROL, of: limpet_control_counters.self)
    }

    /// What there is to know about the sandbox; see the structure for who writes what.
    public var sandbox: UnsafeMutablePointer<limpet_sandbox> { base(LIMPET_AREA_SANDBOX, of: limpet_sandbox.self) }

    /// How often a backend came to each state; the control plane's thread alone writes it.
    public func history(_ slot: Int) -> UnsafeMutablePointer<limpet_backend_history> {
        base(LIMPET_AREA_HISTORY, of: limpet_backend_history.self) + slot
    }

    /// Local addresses that had no port left for connections to a backend; see the structure.
    @inline(__always)
    public func sources(_ slot: Int) -> UnsafeMutablePointer<limpet_source_row> {
        base(LIMPET_AREA_SOURCES, of: limpet_source_row.self) + slot
    }

    /// What keeper, engine and service manager tell each other; who writes what its structure says.
    public var process: UnsafeMutablePointer<limpet_process> { base(LIMPET_AREA_PROCESS, of: limpet_process.self) }

    /// The ring of events, ``LIMPET_EVENTS`` of them; the control plane's thread alone writes it.
    public var events: UnsafeMutablePointer<limpet_event> { base(LIMPET_AREA_EVENTS, of: limpet_event.self) }

    /// What a record has no room for where a side of it is a Unix socket; its worker alone writes it.
    @inline(__always)
    func piped(_ worker: Int, record slot: Int) -> UnsafeMutablePointer<limpet_piped> {
        base(LIMPET_AREA_PIPED, of: limpet_piped.self) + worker * recordsPerWorker + slot
    }

    /// What a listener's state has no room for where it is a Unix socket.
    func unixListener(_ slot: Int) -> UnsafeMutablePointer<limpet_unix_listener> {
        base(LIMPET_AREA_UNIX_LISTENERS, of: limpet_unix_listener.self) + slot
    }

    /// What a record has no room for of the PROXY protocol; its worker alone writes it.
    @inline(__always)
    func proxy(_ worker: Int, record slot: Int) -> UnsafeMutablePointer<limpet_proxy> {
        base(LIMPET_AREA_PROXY, of: limpet_proxy.self) + worker * recordsPerWorker + slot
    }

    /// Which backends clients are to keep; any worker writes it.
    @inline(__always)
    public var affinity: AffinityTable {
        AffinityTable(base(LIMPET_AREA_AFFINITY, of: limpet_affinity_header.self), recordsPerWorker: recordsPerWorker)
    }

    @inline(__always)
    private func base<Area>(_ number: Int, of: Area.Type) -> UnsafeMutablePointer<Area> {
        let offset = limpet_area_of(areas, Int32(number)).pointee.offset
        return (memory.base + Int(offset)).assumingMemoryBound(to: Area.self)
    }

    /// Makes the metrics of a backend's slot begin anew: it is another's now, and no worker knows it yet.
    public func clearMetrics(ofBackend slot: Int) {
        for worker in 0..<workerCount { metrics(worker, backend: slot).pointee = limpet_backend_metrics() }
        history(slot).pointee = limpet_backend_history()
    }

    /// The same for a listener.
    public func clearMetrics(ofListener slot: Int) {
        for worker in 0..<workerCount { metrics(worker, listener: slot).pointee = limpet_listener_metrics() }
    }
}
