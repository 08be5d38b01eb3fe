import Addressing
import CLayout
import Forwarding
import Foundation
import Glibc
import Linux
import Testing

@testable import Continuity

/// The way from one layout of the record to another, held against records whose bytes are frozen.
@Suite struct LayoutTests {
    @Test func theFixturesAreConvertedBothWays() throws {
        let old = try fixture(1, as: limpet_record_1.self)
        let new = try fixture(2, as: limpet_record_2.self)
        #expect(old.count == 3 && new.count == 3)
        for (before, after) in zip(old, new) {
            #expect(bytes(of: limpet_record_2(before)) == bytes(of: after))
            #expect(bytes(of: limpet_record_1(after)) == bytes(of: before))
        }
    }

    /// What the fixture says of a connection is where each layout looks for it.
    @Test func theFixturesSayWhatTheyShould() throws {
        let old = try fixture(1, as: limpet_record_1.self)[1]
        #expect(old.id == 0xffff_ffff_ffff && old.generation == 0x7fff_ffff && old.sequence == 15)
        #expect(old.descriptor == (20001, 20002) && old.state == UInt8(LIMPET_HALF_CLOSED))
        #expect((old.service, old.listener, old.backend, old.home) == (65535, 1023, 16383, 7))
        #expect((old.header, old.header_left) == (52, 31))
        #expect(old.direction.0.pipe_bytes == 65536 && old.direction.1.pipe_write == 30004)
        #expect(old.client.endpoint?.description == "[2001:db8::7]:50001")
        #expect(old.backend_local.endpoint?.description == "[fd00::1]:60001")

        let new = try fixture(2, as: limpet_record_2.self)[1]
        #expect(new.id == old.id && new.generation == old.generation && new.sequence == old.sequence)
        #expect(new.descriptor == old.descriptor && new.state == old.state && new.events == (2, 3))
        #expect((new.service, new.listener, new.backend, new.home) == (65535, 1023, 16383, 7))
        #expect((new.header, new.header_left) == (52, 31))
        #expect(new.delivered == old.delivered && new.deadline == old.deadline && new.active == old.active)
        #expect((new.timer_next, new.timer_previous, new.timer_slot) == (0x0102_0304, 0x0506_0708, 0x0a0b_0c0d))
        #expect(new.client.endpoint == old.client.endpoint && new.peer.endpoint == old.peer.endpoint)
    }

    /// Every byte comes back.
    @Test func nothingIsLostThereAndBack() {
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            var old = limpet_record_1()
            withUnsafeMutableBytes(of: &old) { for index in $0.indices { $0[index] = numbers.next() } }
            #expect(bytes(of: limpet_record_1(limpet_record_2(old))) == bytes(of: old))

            var new = limpet_record_2()
            withUnsafeMutableBytes(of: &new) { for index in $0.indices { $0[index] = numbers.next() } }
            #expect(bytes(of: limpet_record_2(limpet_record_1(new))) == bytes(of: new))
        }
    }

    @Test func aBuildReadsItsOwnLayoutAndThoseThatItSays() {
        #expect(Layouts.own == 2)
        #expect(Layouts.readable == [1, 2])
        #expect(Layouts.restorable == [1, 2])
    }

    @Test func aRegionGoesBackToThePreviousLayoutAndComesAgain() throws {
        let region = try SharedRegion(workers: 2, records: 1000, limit: 1000)
        let records = try fixture(2, as: limpet_record_2.self)
        for worker in 0..<2 {
            for slot in 0..<(worker == 0 ? 3 : 700) { region.records(worker)[slot] = records[slot % 3] }
        }
        region.continuity.pointee.generation = 17
        region.worker(1).pointee.scratch_length = 99
        region.scratch(1).storeBytes(of: 0x5a, toByteOffset: Int(LIMPET_SCRATCH_BYTES) - 1, as: UInt8.self)
        region.counters(1, backend: 16383).pointee.total = 12
        region.backend(5).pointee.weight = 200
        let original = contents(region.memory)

        let old = try Layouts.restore(region, as: 1)
        let descriptor = old.descriptor
        defer {
            old.unmap()
            Descriptor.close(descriptor)
        }
        #expect(contents(region.memory) == original, "the original is left as it was")
        let header = old.base.load(as: limpet_shared_header.self)
        #expect(header.version == 1 && header.size == UInt64(old.size))
        let expected = try fixture(1, as: limpet_record_1.self)
        let base = (old.base + Int(header.record_offset)).assumingMemoryBound(to: limpet_record_1.self)
        for slot in 0..<1000 {
            #expect(bytes(of: base[slot]) == (slot < 3 ? bytes(of: expected[slot]) : [UInt8](repeating: 0, count: 256)))
        }
        #expect(throws: SystemError.self, "a build reads no layout but those that it says") {
            try SharedRegion(adopting: descriptor)
        }

        let again = try Layouts.adopt(descriptor)
        #expect(again.isConverted)
        #expect(again.region.continuity.pointee.region == again.region.memory.descriptor)
        #expect(again.region.memory.descriptor != descriptor)
        again.handedDown.pointee.safe = 4711
        #expect(old.base.load(fromByteOffset: safeOffset(header), as: Int32.self) == 4711)
        #expect(again.region.continuity.pointee.safe == 0)
        again.region.continuity.pointee.region = region.memory.descriptor
        #expect(contents(again.region.memory) == original)
        again.region.memory.unmap()
        Descriptor.close(again.region.memory.descriptor)
    }

    @Test func aRegionOfOurLayoutIsTakenAsItIs() throws {
        let region = try SharedRegion(workers: 1, records: 4, limit: 4)
        let again = try Layouts.adopt(region.memory.descriptor)
        #expect(!again.isConverted)
        again.handedDown.pointee.safe = 12
        #expect(region.continuity.pointee.safe == 12)
        again.forgetInherited()
        #expect(region.continuity.pointee.safe == again.region.continuity.pointee.safe)
        #expect(try Layouts.restore(region, as: Layouts.own).base == region.memory.base)
    }

    /// As an older build has made it: without areas, or with fewer, or with one that has another size by now.
    @Test(arguments: ["none", "fewer", "another size"]) func whatARegionLacksItHasAfterwards(_ what: String) throws {
        let region = try SharedRegion(workers: 2, records: 100, limit: 100)
        let records = try fixture(2, as: limpet_record_2.self)
        for slot in 0..<3 { region.records(1)[slot] = records[slot] }
        region.counters(1, backend: 16383).pointee.total = 12
        region.scratch(1).storeBytes(of: 0x5a, toByteOffset: 7, as: UInt8.self)
        limpet_closed(region.metrics(ofWorker: 1), 3).pointee = 33
        region.accessRing(0).pointee.head = 5
        region.logState.pointee.log_dropped = 44
        let offset = Int(region.header.pointee.areas_offset)
        let areas = (region.memory.base + offset).assumingMemoryBound(to: limpet_areas.self)
        switch what {
        case "none": region.header.pointee.areas_offset = 0
        case "fewer": limpet_area_of(areas, Int32(LIMPET_AREA_ACCESS)).pointee = limpet_area()
        default: limpet_area_of(areas, Int32(LIMPET_AREA_ACCESS)).pointee.bytes += 8
        }
        let original = contents(region.memory)
        #expect(throws: SystemError.self) { try SharedRegion(adopting: region.memory.descriptor) }

        let again = try Layouts.adopt(region.memory.descriptor)
        #expect(again.isConverted && contents(region.memory) == original, "the original is left as it was")
        let copy = again.region
        #expect(copy.header.pointee.size == UInt64(copy.memory.size))
        for slot in 0..<3 { #expect(bytes(of: copy.records(1)[slot]) == bytes(of: records[slot])) }
        #expect(copy.records(1)[3].generation == 0 && copy.counters(1, backend: 16383).pointee.total == 12)
        #expect(copy.scratch(1).load(fromByteOffset: 7, as: UInt8.self) == 0x5a)
        #expect(copy.accessRing(0).pointee.head == 0 && copy.accessRing(1).pointee.tail == 0)
        #expect(copy.closed(.clientReset) == (what == "none" ? 0 : 33))
        #expect(copy.logDropped() == (what == "none" ? 0 : 44))
        limpet_entry(copy.accessRing(1), UInt64(LIMPET_ACCESS_ENTRIES) - 1).pointee.id = .max
        #expect(bytes(of: copy.records(0)[0]) == [UInt8](repeating: 0, count: 256))

        // It is complete from now on, and goes back and forth between layouts as it is.
        #expect(try !Layouts.adopt(copy.memory.descriptor).isConverted)
        let old = try Layouts.restore(copy, as: 1)
        let back = try Layouts.adopt(old.descriptor).region
        #expect(back.closed(.clientReset) == copy.closed(.clientReset))
        #expect(limpet_entry(back.accessRing(1), UInt64(LIMPET_ACCESS_ENTRIES) - 1).pointee.id == .max)
        for slot in 0..<3 { #expect(bytes(of: back.records(1)[slot]) == bytes(of: records[slot])) }
    }

    /// A region has room for every connection that could be and costs what there is; so does its copy.
    @Test func aCopyIsAsSparseAsWhatItWasMadeFrom() throws {
        let region = try SharedRegion(workers: 4, records: 500_000, limit: 500_000)
        region.records(3)[0] = try fixture(2, as: limpet_record_2.self)[0]
        let copy = try Layouts.restore(region, as: 1)
        defer {
            copy.unmap()
            Descriptor.close(copy.descriptor)
        }
        var status = stat()
        #expect(fstat(copy.descriptor, &status) == 0)
        #expect(status.st_size > 500_000_000)
        #expect(status.st_blocks * 512 < 1_000_000)
    }

    @Test func otherLayoutsAndWhatIsNoRegionAreRefused() throws {
        let region = try SharedRegion(workers: 1, records: 4, limit: 4)
        region.header.pointee.version = 99
        #expect(throws: SystemError.self) { try Layouts.adopt(region.memory.descriptor) }
        #expect(throws: SystemError.self) { try Layouts.restore(region, as: 99) }
        let file = try AnonymousFile.create(name: "other")
        defer { Descriptor.close(file) }
        #expect(throws: SystemError.self) { try Layouts.adopt(file) }
        #expect(AnonymousFile.replace(file, with: [UInt8](repeating: 1, count: 8192)) == nil)
        #expect(throws: SystemError.self) { try Layouts.adopt(file) }
        #expect(throws: SystemError.self) { try Layouts.adopt(-1) }
    }

    // MARK: Parts

    private func fixture<Record: BitwiseCopyable>(_ layout: Int, as type: Record.Type) throws -> [Record] {
        let url = try #require(
            Bundle.module.url(forResource: "layout-\(layout)", withExtension: "hex", subdirectory: "Fixtures"))
        let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }
        let bytes = try lines.flatMap { $0.split(separator: " ") }.map { try #require(UInt8($0, radix: 16)) }
        #expect(bytes.count % 256 == 0)
        return bytes.withUnsafeBytes { buffer in
            stride(from: 0, to: buffer.count, by: 256).map { buffer.loadUnaligned(fromByteOffset: $0, as: Record.self) }
        }
    }

    private func bytes<Record: BitwiseCopyable>(of record: Record) -> [UInt8] {
        withUnsafeBytes(of: record) { Array($0) }
    }

    private func contents(_ memory: SharedMemory) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: memory.base, count: memory.size))
    }

    private func safeOffset(_ header: limpet_shared_header) -> Int {
        Int(header.continuity_offset) + MemoryLayout<limpet_continuity>.offset(of: \.safe)!
    }
}
