internal import Addressing
internal import CLayout
public import Forwarding
internal import Linux

/// Puts the descriptor table in order after an engine has died: closes what nothing names, and finds the sockets that it
/// had accepted and not recorded yet.
///
/// A descriptor is opened first and named then, un-named first and closed then; so whatever is open without a name was in
/// the middle of one of the two, or was private to the dead engine.
public enum OrphanSweep {
    /// Numbers past the highest that forwarding ever had at which something private may lie: descriptors are given from
    /// the lowest up, and all that is private together is fewer.
    private static let margin: Int32 = 4096

    /// Before anything is opened and before the workers start; on the process's only thread.
    /// - Parameters:
    ///   - keeping: what the caller holds and the region does not name.
    ///   - range: where to look; nil: wherever something can be.
    /// - Returns: sockets for ``WorkerPool`` to take in.
    public static func run(
        _ region: SharedRegion, keeping: [Int32] = [], in range: Range<Int32>? = nil
    ) -> [AcceptedSocket] {
        var named = NamedDescriptors()
        for descriptor in 0...2 { named.insert(Int32(descriptor)) }
        for descriptor in keeping { named.insert(descriptor) }
        named.insert(namedIn: region)
        // Not the limit: it may have been lowered since.
        let end = max(named.highest, highest(region)) + margin
        let listeners = KnownListener.all(region)
        let paths = region.unixListeners()
        var accepted: [AcceptedSocket] = []
        for descriptor in Descriptor.open(in: range ?? 0..<end, where: { !named.contains($0) }) {
            if let listener = adoptable(descriptor, listeners, region) ?? adoptable(descriptor, paths) {
                accepted.append(AcceptedSocket(descriptor: descriptor, listener: listener))
            } else {
                Descriptor.close(descriptor)
            }
        }
        return accepted
    }

    private static func highest(_ region: SharedRegion) -> Int32 {
        (0..<region.workerCount).map { region.worker($0).pointee.highest }.max() ?? 0
    }

    /// The slot of the listener by which an unrecorded client came; nil: it is none. Nothing was read from it nor written
    /// to it, and nobody has begun to close it.
    private static func adoptable(
        _ descriptor: Int32, _ listeners: [KnownListener], _ region: SharedRegion
    ) -> UInt16? {
        guard Descriptor.isSocket(descriptor), let local = StreamSocket.localEndpoint(descriptor),
            let slot = interceptor(of: descriptor, region)
                ?? listeners.first(where: { $0.takes(local, descriptor) })?.slot,
            let counters = try? TCPCounters(descriptor),
            counters.state == .established || counters.state == .closeWait,
            counters.taken == (counters.state == .closeWait ? 1 : 0), counters.put == 0,
            !StreamSocket.isResetOnClose(descriptor)
        else { return nil }
        return slot
    }

    /// The slot of the listener that has intercepted a socket, whose address is whatever its client meant; nil: none has.
    private static func interceptor(of descriptor: Int32, _ region: SharedRegion) -> UInt16? {
        guard let number = StreamSocket.interception(descriptor), (1...region.listenerSlots).contains(Int(number)),
            Int(region.listener(Int(number) - 1).pointee.used) != LIMPET_SLOT_FREE
        else { return nil }
        return UInt16(number - 1)
    }
}

extension OrphanSweep {
    /// The same for clients of Unix sockets, on which the kernel counts nothing: who is about to be closed was marked.
    fileprivate static func adoptable(_ descriptor: Int32, _ listeners: [(slot: UInt16, path: UnixPath)]) -> UInt16? {
        guard !listeners.isEmpty, Descriptor.isSocket(descriptor), StreamSocket.isUnix(descriptor),
            let path = StreamSocket.localAddress(descriptor)?.unixPath,
            let listener = listeners.first(where: { $0.path == path }), !StreamSocket.isListening(descriptor),
            !StreamSocket.isResetOnClose(descriptor)
        else { return nil }
        return listener.slot
    }
}

extension SharedRegion {
    /// What is in use comes before what was.
    fileprivate func unixListeners() -> [(slot: UInt16, path: UnixPath)] {
        var found: [(slot: UInt16, path: UnixPath)] = []
        for slot in 0..<listenerSlots {
            let used = Int(listener(slot).pointee.used)
            if used == LIMPET_SLOT_FREE { break }
            guard case .unix(let path)? = listenerAddress(slot) else { continue }
            found.insert((UInt16(slot), path), at: used == LIMPET_SLOT_LIVE ? 0 : found.count)
        }
        return found
    }
}

/// Where an unrecorded socket may have been accepted, a listener that a reload has just removed included.
private struct KnownListener {
    /// nil: it is the metrics' own, and whoever came by it is no client.
    let slot: UInt16?
    let address: Endpoint
    /// Whether it takes IPv4 clients beside IPv6 ones.
    let isDual: Bool
    /// The interface that it is bound to; nil: any.
    let device: String?

    static func all(_ region: SharedRegion) -> [KnownListener] {
        var live: [KnownListener] = []
        var retired: [KnownListener] = []
        for slot in 0..<region.listenerSlots {
            let state = region.listener(slot)
            if Int(state.pointee.used) == LIMPET_SLOT_FREE { break }
            guard let address = state.pointee.address.endpoint else { continue }
            let listener = KnownListener(
                slot: UInt16(slot), address: address, isDual: region.isDual(listener: slot),
                device: region.listenerDevice(slot))
            if Int(state.pointee.used) == LIMPET_SLOT_LIVE { live.append(listener) } else { retired.append(listener) }
        }
        // An address of its own comes before the wildcard of the same port, a device before none, and what is in use before what was. The metrics
        // may have the address of a listener that was removed. They never have that of one in use: there the number of
        // their socket is another's by now, as a version that did not know of it had closed it.
        return [live, metrics(region), retired].flatMap { listeners in
            let single = listeners.filter { !$0.address.address.isUnspecified }
            let all = listeners.filter(\.address.address.isUnspecified)
            return [single, all].flatMap { $0.filter { $0.device != nil } + $0.filter { $0.device == nil } }
        }
    }

    private static func metrics(_ region: SharedRegion) -> [KnownListener] {
        let named = region.continuity.pointee.metrics
        guard named > 0, StreamSocket.isListening(named), let address = StreamSocket.localEndpoint(named) else {
            return []
        }
        return [KnownListener(slot: nil, address: address, isDual: false, device: nil)]
    }

    func takes(_ local: Endpoint, _ descriptor: Int32) -> Bool {
        let own = local.address.unmapped
        guard local.port == address.port,
            own == address.address && local.zone == address.zone
                || address.address.isUnspecified && (address.address.family == own.family || isDual)
        else { return false }
        // What a socket was accepted from has left it its device.
        return device == nil || StreamSocket.device(descriptor) == device
    }
}

/// A set of descriptors, as large as the highest of them: there may be a billion that could be.
private struct NamedDescriptors {
    private(set) var highest: Int32 = 2
    private var words: [UInt64] = []

    mutating func insert(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        let word = Int(descriptor) / 64
        if word >= words.count { words += Array(repeating: 0, count: max(words.count, word + 1 - words.count)) }
        words[word] |= 1 << UInt64(descriptor % 64)
        highest = max(highest, descriptor)
    }

    func contains(_ descriptor: Int32) -> Bool {
        let word = Int(descriptor) / 64
        return word < words.count && words[word] & 1 << UInt64(descriptor % 64) != 0
    }

    /// Everything that the shared region names.
    mutating func insert(namedIn region: SharedRegion) {
        let own = region.continuity.pointee
        insert(region.memory.descriptor)
        for descriptor in [
            own.region, own.document.0, own.document.1, own.lock, own.control, own.executable,
            own.executable_previous, own.executable_next, own.keeper_pidfd, own.engine_pidfd,
            own.metrics, region.process.pointee.notify_socket, region.process.pointee.oom_adjustment,
        ] { insert(descriptor) }
        for slot in 0..<region.listenerSlots {
            if Int(region.listener(slot).pointee.used) == LIMPET_SLOT_FREE { break }
            for worker in 0..<region.workerCount {
                insert(limpet_listener_descriptor(region.listener(slot), Int32(worker)).pointee)
            }
        }
        for index in 0..<region.workerCount {
            insert(region.worker(index).pointee.poller)
            insert(region.worker(index).pointee.wake_up)
            let records = region.records(index)
            for slot in 0..<region.recordsPerWorker {
                // Slots are used from the lowest up: past the first untouched one there is nothing.
                if records[slot].generation == 0 { break }
                if records[slot].state != UInt8(LIMPET_FREE) { insert(namedIn: records + slot) }
            }
        }
    }

    private mutating func insert(namedIn record: UnsafeMutablePointer<limpet_record>) {
        insert(record.pointee.descriptor.0)
        insert(record.pointee.descriptor.1)
        insert(record.pointee.direction.0.pipe_read)
        insert(record.pointee.direction.0.pipe_write)
        insert(record.pointee.direction.1.pipe_read)
        insert(record.pointee.direction.1.pipe_write)
    }
}
