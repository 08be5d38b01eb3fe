import Control
import Testing

@testable import limpetctl

@Suite struct RenderTests {
    private func table(_ available: Int?, isWide: Bool = false, isColoured: Bool = false, _ rows: [BackendRow])
        -> [String]
    {
        let sink = Lines()
        var table = Table(
            Column.backends(at: Timestamp(milliseconds: 1_700_000_725_000)), isWide: isWide, available: available,
            style: Style(isOn: isColoured)
        ) { sink.all.append($0) }
        for row in rows { table.add(row) }
        table.finish()
        return sink.all
    }

    private final class Lines { var all: [String] = [] }

    private var long: BackendRow {
        FakePlane.backend("a-service-with-a-long-name", "a-backend-with-a-long-name", port: 9001, connections: 1)
    }

    @Test func `Our own colours are let through and nothing else`() {
        let painted = Style(isOn: true).paint("up", .good)
        #expect(Printable.line(painted + "\u{1B}[2J", withColours: true) == painted + "\\u001b[2J")
        #expect(Printable.line(painted) == "\\u001b[32mup\\u001b[0m")
        #expect(Printable.line("ü…\t\n") == "ü…\\u0009\\u000a")
        #expect(Printable.lines([0x41, 0x9B, 0x0A]) == Array("A\u{FFFD}\n".utf8))
    }

    @Test func `Headings stand alone where there are no rows`() {
        #expect(table(nil, []) == ["BACKEND  ADDRESS  STATE  WEIGHT  CONNS  AWAY  TOTAL  SINCE"])
    }

    @Test func `A name gives way on a terminal, an address never`() {
        let narrow = table(70, [long])
        #expect(narrow[1].contains("…") && narrow[1].contains("127.0.0.1:9001"))
        #expect(narrow.allSatisfy { $0.count <= 70 })
        // Narrower than the addresses: the name keeps both ends, the heading is whole, and the line is what it is.
        let least = table(20, [long])
        #expect(least[0].hasPrefix("BACKEND  ADDRESS"))
        #expect(least[1].hasPrefix("a-…name  127.0.0.1:9001  up"))
        let others = table(
            50, ["ws1", "ws2"].map { FakePlane.backend("default", $0, port: 9001, connections: 1) })
        #expect(others[1].hasPrefix("de…/ws1 ") && others[2].hasPrefix("de…/ws2 "))
    }

    @Test func `Nothing is cut where there is no terminal`() {
        #expect(
            table(nil, [long])[1].hasPrefix("a-service-with-a-long-name/a-backend-with-a-long-name  127.0.0.1:9001"))
    }

    @Test func `Wide has every field`() {
        let row = FakePlane.backend("chat", "ws1", port: 9001, connections: 1)
        #expect(
            table(nil, isWide: true, [row]) == [
                "BACKEND   ADDRESS         STATE  INTENT  HEALTH  WEIGHT  CONFIGURED  CONNS  CONNECTING  AWAY  TOTAL"
                    + "       IN    OUT  FAILURES  FALLBACKS   SINCE  CLOSES-IN  DRAIN  NAME  RESOLVED  CHECK  NEXT-CHECK"
                    + "  LAST-CHECK",
                "chat/ws1  127.0.0.1:9001  up     ready   up           1           1      1           0     0     17"
                    + "  1.2 GiB  999 B         3          2  12m05s          -  -      -     -         off             -"
                    + "  -",
            ])
    }

    @Test func `Colour comes around the word and moves nothing`() {
        let row = FakePlane.backend("chat", "ws1", port: 9001, connections: 1)
        let coloured = table(nil, isColoured: true, [row])
        #expect(coloured[1].contains("\u{1B}[32mup\u{1B}[0m"))
        func bare(_ line: String) -> String { line.replacing(/\x{1B}\[[0-9]+m/, with: "") }
        #expect(bare(coloured[1]) == table(nil, [row])[1])
    }

    @Test(arguments: [
        (UInt64(0), "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1024, "1.0 KiB"), (102_348, "99.9 KiB"),
        (102_400, "100 KiB"), (1_023_487, "999 KiB"), (1_023_999, "1.0 MiB"), (1_288_490_189, "1.2 GiB"),
        (UInt64.max, "16.0 EiB"),
    ])
    func `Bytes`(count: UInt64, text: String) {
        #expect(Units.bytes(count) == text)
    }

    @Test func `Clocks that disagree make no negative age`() {
        #expect(Units.age(from: Timestamp(milliseconds: 2000), to: Timestamp(milliseconds: 1000)) == "0s")
    }
}

@Suite struct ArgumentTests {
    private let verbs = ["status", "drain", "version"]

    @Test func `Leading options move behind the verb, and a bare watch gets its number`() throws {
        #expect(
            try Arguments.arranged(["--control", "/s", "--json", "--watch", "status"], verbs: verbs)
                == ["status", "--control", "/s", "--json", "--watch=2"])
        #expect(try Arguments.arranged(["status", "--watch"], verbs: verbs) == ["status", "--watch=2"])
        #expect(try Arguments.arranged(["--watch=5", "status"], verbs: verbs) == ["status", "--watch=5"])
        #expect(try Arguments.arranged(["help", "drain"], verbs: verbs) == ["help", "drain"])
    }

    @Test func `No verb, and no such verb`() {
        #expect(throws: Failure.self) { try Arguments.arranged(["--json"], verbs: verbs) }
        #expect(throws: Failure.self) { try Arguments.arranged(["--control", "status"], verbs: verbs) }
        #expect(throws: Failure.self) { try Arguments.arranged(["drian"], verbs: verbs) }
    }
}
