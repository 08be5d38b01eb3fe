import Addressing
import Testing

@testable import Names

@Suite("Names to ask for, and when")
struct NamePureTests {
    @Test("a search list is tried where the name has few dots, and never for a name with a dot at the end")
    func candidates() throws {
        func of(_ text: String, _ domains: [String], _ dots: Int = 1) throws -> [String] {
            NameCandidates.of(try #require(HostName(text)), domains: domains, dots: dots)
        }
        #expect(try of("ws1", ["a.example", "b.example."]) == ["ws1.a.example", "ws1.b.example", "ws1"])
        #expect(try of("ws1.chat", ["a.example"]) == ["ws1.chat", "ws1.chat.a.example"])
        #expect(try of("ws1.chat", ["a.example"], 5) == ["ws1.chat.a.example", "ws1.chat"])
        #expect(try of("ws1.", ["a.example"]) == ["ws1"])
        #expect(try of("ws1", []) == ["ws1"])
        #expect(try of("ws1", [".", "", "a", "a"]) == ["ws1", "ws1.a"])
        let long = String(repeating: "abcdefghi.", count: 24) + "x"
        #expect(try of(long, ["a-domain.example.net"]) == [long])
    }

    @Test("an answer counts for its TTL, within bounds")
    func pace() {
        let pace = NamePace()
        #expect(pace.wait(ttl: 0) == .seconds(1))
        #expect(pace.wait(ttl: 1) == .seconds(1))
        #expect(pace.wait(ttl: 60) == .seconds(60))
        #expect(pace.wait(ttl: .max) == .seconds(300))
        #expect(NamePace(interval: .seconds(7)).wait(ttl: 60) == .seconds(7))
        #expect((0...9).map { pace.wait(failures: $0) } == [1, 1, 2, 4, 8, 16, 30, 30, 30, 30].map { .seconds($0) })
        #expect(pace.wait(failures: .max) == .seconds(30))
    }

    @Test("10,000 addresses are too many: so many stay, the same whatever their order was")
    func bounded() {
        let all = (0..<10_000).map { IPAddress(v4: 0x0a00_0000 + UInt32($0)) }
        let tidy = NameAnswer.tidy(all.shuffled() + all)
        #expect(tidy.records == Array(all.prefix(1000)))
        #expect(tidy.leftOut == 9000)
        #expect(NameAnswer.tidy(all.shuffled()).records == tidy.records)
        #expect(NameAnswer.tidy([IPAddress]()).records.isEmpty)
    }
}
