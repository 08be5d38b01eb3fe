import NIOCore
import Testing

@testable import Control

/// What counts as missed: that a reader was too slow, and not that it came late.
@Suite struct EventReadingTests {
    private let hub = EventHub(epoch: 1000)

    private func post(_ count: Int) {
        for _ in 0..<count { hub.post(ControlEvent(.health, service: "chat", backend: "ws1")) }
    }

    /// Numbers that lines of `missed` say, nil where one says none; and how many other lines there are.
    private func readAll(_ reading: EventReading) -> (missed: [String], others: Int) {
        var missed: [String] = []
        var others = 0
        while let lines = reading.next() {
            for line in String(buffer: lines).split(separator: "\n") {
                if line.contains(#""event":"missed""#) {
                    missed.append(line.firstMatch(of: /"count":(\w+)/).map { String($0.1) } ?? "")
                } else {
                    others += 1
                }
            }
        }
        return (missed, others)
    }

    private func cursor(_ number: UInt64, epoch: UInt64 = 1000) -> String {
        EventCursor(epoch: epoch, number: number).description
    }

    @Test(arguments: [true, false]) func whoComesLateIsToldAndNotCounted(waits: Bool) throws {
        post(3000)
        for _ in 0..<3 {
            let late = readAll(try EventReading(hub, since: cursor(10), waits: waits))
            #expect(late.missed == ["\(3000 - 10 - EventHub.capacity)"] && late.others == EventHub.capacity)
            let foreign = readAll(try EventReading(hub, since: cursor(10, epoch: 999), waits: waits))
            #expect(foreign.missed.count == 1 && foreign.others == EventHub.capacity)
        }
        #expect(hub.missed == 0)
    }

    @Test(arguments: [nil, "start", "10"]) func whoWasOvertakenIsCounted(since: String?) throws {
        post(20)
        let since = since == "10" ? cursor(10) : since
        let reading = try EventReading(hub, since: since, waits: true)
        #expect(readAll(reading).missed.isEmpty)
        post(3000)
        #expect(readAll(reading) == (["\(3000 - EventHub.capacity)"], EventHub.capacity))
        #expect(hub.missed == UInt64(3000 - EventHub.capacity))
    }
}
