import Testing

/// Which listeners cannot stand beside each other, as the kernel sees it for a socket without SO_REUSEPORT.
@Suite struct ListenerRuleTests {
    private func listening(on first: String, and second: String) -> [String] {
        let other = document().replacing("127.0.0.1:8080", with: second).replacing("chat", with: "mail")
        return complaints(document().replacing("127.0.0.1:8080", with: first) + other)
    }

    @Test func oneAddressTwice() {
        #expect(
            listening(on: "127.0.0.1:80", and: "127.0.0.1:80")
                == [#"limpet.toml: service "mail": listen: 127.0.0.1:80 is a listener of service "chat" already"#])
        let within = document().replacing("\"127.0.0.1:8080\"", with: "[\"[::1]:80\", \"[0:0::1]:80\"]")
        #expect(complaints(within) == [#"limpet.toml: service "chat": listen: [::1]:80 is a listener already"#])
        #expect(
            listening(on: "127.0.0.1:80", and: "[::ffff:127.0.0.1]:80")
                == [#"limpet.toml: service "mail": listen: 127.0.0.1:80 is a listener of service "chat" already"#])
    }

    @Test(arguments: [("0.0.0.0:80", "127.0.0.1:80"), ("127.0.0.1:80", "0.0.0.0:80"), ("[::]:80", "[::1]:80")])
    func aWildcardTakesThePort(first: String, second: String) {
        #expect(
            listening(on: first, and: second) == [
                #"limpet.toml: service "mail": listen: \#(second) collides with \#(first) of service "chat": "#
                    + "a port of all addresses cannot be listened on at one of them as well"
            ])
    }

    @Test(arguments: [
        ("0.0.0.0:80", "[::]:80"), ("[::1]:80", "0.0.0.0:80"), ("127.0.0.1:80", "127.0.0.2:80"),
        ("0.0.0.0:80", "127.0.0.1:81"), ("127.0.0.1:0", "127.0.0.1:0"), ("0.0.0.0:0", "127.0.0.1:0"),
    ])
    func theseDoNotMeet(first: String, second: String) {
        #expect(listening(on: first, and: second) == ["accepted"])
    }

    @Test func theMetricsHaveAPortOfTheirOwn() {
        #expect(
            complaints(document(daemon: "metrics = \"0.0.0.0:8080\"")).first
                == #"limpet.toml: metrics: 0.0.0.0:8080 collides with the listener 127.0.0.1:8080 of service "chat": "#
                + "choose another port")
        #expect(complaints(document(daemon: "metrics = \"127.0.0.1:9464\"")) == ["accepted"])
        #expect(complaints(document(daemon: "metrics = \"[::1]:0\"")) == ["accepted"])
        #expect(
            complaints(document(daemon: "metrics = \"192.0.2.1:9464\"")) == [
                "accepted",
                "limpet.toml: metrics: 192.0.2.1:9464 can be reached from elsewhere, and whoever reaches it reads what is "
                    + "served there",
            ])
        // Whoever names no address means this machine alone.
        for port in ["9464", "\"9464\"", "0"] {
            #expect(complaints(document(daemon: "metrics = \(port)")) == ["accepted"])
        }
        for port in ["65536", "\"65536\"", "-1", "\"\"", "\"+1\""] {
            #expect(complaints(document(daemon: "metrics = \(port)")).first?.contains("metrics") == true, "\(port)")
        }
        #expect(
            complaints(document(daemon: "status-page = true")) == [
                "accepted",
                #"limpet.toml: status-page: there is no page without "metrics": it is served at that address"#,
            ])
    }

    @Test(arguments: ["[\"\"]", "[\"a:80\"]", "[\"a..b\"]", "[\"http://a\"]", "[1]", "\"a\"", "[\"*.a\"]"])
    func theseAreNoHosts(hosts: String) {
        #expect(
            complaints(document(daemon: "status-page-hosts = \(hosts)")).first?.hasPrefix(
                #"limpet.toml: "status-page-hosts" must be an array of host names"#) == true)
    }

    @Test(arguments: [("127.0.0.1:80", "127.0.0.1:80"), ("0.0.0.0:80", "127.0.0.9:80"), ("[::]:80", "[::1]:80")])
    func aServiceIsNotItsOwnBackend(listener: String, backend: String) {
        let text = document().replacing("127.0.0.1:8080", with: listener).replacing("10.0.0.1:80", with: backend)
        #expect(
            complaints(text) == [
                #"limpet.toml: service "chat": backend "ws1": \#(backend) is where the service itself listens "#
                    + "(\(listener)): connections would go round in a circle"
            ])
    }

    @Test func aBackendOfAnotherPortOrFamilyIsNoCircle() {
        for backend in ["127.0.0.1:81", "[::1]:80", "10.0.0.1:80"] {
            let text = document().replacing("127.0.0.1:8080", with: "0.0.0.0:80")
                .replacing("10.0.0.1:80", with: backend)
            #expect(complaints(text) == ["accepted"])
        }
    }
}
