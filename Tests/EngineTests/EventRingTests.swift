import CLayout
import Control
import Forwarding
import Glibc
import Linux
import Testing

@testable import Engine

/// Events in the shared region, as the next engine finds them.
@Suite struct EventRingTests {
    private func region() throws -> SharedRegion { try SharedRegion(workers: 1, records: 4, limit: 4) }

    private func post(_ count: Int, to hub: EventHub) {
        for number in 0..<count { hub.post(ControlEvent(.health, service: "chat", cause: "number \(number)")) }
    }

    @Test func `The last ones are found, in order, and the numbers go on`() throws {
        let region = try region()
        post(1500, to: EventHub(in: region))
        let next = EventHub(in: region)
        #expect(next.total == 1500)
        let kept = next.recent(5000)
        #expect(kept.map(\.number) == Array(477...1500))
        #expect(kept.first?.event.cause == "number 476" && kept.last?.event.cause == "number 1499")
        next.post(ControlEvent(.log))
        #expect(EventHub(in: region).recent(1).first?.number == 1501)
    }

    @Test func `A ring that nobody has written to takes no memory`() throws {
        let region = try region()
        func blocks() -> Int {
            var status = stat()
            #expect(fstat(region.memory.descriptor, &status) == 0)
            return Int(status.st_blocks) * 512
        }
        let before = blocks()
        _ = EventHub(in: region)
        #expect(blocks() - before <= 8192)
        post(3, to: EventHub(in: region))
        #expect(EventHub(in: region).total == 3)
        #expect(blocks() - before <= 16384)
    }

    @Test func `One that an engine died over is left out`() throws {
        let region = try region()
        post(3, to: EventHub(in: region))
        limpet_publish64(&region.events[2].number, 0)
        region.events[1].length = 5
        let next = EventHub(in: region)
        // What cannot be read either; the last number is that of the last whole one.
        #expect(next.recent(10).map(\.number) == [3] && next.total == 3)
    }

    @Test func `A cause of any length fits`() throws {
        let region = try region()
        EventHub(in: region).post(
            ControlEvent(.reload, new: "refused", cause: String(repeating: "line \"7\"\u{1}; ", count: 500)))
        let event = try #require(EventHub(in: region).recent(1).first)
        #expect(event.line.count <= 1012 && event.event.cause?.hasPrefix("line \"7\"") == true)
        #expect(event.event.cause?.hasSuffix("…") == true)
    }
}
