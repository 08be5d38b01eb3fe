import Testing

@testable import Configuration

@Suite struct TextTests {
    @Test(arguments: [
        "", "s", "5", "5 s", " 5s", "-5s", "+5s", "5S", "5sec", "1h30m", "1.5s", "5d", "5us", "5ss", "٣s",
        "99999999999999999999s", "9223372036854775807h", "876001h",
    ])
    func theseAreNotDurations(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(
        arguments: [
            ("0s", .zero, "0s"), ("0ms", .zero, "0s"), ("500ms", .milliseconds(500), "500ms"),
            ("5s", .seconds(5), "5s"),
            ("1000ms", .seconds(1), "1s"), ("10m", .seconds(600), "10m"), ("90s", .seconds(90), "90s"),
            ("2h", .seconds(7200), "2h"), ("60m", .seconds(3600), "1h"), ("005s", .seconds(5), "5s"),
        ] as [(String, Duration, String)])
    func durations(text: String, duration: Duration, canonical: String) {
        #expect(DurationText.parse(text) == duration)
        #expect(DurationText.render(duration) == canonical)
    }

    @Test(arguments: ["", "KiB", "1KB", "1k", "-1KiB", "1.5MiB", "1 KiB", "9223372036854775807KiB", "0x10"])
    func theseAreNotSizes(text: String) {
        #expect(SizeText.parse(text) == nil)
    }

    @Test(arguments: [
        ("4096", 4096, "4KiB"), ("256KiB", 262144, "256KiB"), ("4MiB", 4_194_304, "4MiB"), ("5000", 5000, "5000"),
    ])
    func sizes(text: String, bytes: Int, canonical: String) {
        #expect(SizeText.parse(text) == bytes)
        #expect(SizeText.render(bytes) == canonical)
    }

    @Test func textsOfTheUserCannotMoveTheCursor() {
        #expect(quoted("a\u{1b}[2J\n\u{202e}\"") == #""a\u{1b}[2J\u{a}\u{202e}\"""#)
        #expect(quoted("größe") == "\"größe\"")
        #expect(quoted(String(repeating: "x", count: 100)) == "\"\(String(repeating: "x", count: 80))…\"")
    }
}
