import Backends
import Testing

@Suite struct NameTests {
    @Test(arguments: [
        "", " ", "a b", "a/b", "a:b", "a,b", "a=b", "ä", "a\n", "\0", "a\u{301}", "ｗs1",
        String(repeating: "a", count: 65),
        "a@b", "a[", "a`", "a{",
    ])
    func rejects(_ text: String) {
        #expect(!Name.isValid(text))
    }

    @Test(arguments: ["a", "Z", "0", "ws1", "chat-a.9", "_", ".", "-", "A-Z_a.z09", String(repeating: "x", count: 64)])
    func accepts(_ text: String) {
        #expect(Name.isValid(text))
        #expect(Name.isValid(text[...]))
    }
}

@Suite struct SuggestionTests {
    static let keys = ["weight", "address", "name", "max-connections", "ws1", "ws2", "b"]

    @Test(arguments: [
        "", "x", "q", "cd", "zz", "wgt", "timeout", "xyz1", "adr", "emanu",
        "an utterly different text, longer than any of the candidates",
    ])
    func saysNothingWhereNothingIsNear(_ word: String) {
        #expect(suggestion(for: word, among: SuggestionTests.keys) == nil)
    }

    @Test(arguments: [
        ("wieght", "weight"), ("weigth", "weight"), ("wight", "weight"), ("weights", "weight"), ("waight", "weight"),
        ("Weight", "weight"), ("ADDRES", "address"), ("adress", "address"), ("nmae", "name"), ("nam", "name"),
        ("max_connections", "max-connections"), ("maxconnections", "max-connections"),
        ("mxa-conections", "max-connections"),
        ("connections", "max-connections"), ("WS2", "ws2"), ("ws", "ws1"), ("ws3", "ws1"), ("w2s", "ws2"), ("B", "b"),
    ])
    func findsTheOneThatWasMeant(_ word: String, _ expected: String) {
        #expect(suggestion(for: word, among: SuggestionTests.keys) == expected)
    }

    @Test func nearestWinsThenTheFirst() {
        #expect(suggestion(for: "node12", among: ["node21x", "node1", "node13"]) == "node1")
        #expect(suggestion(for: "node12", among: ["node2x", "node12x"]) == "node12x")
        #expect(suggestion(for: "weight", among: []) == nil)
        // Exact but for case goes before a slip.
        #expect(suggestion(for: "WS1", among: ["ws2", "ws1"]) == "ws1")
    }
}
