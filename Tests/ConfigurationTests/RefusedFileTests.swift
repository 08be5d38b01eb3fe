import Testing

@testable import Configuration

/// What a file is refused for, word by word: operators search for these lines.
@Suite struct RefusedFileTests {
    private static let refusals: [Refusal<String>] = [
        // Keys.
        Refusal(
            document(backend: "wieght = 3"),
            #"limpet.toml: service "chat": backend "ws1": unknown key "wieght" (did you mean "weight"?)"#
        ),
        Refusal(document(daemon: "zzzzzzzz = 1"), #"limpet.toml: unknown key "zzzzzzzz""#),
        Refusal(document(daemon: "worker = 1"), #"limpet.toml: unknown key "worker" (did you mean "workers"?)"#),
        Refusal(
            document(service: "connect_timeout = \"1s\""),
            #"limpet.toml: service "chat": unknown key "connect_timeout" (did you mean "connect-timeout"?)"#
        ),
        Refusal(
            document(service: "workers = 2"),
            #"limpet.toml: service "chat": unknown key "workers" here: it belongs at the top of the file, before the "#,
            "first [defaults] or [[service]]"
        ),
        Refusal(
            document(daemon: "hash-on = \"source\""),
            #"limpet.toml: unknown key "hash-on" here: it belongs in a [[service]] or in [defaults]"#
        ),
        Refusal(
            document(service: "weight = 2"),
            #"limpet.toml: service "chat": unknown key "weight" here: it belongs in a [[service.backend]]"#
        ),
        Refusal(
            document(daemon: "[defaults]\nlisten = \"127.0.0.1:1\""),
            #"limpet.toml: defaults: unknown key "listen" here: it belongs in a [[service]]"#
        ),
        Refusal(
            document(service: "keepalive = { idel = \"1s\" }"),
            #"limpet.toml: service "chat": keepalive: unknown key "idel" (did you mean "idle"?)"#
        ),
        Refusal(document(daemon: "\"a\\u001b[31m\\nb\" = 1"), #"limpet.toml: unknown key "a\u{1b}[31m\u{a}b""#),
        // Types and ranges.
        Refusal(
            document(backend: "weight = \"3\""),
            #"limpet.toml: service "chat": backend "ws1": "weight" must be an integer from 1 to 256, not a string"#
        ),
        Refusal(
            document(backend: "weight = 0"),
            #"limpet.toml: service "chat": backend "ws1": "weight" must be an integer from 1 to 256, not 0"#
        ),
        Refusal(
            document(backend: "weight = 257"),
            #"limpet.toml: service "chat": backend "ws1": "weight" must be an integer from 1 to 256, not 257"#
        ),
        Refusal(
            document(backend: "weight = 1.5"),
            #"limpet.toml: service "chat": backend "ws1": "weight" must be an integer from 1 to 256, "#,
            "not a floating-point number"
        ),
        Refusal(
            document(backend: "max-connections = 0"),
            #"limpet.toml: service "chat": backend "ws1": "max-connections" must be an integer from 1 to 10000000, "#,
            #"or "off", not 0"#
        ),
        Refusal(
            document(daemon: "workers = true"),
            #"limpet.toml: "workers" must be an integer from 1 to 64, or "auto", not a boolean"#
        ),
        Refusal(
            document(daemon: "workers = \"many\""),
            #"limpet.toml: "workers" must be an integer from 1 to 64, or "auto", not "many""#
        ),
        Refusal(
            document(daemon: "log-level = \"inof\""),
            #"limpet.toml: "log-level" must be "trace", "debug", "info", "notice", "warning", "error" or "critical", "#,
            #"not "inof" (did you mean "info"?)"#
        ),
        Refusal(
            document(service: "hash-on = \"port\""),
            #"limpet.toml: service "chat": "hash-on" must be "source" or "source-port", not "port""#
        ),
        Refusal(
            document(service: "ipv4-prefix = 33"),
            #"limpet.toml: service "chat": "ipv4-prefix" must be an integer from 0 to 32, not 33"#
        ),
        Refusal(
            document(service: "ipv6-prefix = -1"),
            #"limpet.toml: service "chat": "ipv6-prefix" must be an integer from 0 to 128, not -1"#
        ),
        Refusal(
            document(daemon: "[defaults]\nipv6-prefix = 129"),
            #"limpet.toml: defaults: "ipv6-prefix" must be an integer from 0 to 128, not 129"#
        ),
        Refusal(
            document(service: "connect-timeout = 3"),
            #"limpet.toml: service "chat": "connect-timeout" must be a duration from 1ms to 1h (such as "3s"), "#,
            "not an integer"
        ),
        Refusal(
            document(service: "connect-timeout = \"off\""),
            #"limpet.toml: service "chat": "connect-timeout" must be a duration from 1ms to 1h (such as "3s"), "#,
            #"not "off""#
        ),
        Refusal(
            document(service: "idle-timeout = \"5 s\""),
            #"limpet.toml: service "chat": "idle-timeout" must be a duration from 100ms to 8760h (such as "10m"), "#,
            #"or "off", not "5 s""#
        ),
        Refusal(
            document(service: "keepalive = { idle = \"1500ms\" }"),
            #"limpet.toml: service "chat": keepalive: "idle" must be a duration in whole seconds from 1s to 32767s "#,
            #"(such as "60s"), not "1500ms""#
        ),
        Refusal(
            document(service: "keepalive = { count = 128 }"),
            #"limpet.toml: service "chat": keepalive: "count" must be an integer from 1 to 127, not 128"#
        ),
        Refusal(
            document(service: "keepalive = \"on\""),
            #"limpet.toml: service "chat": "keepalive" must be a table, or "off", not "on""#
        ),
        Refusal(
            document(service: "receive-buffer = \"1GiB\""),
            #"limpet.toml: service "chat": "receive-buffer" must be a size from 4KiB to 512MiB "#,
            #"(bytes, or such as "256KiB"), or "auto", not "1GiB""#
        ),
        Refusal(
            document(service: "send-buffer = 4095"),
            #"limpet.toml: service "chat": "send-buffer" must be a size from 4KiB to 512MiB "#,
            #"(bytes, or such as "256KiB"), or "auto", not 4095"#
        ),
        Refusal(
            document(daemon: "control = \"\""),
            #"limpet.toml: "control" must be a path of 1 to 107 bytes, without control characters, not """#
        ),
        Refusal(
            document(daemon: "user = \"a b\""),
            #"limpet.toml: "user" must be a name of 1 to 32 characters, without spaces, colons and slashes, not "a b""#
        ),
        Refusal(document(daemon: "defaults = 3"), #"limpet.toml: "defaults" must be a table, not an integer"#),
        // Addresses.
        Refusal(
            document(service: "").replacing("127.0.0.1:8080", with: "127.0.0.1"),
            #"limpet.toml: service "chat": listen: "127.0.0.1" has no port: write ADDRESS:PORT, such as 192.0.2.1:80 "#,
            "or [2001:db8::1]:80"
        ),
        Refusal(
            document().replacing("10.0.0.1:80", with: "10.0.0.1:65536"),
            #"limpet.toml: service "chat": backend "ws1": address: "10.0.0.1:65536": port 65536 is out of range "#,
            "(0 to 65535)"
        ),
        Refusal(
            document().replacing("10.0.0.1:80", with: "10.0.0.256:80"),
            #"limpet.toml: service "chat": backend "ws1": address: "10.0.0.256:80": "10.0.0.256" is not an IP address"#
        ),
        Refusal(
            document().replacing("10.0.0.1:80", with: "10.0.0.1:0"),
            #"limpet.toml: service "chat": backend "ws1": address: "10.0.0.1:0": port 0 cannot be connected to "#,
            "(1 to 65535)"
        ),
        Refusal(
            document().replacing("10.0.0.1:80", with: "[::]:80"),
            #"limpet.toml: service "chat": backend "ws1": address: "[::]:80" is not one server's address: "#,
            "it only makes sense to listen on"
        ),
        Refusal(
            document().replacing("\"10.0.0.1:80\"", with: "80"),
            #"limpet.toml: service "chat": backend "ws1": "address" must be an address and a port "#,
            #"(such as "192.0.2.1:80") or a Unix socket ("unix:/run/app.sock"), not an integer"#
        ),
        Refusal(
            document().replacing("\"127.0.0.1:8080\"", with: "[\"127.0.0.1:8080\", 80]"),
            #"limpet.toml: service "chat": "listen" must be an address and a port (such as "0.0.0.0:80"), "#,
            "a table with them, or an array of these, not an integer"
        ),
        // Names.
        Refusal(
            document().replacing("chat", with: "a b"),
            #"limpet.toml: service "a b": "name" must be a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -, "#,
            #"not "a b""#
        ),
        Refusal(
            document().replacing("\"ws1\"", with: "\"\""),
            #"limpet.toml: service "chat": backend 1: "name" must be a name of 1 to 64 of the characters "#,
            #"A-Z a-z 0-9 . _ -, not """#
        ),
        Refusal(document().replacing("name = \"chat\"", with: ""), #"limpet.toml: service 1: "name" is missing"#),
        Refusal(
            document().replacing("address = \"10.0.0.1:80\"", with: ""),
            #"limpet.toml: service "chat": backend "ws1": "address" (or "srv") is missing"#
        ),
        // What is not there.
        Refusal("", "limpet.toml: no services: add a [[service]] with name, listen and backends"),
        Refusal("service = []", "limpet.toml: no services: add a [[service]] with name, listen and backends"),
        Refusal("service = 3", #"limpet.toml: "service" must be an array of tables, not an integer"#),
        Refusal("service = [3]", #"limpet.toml: "service" must be an array of tables, not of an integer"#),
        Refusal(
            "[service]\nname = \"chat\"",
            #"limpet.toml: "service" must be an array of tables: write [[service]], not [service]"#
        ),
        Refusal(
            document().replacing("[[service.backend]]", with: "[service.backend]"),
            #"limpet.toml: service "chat": "backend" must be an array of tables: write [[service.backend]], "#,
            "not [service.backend]"
        ),
        Refusal(
            document().replacing("listen = \"127.0.0.1:8080\"", with: ""),
            #"limpet.toml: service "chat": no listeners: add listen = "0.0.0.0:80" or the like"#
        ),
        Refusal(
            document().replacing("\"127.0.0.1:8080\"", with: "[]"),
            #"limpet.toml: service "chat": no listeners: add listen = "0.0.0.0:80" or the like"#
        ),
        Refusal(
            "[[service]]\nname = \"chat\"\nlisten = \"127.0.0.1:8080\"",
            #"limpet.toml: service "chat": no backends: add a [[service.backend]] with name and address"#
        ),
        // Syntax.
        Refusal(
            "workers = ",
            "limpet.toml: line 1, column 11: Error while parsing key-value pair: encountered end-of-file"
        ),
        Refusal(
            "workers = 1\nworkers = 2",
            "limpet.toml: line 2, column 11: Error while parsing key-value pair: ",
            "cannot redefine existing integer 'workers'"
        ),
        Refusal(
            "user = \"a\\u0000b\"",
            "limpet.toml: line 1, column 10: a NUL character, written out or as \\u0000, is not allowed"
        ),
        Refusal(
            "workers = 1\r\n\0",
            "limpet.toml: line 2, column 1: a NUL character, written out or as \\u0000, is not allowed"
        ),
        Refusal(
            "workers = i\u{1b}[2J",
            "limpet.toml: line 1, column 12: Error while parsing floating-point: expected 'inf', saw 'i\\u{1b}'"
        ),
        // The library would end the process at each of these, but for the first.
        Refusal("[", "limpet.toml: line 1, column 2: Error while parsing table header: encountered end-of-file"),
        Refusal("[\n", "limpet.toml: line 1, column 2: a name is missing after the \"[\""),
        Refusal("workers = 1 # [\n  [[ \n", "limpet.toml: line 2, column 6: a name is missing after the \"[\""),
        Refusal("[[[service]]]", "limpet.toml: line 1, column 3: a name is missing after the \"[\""),
        Refusal("\"ö\" = 1\n[ö]", "limpet.toml: line 2, column 2: a name is missing after the \"[\""),
        Refusal("a = \"[\\\"\"\n[.a]", "limpet.toml: line 2, column 2: a name is missing after the \"[\""),
        Refusal("\u{feff}[.a]", "limpet.toml: line 1, column 3: a name is missing after the \"[\""),
    ]

    /// A bracket that begins no header is none of those.
    @Test(arguments: [
        "a = [\n[\n.5]]", "a = \"\"\"\n[.\n\"\"\"\"\"", "a = '''\n[.\n\\'''", "a = '\\'\n", "# [.\n",
        "a = { b = [\n[.1]] }", "[a.\"[\"]\n['b']\n[ 1-_ ]\n[[ c ]]\n", "[a]]\n", "a = \"\\",
    ])
    func otherBrackets(text: String) {
        #expect(TOMLHeaders.firstNameless(in: text) == nil)
    }

    @Test(arguments: refusals)
    func refusesInTheseWords(refusal: Refusal<String>) {
        #expect(complaints(refusal.input) == [refusal.line])
    }

    @Test func aNameUsedTwice() {
        let two = document() + "\n[[service.backend]]\nname = \"ws1\"\naddress = \"10.0.0.2:80\"\n"
        #expect(
            complaints(two) == [
                #"limpet.toml: service "chat": backend "ws1": the name is used twice (backends 1 and 2)"#
            ])
        let services = document() + document(service: "").replacing("8080", with: "8081")
        #expect(complaints(services) == [#"limpet.toml: service "chat": the name is used twice (services 1 and 2)"#])
        // In another service the name is free.
        let other = document() + document().replacing("8080", with: "8081").replacing("chat", with: "mail")
        #expect(complaints(other) == ["accepted"])
    }

    @Test func everyErrorIsReportedAtOnce() {
        let text = """
            workers = 0
            colour = "red"
            [defaults]
            ipv4-prefix = "all"
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:8080", "localhost:80"]
            [[service.backend]]
            name = "ws1"
            address = "10.0.0.1:80"
            weight = 0
            [[service.backend]]
            name = "ws1"
            address = "10.0.0.1:80"
            [[service]]
            listen = "127.0.0.1:8080"
            """
        #expect(
            complaints(text) == [
                #"limpet.toml: unknown key "colour""#,
                #"limpet.toml: "workers" must be an integer from 1 to 64, or "auto", not 0"#,
                #"limpet.toml: defaults: "ipv4-prefix" must be an integer from 0 to 32, not a string"#,
                #"limpet.toml: service "chat": listen: "localhost:80": "localhost" is not an address, "#
                    + "and a name will not do here: give an address",
                #"limpet.toml: service "chat": backend "ws1": "weight" must be an integer from 1 to 256, not 0"#,
                #"limpet.toml: service 2: "name" is missing"#,
                "limpet.toml: service 2: no backends: add a [[service.backend]] with name and address",
                #"limpet.toml: service "chat": backend "ws1": the name is used twice (backends 1 and 2)"#,
                #"limpet.toml: service 2: listen: 127.0.0.1:8080 is a listener of service "chat" already"#,
            ])
    }

    @Test func errorsAreKeptApartForPrograms() {
        #expect(throws: ConfigurationFailure.self) { try ConfigurationLoader.parse("", source: "x") }
        do throws(ConfigurationFailure) {
            _ = try ConfigurationLoader.parse(document(backend: "wieght = 3"), source: "x")
            Issue.record("was accepted")
        } catch {
            #expect(error.kind == .configuration)
            #expect(
                error.errors == [
                    ConfigurationError(
                        source: "x", place: [#"service "chat""#, #"backend "ws1""#],
                        problem: #"unknown key "wieght""#, suggestion: "weight")
                ])
        }
    }
}
