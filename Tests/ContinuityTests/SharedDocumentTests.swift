import CLayout
import Continuity
import Forwarding
import Linux
import Testing

struct SharedDocumentTests {
    @Test func whatWasPublishedLastCounts() throws {
        let region = try SharedRegion(workers: 1, records: 4, limit: 4)
        let document = try SharedDocument.create(in: region)
        for text in ["first", "a second, longer one", "3", ""] {
            try document.publish(Array(text.utf8))
            #expect(try SharedDocument(region: region).read() == Array(text.utf8))
        }
    }

    @Test func aRegionIsAdoptedByItsDescriptor() throws {
        let region = try SharedRegion(workers: 2, records: 8, limit: 8)
        region.records(1)[7].id = 4711
        region.continuity.pointee.generation = 3
        let again = try SharedRegion(adopting: region.memory.descriptor)
        #expect(again.records(1)[7].id == 4711)
        #expect(again.continuity.pointee.generation == 3)
        #expect(again.workerCount == 2 && again.recordsPerWorker == 8)
    }

    @Test func whatIsNoRegionIsRefused() throws {
        let file = try AnonymousFile.create(name: "other")
        defer { Descriptor.close(file) }
        #expect(throws: SystemError.self) { try SharedRegion(adopting: file) }
        #expect(AnonymousFile.replace(file, with: [UInt8](repeating: 1, count: 8192)) == nil)
        #expect(throws: SystemError.self) { try SharedRegion(adopting: file) }
    }
}
