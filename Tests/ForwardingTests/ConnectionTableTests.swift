import Addressing
import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

@Suite struct ConnectionTableTests {
    @Test func theRegionIsLaidOutAsItsHeaderSays() throws {
        let region = try SharedRegion(workers: 3, records: 100, limit: 50)
        #expect(region.header.pointee.magic == LIMPET_LAYOUT_MAGIC)
        #expect(region.header.pointee.version == LIMPET_LAYOUT_VERSION)
        #expect(region.header.pointee.records_per_worker == 100)
        // The last byte of everything is ours to write.
        region.records(2)[99].generation = 5
        region.scratch(2).storeBytes(of: 1, toByteOffset: Int(LIMPET_SCRATCH_BYTES) - 1, as: UInt8.self)
        region.counters(2, backend: SharedRegion.maximumBackends - 1).pointee.open = 6
        region.counters(2, listener: SharedRegion.maximumListeners - 1).pointee.open = 7
        #expect(region.records(0).pointee.generation == 0)
        #expect(region.records(2)[99].generation == 5)
    }

    @Test func addressesComeBackAsTheyWentIn() throws {
        for text in ["203.0.113.7:80", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::7]:443", "[::1]:1"] {
            let endpoint = try Endpoint(parsing: text)
            var address = limpet_address()
            address.set(endpoint)
            #expect(address.endpoint == endpoint)
        }
        #expect(limpet_address().endpoint == nil)
    }

    @Test func emptySlotsAreNoRows() throws {
        let region = try SharedRegion(workers: 2, records: 10, limit: 10)
        let table = ConnectionTable(region: region)
        #expect(table.slotCount == 20)
        #expect(table.isUntouched(0))
        #expect(table.endOfWorker(3) == 10)
        region.records(1)[4].generation = 1
        region.records(1)[4].state = UInt8(LIMPET_OPEN)
        #expect(table.snapshot(14)?.worker == 1)
        #expect(table.snapshot(14)?.slot == 4)
        region.records(1)[4].state = UInt8(LIMPET_FREE)
        #expect(table.snapshot(14) == nil)
        #expect(!table.isUntouched(14))
    }

    /// A writer changes one record as workers do, as fast as it can; whatever a reader sees belongs together.
    @Test(.timeLimit(.minutes(1))) func rowsAreNeverTorn() throws {
        let region = try SharedRegion(workers: 1, records: 1, limit: 1)
        let table = ConnectionTable(region: region)
        let stop = Locked(false)
        let writer = try Threads.start("writer") {
            let record = region.records(0)
            var round: UInt64 = 0
            while !stop.with({ $0 }) {
                for _ in 0..<50 {
                    round += 1
                    limpet_write_begin(&record.pointee.sequence)
                    record.pointee.state = UInt8(LIMPET_OPEN)
                    record.pointee.generation = UInt32(truncatingIfNeeded: round) | 1
                    record.pointee.id = round
                    record.pointee.opened = round
                    record.pointee.client.set(Endpoint(address: IPAddress(v6High: round, low: round), port: 1))
                    record.pointee.backend_local.set(Endpoint(address: IPAddress(v6High: round, low: round), port: 1))
                    limpet_write_end(&record.pointee.sequence)
                }
                // A real worker does something else most of the time; without a rest a reader on one core starves.
                sched_yield()
            }
        }
        var seen = Set<UInt64>()
        while seen.count < 500 {
            guard let row = table.snapshot(0) else { continue }
            let torn =
                row.record.opened != row.id || row.client?.address.high != row.id
                || row.backendLocal?.address.low != row.id
            #expect(!torn)
            if torn { break }
            seen.insert(row.id)
        }
        stop.with { $0 = true }
        Threads.join(writer)
    }
}
