import Addressing
import Configuration
import Testing

@Suite struct HealthKeyTests {
    private static let place = "limpet.toml: service \"chat\": "

    static let refusals: [Refusal<String>] = [
        Refusal("health = \"htp:/\"", place, #""health" must be "tcp", "http:PATH", "off" or a table, not "htp:/""#),
        Refusal("health = 1", place, #""health" must be "tcp", "http:PATH", "off" or a table, not an integer"#),
        Refusal(
            "health = \"http:\"", place, #"health: "" is not a path that begins with a slash (such as "/health")"#),
        Refusal(
            "health = \"http:/a b\"", place,
            #"health: "/a b" holds a space, a control character or a letter beyond ASCII: write it as %XX"#),
        Refusal(
            "health-interval = \"99ms\"", place, #""health-interval" must be a duration from 100ms to 1h (such as "#,
            #""2s"), not "99ms""#),
        Refusal(
            "health = { type = \"http\" }", place,
            #"health: a check of type "http" needs "path": write path = "/" or the like"#),
        Refusal(
            "health = { type = \"agent\" }", place,
            #"health: a check of type "agent" needs "port": where the agent listens, beside the backend"#),
        Refusal(
            "health = { type = \"expect\" }", place,
            #"health: a check of type "expect" needs "expect" or "expect-regex": what the server has to send"#),
        Refusal(
            "health = { type = \"expect\", expect = \"a\", expect-regex = \"b\" }", place,
            #"health: "expect" and "expect-regex" exclude each other: keep one"#),
        Refusal(
            "health = { type = \"expect\", expect-regex = \"a(\" }", place,
            #"health: expect-regex: "a(" has a "(" without a ")""#),
        Refusal(
            "health = { interval = \"50ms\" }", place,
            #"health: "interval" must be a duration from 100ms to 1h (such as "10m"), not "50ms""#),
        Refusal(
            "health = { rise = 0 }", place, #"health: "rise" must be an integer from 1 to 100, not 0"#),
        Refusal(
            "health = { fall = 0 }", place, #"health: "fall" must be an integer from 1 to 100, not 0"#),
        Refusal(
            "health = { path = \"/\" }", place,
            #"health: "path" has no meaning for a check of type "tcp": write type = "http", or leave it out"#),
        Refusal(
            "health = { type = \"off\", rise = 3 }", place,
            #"health: "rise" has no meaning for a check of type "off": leave it out"#),
        Refusal(
            "health = { type = \"http\", path = \"/\", expect-status = \"20\" }", place,
            #"health: expect-status: "20" is not a list of statuses such as "200", "200-399" or "2xx, 404""#),
        Refusal(
            "health = { fast-interval = \"3s\" }", place,
            #"health: "fast-interval" (3s) is longer than "interval" (2s): make it shorter"#),
        Refusal(
            "health = { address = \"nowhere\" }", place,
            #"health: "address" must be an IP address (such as "192.0.2.1"), not "nowhere""#),
        Refusal(
            "health = { type = \"htp\" }", place,
            #"health: "type" must be "tcp", "http", "expect", "tls-hello", "agent" or "off", not "htp" (did you mean "http"?)"#
        ),
        Refusal("health = { paht = \"/\" }", place, #"health: unknown key "paht" (did you mean "path"?)"#),
        Refusal(
            "health = { type = \"http\", path = \"/\", method = \"HEAD\", expect-body = \"x\" }", place,
            #"health: "expect-body" cannot be met with method HEAD, which is answered without a body: use GET"#),
    ]

    @Test(arguments: refusals) func refused(refusal: Refusal<String>) {
        #expect(complaints(document(service: refusal.input)) == [refusal.line])
    }

    @Test func aBackendsIsRefusedWithItsPlace() {
        #expect(
            complaints(document(backend: "health = { type = \"http\" }")) == [
                Self.place
                    + #"backend "ws1": health: a check of type "http" needs "path": write path = "/" or the like"#
            ])
    }

    @Test func tcpIsTheDefault() throws {
        let check = try ConfigurationLoader.parse(document(), source: "x").configuration.services[0].health
        #expect(check == HealthCheck())
        #expect(check.kind == .tcp)
        #expect(check.effectiveFastInterval == .milliseconds(500) && check.effectiveDownInterval == .seconds(4))
    }

    @Test func defaultsServiceAndBackend() throws {
        let text = """
            [defaults]
            health = { type = "http", path = "/up", rise = 5 }
            health-interval = "5s"
            [[service]]
            name = "chat"
            listen = "127.0.0.1:80"
            health = { host = "example.org" }
            [[service.backend]]
            name = "plain"
            address = "10.0.0.1:80"
            [[service.backend]]
            name = "own"
            address = "10.0.0.2:80"
            health = { path = "/own", port = 81, interval = "1s" }
            [[service.backend]]
            name = "none"
            address = "10.0.0.3:80"
            health = "off"
            [[service]]
            name = "other"
            listen = "127.0.0.1:81"
            health = "tcp"
            backend = [{ name = "b", address = "10.0.0.4:80" }]
            """
        let configuration = try ConfigurationLoader.parse(text, source: "x").configuration
        let chat = configuration.services[0]
        guard case .http(let http) = chat.health.kind else {
            Issue.record("\(chat.health)")
            return
        }
        #expect(http.path == "/up" && http.host == "example.org")
        #expect(chat.health.rise == 5 && chat.health.interval == .seconds(5))
        #expect(chat.backends[0].health == nil)
        guard let own = chat.backends[1].health, case .http(let request) = own.kind else {
            Issue.record("\(chat.backends[1])")
            return
        }
        #expect(request.path == "/own" && request.host == "example.org" && own.port == 81)
        #expect(own.interval == .seconds(1) && own.rise == 5)
        #expect(chat.backends[2].health?.isOff == true)
        #expect(configuration.services[1].health.kind == .tcp && configuration.services[1].health.rise == 5)
        // Written out and read again it is the same.
        let again = try ConfigurationLoader.parse(configuration.canonicalText, source: "x").configuration
        #expect(again == configuration)
    }

    @Test(arguments: [
        #"health = { type = "expect", send = "PING\r\n\t\u0001\"\\", expect-regex = "^\\+PONG\\r" }"#,
        #"health = { type = "expect", expect = "x", timeout = "100ms", fast-interval = "200ms", down-interval = "1h" }"#,
        #"health = { type = "tls-hello", address = "::1", port = 443 }"#,
        #"health = { type = "agent", port = 999 }"#, #"health = { type = "agent", port = 999, send = "b1\n" }"#,
        #"health = { type = "http", path = "/", method = "OPTIONS", expect-status = "2xx, 404", expect-body = "ok" }"#,
        "health = \"off\"", "health = \"http:/x?y=z\"", "health = \"tcp\"\nhealth-interval = \"100ms\"",
    ]) func writtenOutAndReadAgain(line: String) throws {
        let configuration = try ConfigurationLoader.parse(document(service: line), source: "x").configuration
        let again = try ConfigurationLoader.parse(configuration.canonicalText, source: "x").configuration
        #expect(again == configuration)
        #expect(again.canonicalText == configuration.canonicalText)
    }

    @Test func flags() throws {
        var flags = FlagValues(listen: ["127.0.0.1:80"], backends: ["10.0.0.1:80"])
        flags.set(ConfigurationKeys.health, "http:/up")
        flags.set(ConfigurationKeys.healthInterval, "500ms")
        let check = try ConfigurationLoader.load(path: nil, flags: flags).configuration.services[0].health
        guard case .http(let http) = check.kind else {
            Issue.record("\(check)")
            return
        }
        #expect(http.path == "/up" && check.interval == .milliseconds(500))
        flags.set(ConfigurationKeys.health, "ftp")
        #expect(
            complaints(flags) == [
                #"limpetd: --health must be "tcp", "http:PATH", "off" or a table, not "ftp""#
            ])
    }

    @Test func statuses() throws {
        let list = try #require(StatusList("200, 301-303,4xx"))
        #expect([200, 301, 303, 404, 499].allSatisfy(list.contains))
        #expect([201, 300, 304, 500, 100].allSatisfy { !list.contains($0) })
        for wrong in ["", ",", "2", "600", "099", "6xx", "xx", "300-200", "200-", "-200", "200 ", "abc"] {
            #expect(StatusList(wrong) == nil, "\(wrong)")
        }
    }
}
