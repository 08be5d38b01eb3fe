import Logging
import Testing

@testable import Observability

@Suite struct LogTests {
    @Test(arguments: [
        ("a\u{1B}[2Jb", #"a\u001b[2Jb"#), ("a\nb", #"a\u000ab"#), ("\u{7F}", #"\u007f"#), ("\u{9B}2J", #"\u009b2J"#),
        ("plain", "plain"),
    ])
    func nobodyWritesToTheTerminalThroughTheLog(_ given: String, _ shown: String) {
        #expect(StandardErrorLog.text(given, [:]) == shown)
        let value = given == "plain" ? "plain" : "\"\(shown)\""
        #expect(StandardErrorLog.text("m", ["key": "\(given)"]) == "m key=\(value)")
    }

    @Test func aValueCannotPassForAnother() {
        #expect(StandardErrorLog.text("m", ["a": "1 b=2"]) == #"m a="1 b=2""#)
        #expect(StandardErrorLog.text("m", ["a": #"1" b="2"#]) == #"m a="1\" b=\"2""#)
        #expect(StandardErrorLog.text("m", ["a": #"\u001b"#]) == #"m a="\\u001b""#)
    }
}
