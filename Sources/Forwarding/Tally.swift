import Addressing
import CLayout

/// What all workers of one engine count together and need not leave behind: the next engine begins anew, or tells it again
/// from the records. Any thread may use it.
public final class Tally: @unchecked Sendable {
    /// By backend slot: connects that have failed since the last one that did not.
    private let failures: UnsafeMutablePointer<UInt64>
    /// By service slot: connections.
    private let services: UnsafeMutablePointer<UInt64>
    let clients = ClientTally()

    /// Slots of services: a configuration names no more.
    public static let maximumServices = 4096

    /// Costs memory only where a count was ever changed.
    public init(backendSlots: Int) {
        failures = Tally.zeroed(backendSlots)
        services = Tally.zeroed(Tally.maximumServices)
    }

    deinit {
        failures.deallocate()
        services.deallocate()
    }

    /// Counts what an engine before has left. Before the workers start.
    func begin(_ region: SharedRegion, _ table: ForwardingTable) {
        for worker in 0..<region.workerCount {
            let records = region.records(worker)
            for slot in 0..<region.recordsPerWorker {
                if records[slot].generation == 0 { break }
                if records[slot].state == UInt8(LIMPET_FREE) { continue }
                let service = records[slot].service
                services[Int(service)] += 1
                if table.services[Int(service)].limits.perClient != 0, !region.isAwaitingHeader(worker, slot),
                    let client = records[slot].client.endpoint
                {
                    clients.add(client.address, service: service)
                }
            }
        }
    }

    /// Connections of a service.
    public func connections(ofService service: Int) -> Int { Int(clamping: limpet_load64(services + service)) }

    /// One more. False: the limit is reached. 0: there is none.
    @inline(__always)
    func enter(service: UInt16, limit: UInt64) -> Bool {
        limpet_take(services + Int(service), limit == 0 ? .max : limit)
    }

    @inline(__always)
    func leave(service: UInt16) {
        _ = limpet_fetch_add64(services + Int(service), .max)
    }

    private static func zeroed(_ count: Int) -> UnsafeMutablePointer<UInt64> {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        words.initialize(repeating: 0, count: count)
        return words
    }

    /// A connect to a backend has failed, for no reason of this machine.
    @inline(__always)
    func connectFailed(_ backend: Int) {
        _ = limpet_fetch_add64(failures + backend, 1)
    }

    /// A connect has succeeded.
    @inline(__always)
    func connectSucceeded(_ backend: Int) {
        if limpet_load64(failures + backend) != 0 { limpet_store64(failures + backend, 0) }
    }

    /// Connects to a backend that have failed since the last one that did not.
    public func failuresInARow(_ backend: Int) -> Int {
        Int(clamping: limpet_load64(failures + backend))
    }

    /// Says how many have failed: 0 where the slot is another backend's now.
    public func setFailuresInARow(_ count: Int, _ backend: Int) {
        limpet_store64(failures + backend, UInt64(count))
    }
}
