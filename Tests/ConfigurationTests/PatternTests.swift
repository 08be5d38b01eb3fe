import Configuration
import Testing

@Suite struct PatternTests {
    private func finds(_ pattern: String, _ text: String) throws -> Bool {
        var search = try Pattern(pattern).search()
        search.feed(text.utf8)
        search.end()
        return search.isFound
    }

    @Test(arguments: [
        ("", "", true), ("a", "", false), ("abc", "xxabcx", true), ("abc", "ababx", false), ("a.c", "abc", true),
        ("a.c", "a\nc", false), ("^b", "ab", false), ("^a", "ab", true), ("b$", "ab", true), ("a$", "ab", false),
        ("a|b", "xb", true), ("(ab)+c", "ababc", true), ("(ab)+c", "ac", false), ("ab*c", "ac", true),
        ("ab?c", "abbc", false), ("a{3}", "aa", false), ("a{3}", "aaa", true), ("^a{2,3}$", "aaaa", false),
        ("^a{2,}$", "aaaa", true), ("[a-c]x", "bx", true), ("[^a-c]x", "bx", false), ("[]]", "]", true),
        ("[a-]", "-", true), (#"\d+\.\d"#, "v1.2", true), (#"\+PONG\r\n"#, "+PONG\r\n", true),
        (#"\w\W\s\S"#, "a- b", true), ("(a|(b|c)*d)$", "bcbd", true), ("x{0}y", "y", true), ("(){1000}", "", true),
        ("ü", "für", true), ("^$", "", true), ("^$", "a", false),
    ]) func search(pattern: String, text: String, isFound: Bool) throws {
        #expect(try finds(pattern, text) == isFound, "\(pattern) in \(text)")
    }

    @Test(arguments: [
        "(", ")", "a)", "[", "[a", "[]", "*", "a**", "a{2}{3}", "a{3,2}", "a{", "a{1001}", "\\", "\\1", "\\b", "[z-a]",
        "((a{100}){100}){100}", String(repeating: "(", count: 100_000),
    ]) func refused(pattern: String) {
        #expect(throws: Pattern.SyntaxError.self) { try Pattern(pattern) }
    }

    /// What takes searchers that try one way after the other for ever.
    @Test func noTextTakesLong() throws {
        var search = try Pattern("(a*)*(a|aa)+(a?){50}b").search()
        search.feed(repeatElement(UInt8(ascii: "a"), count: 2048))
        search.end()
        #expect(!search.isFound)
    }
}
