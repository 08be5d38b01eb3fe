public import Addressing
public import CLayout
import Glibc
import Linux

/// One row of the connection table: a copy that belongs together, whatever the worker did meanwhile.
public struct ConnectionSnapshot: Sendable {
    public let worker: Int
    public let slot: UInt32
    public let record: limpet_record
    /// The backend's path, where it is a Unix socket.
    let backendPath: UnixPath?

    public var id: UInt64 { record.id }
    public var generation: UInt32 { record.generation }
    public var bytesIn: UInt64 { record.delivered.0 }
    public var bytesOut: UInt64 { record.delivered.1 }
    public var client: Endpoint? { record.client.endpoint?.named }
    public var peer: Endpoint? { record.peer.endpoint?.named }
    public var clientLocal: Endpoint? { record.client_local.endpoint?.named }
    /// nil: it has none yet.
    public var backendAddress: BackendAddress? {
        backendPath.map { .unix($0) } ?? record.backend_address.endpoint.map { .endpoint($0.named) }
    }
    public var backendLocal: Endpoint? { record.backend_local.endpoint?.named }
}

/// The records of all workers, for readers on any thread. Reading holds no worker up.
public struct ConnectionTable: Sendable {
    private let region: SharedRegion

    public init(region: SharedRegion) {
        self.region = region
    }

    /// Slots over all workers: what a walk has to look at, at most.
    public var slotCount: Int { region.workerCount * region.recordsPerWorker }

    /// True where the slot has never been used, nor has any after it on the same worker.
    public func isUntouched(_ position: Int) -> Bool {
        limpet_load32(&record(position).pointee.generation) == 0
    }

    /// The position at which the next worker's slots begin.
    public func endOfWorker(_ position: Int) -> Int {
        (position / region.recordsPerWorker + 1) * region.recordsPerWorker
    }

    /// The connection in a slot; nil: there is none.
    public func snapshot(_ position: Int) -> ConnectionSnapshot? {
        let source = record(position)
        var copy = limpet_record()
        var tries = 0
        var path: UnixPath?
        while !copyRecord(position, source, &copy, &path) {
            // A worker is inside a change for some dozen stores; if it was taken off its core there, let it run.
            tries += 1
            if tries > 100 { sched_yield() }
            if tries > 100_000 { return nil }
        }
        guard copy.state != UInt8(LIMPET_FREE), copy.generation != 0 else { return nil }
        return ConnectionSnapshot(
            worker: position / region.recordsPerWorker, slot: UInt32(position % region.recordsPerWorker), record: copy,
            backendPath: path)
    }

    /// False: it was being changed.
    private func copyRecord(
        _ position: Int, _ source: UnsafeMutablePointer<limpet_record>, _ copy: inout limpet_record,
        _ path: inout UnixPath?
    ) -> Bool {
        guard limpet_record_copy(&copy, source) else { return false }
        guard copy.backend_address.family == UInt8(LIMPET_FAMILY_PATH) else { return true }
        let piped = region.piped(position / region.recordsPerWorker, record: position % region.recordsPerWorker)
        path = UnixPath(limpet_path_copy(&piped.pointee.backend))
        return limpet_read_valid(&source.pointee.sequence, copy.sequence)
    }

    /// Calls `body` with every connection there is.
    public func visit(_ body: (ConnectionSnapshot) -> Void) {
        var position = 0
        while position < slotCount {
            if isUntouched(position) {
                position = endOfWorker(position)
                continue
            }
            if let snapshot = snapshot(position) { body(snapshot) }
            position += 1
        }
    }

    private func record(_ position: Int) -> UnsafeMutablePointer<limpet_record> {
        region.records(position / region.recordsPerWorker) + position % region.recordsPerWorker
    }
}
