public import Addressing
public import CLayout
public import Linux

/// The shared region, taken apart: where each structure of `layout.h` lies.
///
/// A plain value of pointers. Who may write what is said in `layout.h`; the region lives as long as the process.
public struct SharedRegion: @unchecked Sendable {
    public let memory: SharedMemory
    public let header: UnsafeMutablePointer<limpet_shared_header>
    /// Processes, their descriptors, deaths and upgrades.
    public let continuity: UnsafeMutablePointer<limpet_continuity>
    public let workerCount: Int
    public let recordsPerWorker: Int
    public let backendSlots: Int
    public let listenerSlots: Int

    /// Where each area lies.
    let areas: UnsafeMutablePointer<limpet_areas>

    private let workerBase: UnsafeMutableRawPointer
    private let backendStateBase: UnsafeMutablePointer<limpet_backend_state>
    private let listenerStateBase: UnsafeMutablePointer<limpet_listener_state>
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
        func reserve(_ bytes: Int) -> UInt64 {
            defer { size += (bytes + 4095) / 4096 * 4096 }
            return UInt64(size)
        }
        var layout = limpet_shared_header()
        layout.workers = UInt32(workers)
        layout.records_per_worker = UInt32(records)
        layout.backends = UInt32(backends)
        layout.listeners = UInt32(listeners)
        layout.continuity_offset = reserve(MemoryLayout<limpet_continuity>.stride)
        layout.worker_offset = reserve(workers * MemoryLayout<limpet_worker>.stride)
        layout.backend_state_offset = reserve(backends * MemoryLayout<limpet_backend_state>.stride)
        layout.listener_state_offset = reserve(listeners * MemoryLayout<limpet_listener_state>.stride)
        layout.backend_counter_offset = reserve(workers * backends * MemoryLayout<limpet_backend_counters>.stride)
        layout.listener_counter_offset = reserve(workers * listeners * MemoryLayout<limpet_listener_counters>.stride)
        var areas = limpet_areas()
        SharedRegion.placeAreas(&layout, &areas, from: &size)
        layout.scratch_offset = reserve(workers * Int(LIMPET_SCRATCH_BYTES))
        layout.record_offset = reserve(workers * records * MemoryLayout<limpet_record>.stride)
        layout.size = UInt64(size)
        layout.magic = LIMPET_LAYOUT_MAGIC
        layout.version = LIMPET_LAYOUT_VERSION
        layout.record_bytes = UInt32(MemoryLayout<limpet_record>.stride)
        layout.next_id = 1
        layout.limit = UInt64(limit)
        layout.started = Clock.wall()

        let memory = try SharedMemory(name: "limpet", size: size)
        memory.base.assumingMemoryBound(to: limpet_shared_header.self).pointee = layout
        (memory.base + Int(layout.areas_offset)).assumingMemoryBound(to: limpet_areas.self).pointee = areas
        self.init(memory: memory)
        nameNothing()
    }

    /// Maps a region that another process has made.
    /// - Parameter descriptor: its memfd; stays open.
    /// - Throws: where it is none of ours or of another layout than ``LIMPET_LAYOUT_VERSION``, or lacks an area, see areas.h.
    public init(adopting descriptor: Int32) throws(SystemError) {
        try self.init(adopting: try SharedMemory(adopting: descriptor))
    }

    /// The same for one that is mapped already.
    public init(adopting memory: SharedMemory) throws(SystemError) {
        let header = memory.base.assumingMemoryBound(to: limpet_shared_header.self)
        guard memory.size >= 4096, header.pointee.magic == LIMPET_LAYOUT_MAGIC,
            header.pointee.version == LIMPET_LAYOUT_VERSION, header.pointee.size == UInt64(memory.size),
            header.pointee.record_bytes == UInt32(MemoryLayout<limpet_record>.stride),
            SharedRegion.hasAllAreas(memory)
        else { throw SystemError("adopt the shared region", .invalidArgument) }
        self.init(memory: memory)
    }

    private init(memory: SharedMemory) {
        self.memory = memory
        let base = memory.base
        header = base.assumingMemoryBound(to: limpet_shared_header.self)
        let layout = header.pointee
        areas = (base + Int(layout.areas_offset)).assumingMemoryBound(to: limpet_areas.self)
        continuity = (base + Int(layout.continuity_offset)).assumingMemoryBound(to: limpet_continuity.self)
        workerBase = base + Int(layout.worker_offset)
        backendStateBase = (base + Int(layout.backend_state_offset)).assumingMemoryBound(to: limpet_backend_state.self)
        listenerStateBase = (base + Int(layout.listener_state_offset)).assumingMemoryBound(
            to: limpet_listener_state.self)
        backendCounterBase = (base + Int(layout.backend_counter_offset)).assumingMemoryBound(
            to: limpet_backend_counters.self)
        listenerCounterBase = (base + Int(layout.listener_counter_offset)).assumingMemoryBound(
            to: limpet_listener_counters.self)
        scratchBase = base + Int(layout.scratch_offset)
        recordBase = (base + Int(layout.record_offset)).assumingMemoryBound(to: limpet_record.self)
        workerCount = Int(layout.workers)
        recordsPerWorker = Int(layout.records_per_worker)
        backendSlots = Int(layout.backends)
        listenerSlots = Int(layout.listeners)
    }

    /// The first state of every word whose "none" is not zero.
    private func nameNothing() {
        for index in 0..<workerCount {
            worker(index).pointee.hand_slot = .max
            worker(index).pointee.scratch_slot = .max
            worker(index).pointee.fault_slot = .max
            worker(index).pointee.poller = -1
            worker(index).pointee.wake_up = -1
        }
        continuity.pointee.region = memory.descriptor
        continuity.pointee.document = (-1, -1)
        continuity.pointee.lock = -1
        continuity.pointee.control = -1
        continuity.pointee.executable = -1
        continuity.pointee.executable_previous = -1
        continuity.pointee.executable_next = -1
        continuity.pointee.keeper_pidfd = -1
        continuity.pointee.engine_pidfd = -1
        continuity.pointee.death.worker = -1
        continuity.pointee.death.slot = .max
        continuity.pointee.started = Clock.now()
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

    /// A listening address. Its descriptors say "none" by −1 only from the first use of the slot on.
    @inline(__always)
    public func listener(_ slot: Int) -> UnsafeMutablePointer<limpet_listener_state> {
        listenerStateBase + slot
    }

    /// Names the sockets of a listening address. From then on every worker that starts listens on its own.
    /// - Parameters:
    ///   - slot: the next that was never used: slots are given without gaps.
    ///   - descriptors: one per worker.
    public func nameListener(_ slot: Int, service: Int, address: Endpoint, descriptors: [Int32]) {
        let state = listener(slot)
        for worker in 0..<Int(LIMPET_MAXIMUM_WORKERS) {
            limpet_listener_descriptor(state, Int32(worker)).pointee =
                worker < descriptors.count ? descriptors[worker] : -1
        }
        state.pointee.service = UInt16(service)
        state.pointee.address.set(address)
        limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_LIVE))
    }

    /// Where a listener is bound; nil: the slot was never used.
    public func listenerAddress(_ slot: Int) -> ListenerAddress? {
        if listener(slot).pointee.address.family == UInt8(LIMPET_FAMILY_PATH) {
            return UnixPath(unixListener(slot).pointee.path).map { .unix($0) }
        }
        return listener(slot).pointee.address.endpoint.map { .endpoint($0.named) }
    }

    /// The interface that a listener is bound to; nil: none.
    public func listenerDevice(_ slot: Int) -> String? {
        let name = withUnsafeBytes(of: listener(slot).pointee.device) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return name.isEmpty ? nil : name
    }

    /// What a listener is called: with the port that the kernel chose where the configuration says 0. nil: the slot was never
    /// used.
    public func listenerName(_ slot: Int) -> String? { listenerAddress(slot)?.name(on: listenerDevice(slot)) }

    /// Whether a listener takes IPv4 clients beside IPv6 ones.
    public func isDual(listener slot: Int) -> Bool { hasFlag(LIMPET_LISTENER_DUAL, slot) }

    /// Whether a listener has one socket for all workers.
    public func isShared(listener slot: Int) -> Bool { hasFlag(LIMPET_LISTENER_SHARED, slot) }

    /// Whether its socket was passed to the daemon by whoever started it.
    public func isInherited(listener slot: Int) -> Bool { hasFlag(LIMPET_LISTENER_INHERITED, slot) }

    private func hasFlag(_ flag: Int, _ slot: Int) -> Bool { listener(slot).pointee.flags & UInt8(flag) != 0 }

    /// Whether a listener may take clients that were on their way to another address than its own.
    @inline(__always)
    public func isIntercepting(listener slot: Int) -> Bool {
        limpet_load8(&listener(slot).pointee.flags) & UInt8(LIMPET_LISTENER_INTERCEPT) != 0
    }

    /// Says so from the next client on; before the sockets are made so, and after they are made otherwise.
    public func setIntercepting(_ isIntercepting: Bool, ofListener slot: Int) {
        let state = listener(slot)
        let others = state.pointee.flags & ~UInt8(LIMPET_LISTENER_INTERCEPT)
        limpet_publish8(&state.pointee.flags, others | (isIntercepting ? UInt8(LIMPET_LISTENER_INTERCEPT) : 0))
    }

    /// Says how the sockets of a listener are bound, before it is used.
    public func setBinding(
        _ binding: BindingOptions, isShared: Bool = false, isInherited: Bool = false, ofListener slot: Int
    ) {
        let state = listener(slot)
        state.pointee.flags =
            (binding.isV6Only ? 0 : UInt8(LIMPET_LISTENER_DUAL)) | (isShared ? UInt8(LIMPET_LISTENER_SHARED) : 0)
            | (isInherited ? UInt8(LIMPET_LISTENER_INHERITED) : 0)
            | (binding.interception == 0 ? 0 : UInt8(LIMPET_LISTENER_INTERCEPT))
        withUnsafeMutableBytes(of: &state.pointee.device) { bytes in
            for index in bytes.indices { bytes[index] = 0 }
            for (index, byte) in (binding.device ?? "").utf8.prefix(bytes.count - 1).enumerated() {
                bytes[index] = byte
            }
        }
    }

    /// All that a worker listens on, as it is named.
    public func listeners(of worker: Int) -> [WorkerListener] {
        var found: [WorkerListener] = []
        for slot in 0..<listenerSlots {
            let used = Int(listener(slot).pointee.used)
            if used == LIMPET_SLOT_FREE { break }
            if used != LIMPET_SLOT_LIVE { continue }
            let listener = workerListener(slot, of: worker)
            if listener.descriptor >= 0 { found.append(listener) }
        }
        return found
    }

    /// One listening address, as a worker has it; its descriptor may be −1.
    public func workerListener(_ slot: Int, of worker: Int) -> WorkerListener {
        let state = listener(slot)
        let address = state.pointee.address.endpoint
        return WorkerListener(
            descriptor: limpet_listener_descriptor(state, Int32(worker)).pointee, listener: UInt16(slot),
            service: state.pointee.service,
            local: address.flatMap { $0.address.isUnspecified ? nil : SocketAddress($0) },
            isShared: isShared(listener: slot), isInherited: isInherited(listener: slot))
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
