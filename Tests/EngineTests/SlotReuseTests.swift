import Addressing
import CLayout
import Configuration
import Forwarding
import Testing

@testable import Engine

/// Slots of backends that name servers make come and go.
@Suite struct SlotReuseTests {
    private let limits = SlotLimits(services: 100, backends: 16384, listeners: 100)

    private var pattern: DaemonConfiguration {
        get throws {
            var backend = BackendConfiguration(name: "pool", address: .name(HostName("pool.example.net")!, port: 80))
            backend.expands = true
            return DaemonConfiguration(services: [
                ServiceConfiguration(
                    name: "chat", listeners: [ListenerConfiguration(try Endpoint(parsing: "127.0.0.1:80"))],
                    backends: [backend])
            ])
        }
    }

    /// What is configured while the name has these addresses.
    private func expanded(_ addresses: Range<Int>) throws -> DaemonConfiguration {
        var facts = NameFacts()
        facts.addresses[HostQuestion(HostName("pool.example.net")!)] = addresses.map {
            IPAddress(v4: 0x0a00_0000 + UInt32($0))
        }
        return NameExpansion(try pattern, facts).configuration
    }

    /// The tables do not grow with every address there ever was, and a slot that bears connections stays whose it is.
    @Test func tablesStaySmallOverTenThousandChanges() throws {
        var configuration = try expanded(0..<4)
        var tables = try SlotAssigner.assign(configuration, after: nil, SlotTables(), limits: limits).tables
        let busy = tables.backends[1]
        var largest = 0
        for change in 1...10_000 {
            let next = try expanded(change * 2..<change * 2 + 4)
            let retired = tables.backends.indices.filter { tables.backends[$0].use == .retired }
            let assignment = try SlotAssigner.assign(
                next, after: configuration, tables, limits: limits,
                idle: { IdleSlots(services: [], backends: Set(retired).subtracting([1]), listeners: []) })
            // Not even those that have gone this very moment.
            if !Set(assignment.recycledBackends).isSubset(of: retired) { Issue.record("change \(change)") }
            (configuration, tables) = (next, assignment.tables)
            largest = max(largest, tables.backends.count)
        }
        #expect(largest <= 4 + 2 + SlotAssigner.mostRetiredBackends + 1)
        #expect(tables.backends.count { $0.use == .live } == 4)
        #expect(tables.backends[1].name == busy.name && tables.backends[1].use == .retired)
        #expect(Set(tables.backends.map(\.name)).count == tables.backends.count)
    }

    /// Whoever comes back finds its place as long as it is there.
    @Test func whoComesBackSoonHasItsSlot() throws {
        let (one, two) = (try expanded(0..<100), try expanded(100..<200))
        let tables = try SlotAssigner.assign(one, after: nil, SlotTables(), limits: limits).tables
        let away = try SlotAssigner.assign(two, after: one, tables, limits: limits).tables
        let back = try SlotAssigner.assign(one, after: two, away, limits: limits)
        #expect(back.recycledBackends.isEmpty)
        #expect(back.tables.backends[..<100].map(\.name) == tables.backends.map(\.name))
    }

    /// A slot whose number somebody still bears is not idle: a connection, one whose home it was, a line to be written.
    @Test func whatIsStillSpokenOfIsNotIdle() throws {
        let region = try SharedRegion(workers: 1, records: 16, limit: 16)
        let configuration = try expanded(0..<8)
        var tables = try SlotAssigner.assign(configuration, after: nil, SlotTables(), limits: limits).tables
        for slot in 1..<8 { tables.backends[slot].use = .retired }
        #expect(IdleSlots(tables, region).backends == Set(1..<8))
        let record = region.records(0)
        limpet_record_clear(record, 1)
        record.pointee.state = UInt8(LIMPET_OPEN)
        record.pointee.id = 1
        record.pointee.backend = 2
        record.pointee.home = 3
        #expect(IdleSlots(tables, region).backends == [1, 4, 5, 6, 7])
        // One that has ended, and another that was written already.
        let ring = region.accessRing(0)
        for (number, backend) in [UInt16(4), 5].enumerated() {
            let entry = limpet_entry(ring, UInt64(number))
            entry.pointee = limpet_access_entry()
            entry.pointee.backend = backend
            entry.pointee.home = backend == 4 ? .max : 6
        }
        ring.pointee.head = 2
        #expect(IdleSlots(tables, region).backends == [1, 7])
        ring.pointee.tail = 1
        #expect(IdleSlots(tables, region).backends == [1, 4, 7])
        ring.pointee.tail = 2
        record.pointee.state = UInt8(LIMPET_FREE)
        #expect(IdleSlots(tables, region).backends == Set(1..<8))
    }
}
