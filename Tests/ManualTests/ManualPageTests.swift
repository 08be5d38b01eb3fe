import Testing

/// The reader of pages and the comparison, on small pages of which it is known what they lack.
@Suite("Reading manual pages")
struct ManualPageTests {
    private static let page = ManualPage(
        #"""
        .\" A comment with .It Fl -commented
        .Dd November 1, 2026
        .Dt PROGRAM 8
        .Os
        .Sh NAME
        .Nm program
        .Nd does things
        .Sh OPTIONS
        Some words about
        .Fl -mentioned .
        .Bl -tag -width Ds
        .It Fl c Ar file , Fl -config Ar file
        Reads
        .Ar file .
        .It Fl -backend Xo
        .Op Ar name Ns =
        .Ar address
        .Xc
        Sends there.
        .It Fl \-escaped
        .El
        .Sh VERBS
        .Bl -tag -width Ds
        .It Ic drain Ar backend Op Fl -wait
        Waits with
        .Fl -wait .
        .Bl -tag -width Ds
        .It Fl -deadline Ar time
        The end.
        .El
        .El
        .Ss Keys
        .Bl -tag -width Ds
        .It Ic name
        First.
        .It Ic name
        Second.
        .El
        .Sh EXIT STATUS
        .Bl -tag -width Ds
        .It 0
        Fine.
        .It Li 2
        Usage.
        .El
        """#)

    @Test("Sections in order")
    func sections() {
        #expect(Self.page.sections == ["NAME", "OPTIONS", "VERBS", "EXIT STATUS"])
    }

    @Test("Flags of items, in every spelling; a mention is no item, a comment is nothing")
    func itemFlags() {
        #expect(
            Self.page.items(in: "OPTIONS").flatMap(\.flags) == ["c", "config", "backend", "escaped"])
        #expect(Self.page.flags.contains("mentioned"))
        #expect(!Self.page.flags.contains("commented"))
    }

    @Test("An item's body holds the items within it, its head goes on to Xc")
    func nesting() throws {
        let drain = try #require(Self.page.items.first { $0.literal == "drain" })
        #expect(drain.depth == 1)
        #expect(drain.flags == ["wait"])
        #expect(ManualPage.flags(in: drain.body) == ["wait", "deadline"])
        let backend = try #require(Self.page.items.first { $0.flags == ["backend"] })
        #expect(backend.text == "-backend name = address Sends there.")
    }

    @Test("Numbers, bare or marked")
    func numbers() {
        #expect(Self.page.items(in: "EXIT STATUS").compactMap(\.literal) == ["0", "2"])
    }

    @Test("A flag that the page lacks is found")
    func missingInPage() {
        let flags = Self.page.items(in: "OPTIONS").flatMap(\.flags)
        let code = ["c", "config", "backend", "escaped", "listen"]
        #expect(
            Comparison.differences(of: "flag", code: code, page: flags) == ["flag listen is not in the page"])
    }

    @Test("A flag that the code lacks is found")
    func missingInCode() {
        let flags = Self.page.items(in: "OPTIONS").flatMap(\.flags)
        #expect(
            Comparison.differences(of: "flag", code: ["c", "config", "backend"], page: flags)
                == ["flag escaped is in the page, but there is no such thing"])
    }

    @Test("A key that exists in two places has to be described twice")
    func repeated() {
        let keys = Self.page.items.filter { $0.subsection == "Keys" }.compactMap(\.literal)
        #expect(Comparison.differences(of: "key", code: ["name", "name"], page: keys).isEmpty)
        #expect(
            Comparison.differences(of: "key", code: ["name"], page: keys)
                == ["key name exists 1 times and is in the page 2 times"])
    }

    @Test("Exit statuses of a help text")
    func exitStatuses() throws {
        var help = try JSONHelp.decode(#"{"commandName": "x", "discussion": "Words. Exit status: 0 done; 7 bad."}"#)
        #expect(help.exitStatuses == [0, 7])
        help.discussion = "Nothing of the kind."
        #expect(help.exitStatuses.isEmpty)
    }

    @Test("Flags of a help text: no positional argument, nothing hidden, no help")
    func helpFlags() throws {
        let help = try JSONHelp.decode(
            #"""
            {"commandName": "x", "arguments": [
                {"kind": "option", "shouldDisplay": true, "names": [{"name": "c"}, {"name": "config"}]},
                {"kind": "flag", "shouldDisplay": true, "names": [{"name": "help"}, {"name": "h"}]},
                {"kind": "flag", "shouldDisplay": false, "names": [{"name": "secret"}]},
                {"kind": "positional", "shouldDisplay": true}
            ]}
            """#)
        #expect(help.flags == ["c", "config"])
    }
}
