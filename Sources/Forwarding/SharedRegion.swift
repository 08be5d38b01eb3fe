public import CLayout
public import Linux

/// The shared region, taken apart: where each structure of `layout.h` lies.
///
/// A plain value of pointers. Who may write what is said in `layout.h`; the region lives as long as the process.
public struct SharedRegion: @unchecked Sendable {
    public let memory: SharedMemory
    public let header: UnsafeMutablePointer<limpet_shared_header>
    public let workerCount: Int
    public let recordsPerWorker: Int
    public let backendSlots: Int
    public let listenerSlots: Int

    private let workerBase: UnsafeMutableRawPointer
    private let backendStateBase: UnsafeMutablePointer<limpet_backend_state>
    private let backendCounterBase: UnsafeMutablePointer<limpet_backend_counters>
    private let listenerCounterBase: UnsafeMutablePointer<limpet_listener_counters>
    private let scratchBase: UnsafeMutableRawPointer
    private let recordBase: UnsafeMutablePointer<limpet_record>

    /// Slots for backends: what a configuration may name at most. They are given out once and never used again while the
    /// region lives.
    public static let maximumBackends = 16384
    /// Slots for listeners.
    public static let maximumListeners = 1024

    /// Creates the region.
    /// - Parameters:
    ///   - workers: 1 to 64.
    ///   - records: connections that one worker may hold: the limit of all, since any worker may be given them all.
    ///   - limit: connections over all workers.
    public init(workers: Int, records: Int, limit: Int) throws(SystemError) {
        let backends = SharedRegion.maximumBackends
        let listeners = SharedRegion.maximumListeners
        var size = 4096
        func reserve(_ bytes: Int) -> Int {
            defer { size += (bytes + 4095) / 4096 * 4096 }
            return size
        }
        let workerOffset = reserve(workers * MemoryLayout<limpet_worker>.stride)
        let stateOffset = reserve(backends * MemoryLayout<limpet_backend_state>.stride)
        let backendOffset = reserve(workers * backends * MemoryLayout<limpet_backend_counters>.stride)
        let listenerOffset = reserve(workers * listeners * MemoryLayout<limpet_listener_counters>.stride)
        let scratchOffset = reserve(workers * Int(LIMPET_SCRATCH_BYTES))
        let recordOffset = reserve(workers * records * MemoryLayout<limpet_record>.stride)

        memory = try SharedMemory(name: "limpet", size: size)
        let base = memory.base
        header = base.assumingMemoryBound(to: limpet_shared_header.self)
        workerBase = base + workerOffset
        backendStateBase = (base + stateOffset).assumingMemoryBound(to: limpet_backend_state.self)
        backendCounterBase = (base + backendOffset).assumingMemoryBound(to: limpet_backend_counters.self)
        listenerCounterBase = (base + listenerOffset).assumingMemoryBound(to: limpet_listener_counters.self)
        scratchBase = base + scratchOffset
        recordBase = (base + recordOffset).assumingMemoryBound(to: limpet_record.self)
        workerCount = workers
        recordsPerWorker = records
        backendSlots = backends
        listenerSlots = listeners

        header.pointee.magic = LIMPET_LAYOUT_MAGIC
        header.pointee.version = LIMPET_LAYOUT_VERSION
        header.pointee.record_bytes = UInt32(MemoryLayout<limpet_record>.stride)
        header.pointee.workers = UInt32(workers)
        header.pointee.records_per_worker = UInt32(records)
        header.pointee.backends = UInt32(backends)
        header.pointee.listeners = UInt32(listeners)
        header.pointee.next_id = 1
        header.pointee.limit = UInt64(limit)
        header.pointee.started = Clock.wall()
        for index in 0..<workers {
            worker(index).pointee.hand_slot = .max
            worker(index).pointee.scratch_slot = .max
        }
    }

    @inline(__always)
    public func worker(_ index: Int) -> UnsafeMutablePointer<limpet_worker> {
        workerBase.assumingMemoryBound(to: limpet_worker.self) + index
    }

    /// The first record of a worker; ``recordsPerWorker`` of them follow each other.
    @inline(__always)
    public func records(_ worker: Int) -> UnsafeMutablePointer<limpet_record> {
        recordBase + worker * recordsPerWorker
    }

    @inline(__always)
    public func scratch(_ worker: Int) -> UnsafeMutableRawPointer {
        scratchBase + worker * Int(LIMPET_SCRATCH_BYTES)
    }

    @inline(__always)
    public func backend(_ slot: Int) -> UnsafeMutablePointer<limpet_backend_state> {
        backendStateBase + slot
    }

    @inline(__always)
    public func counters(_ worker: Int, backend slot: Int) -> UnsafeMutablePointer<limpet_backend_counters> {
        backendCounterBase + worker * backendSlots + slot
    }

    @inline(__always)
    public func counters(_ worker: Int, listener slot: Int) -> UnsafeMutablePointer<limpet_listener_counters> {
        listenerCounterBase + worker * listenerSlots + slot
    }

    /// Connections on all workers, those being dialled included.
    public var open: Int { Int(clamping: limpet_load64(&header.pointee.open)) }
}
