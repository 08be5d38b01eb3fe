import Addressing
import Testing

@testable import Configuration

/// The keys about names, and what is refused of them.
@Suite("Keys about names")
struct NameKeyTests {
    private func load(_ daemon: String = "", _ backend: String) throws(ConfigurationFailure) -> DaemonConfiguration {
        let text =
            daemon + "\n[[service]]\nname = \"chat\"\nlisten = [\"0.0.0.0:80\"]\n[[service.backend]]\nname = \"a\"\n"
            + backend
        return try ConfigurationLoader.parse(text, source: "f").configuration
    }

    private func refusal(_ daemon: String = "", _ backend: String = "address = \"192.0.2.1:80\"") -> String {
        do throws(ConfigurationFailure) {
            _ = try load(daemon, backend)
            return "accepted"
        } catch {
            return error.errors.map(\.description).joined(separator: "\n")
        }
    }

    @Test("what may be written")
    func accepted() throws {
        let plain = try load("", "address = \"WS1.Example.net:8080\"")
        #expect(plain.resolvers.isEmpty && plain.resolveInterval == nil && plain.resolveTimeout == .seconds(5))
        #expect(plain.services[0].backends[0].address == .name(HostName("ws1.example.net")!, port: 8080))
        let full = try load(
            "resolvers = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\nresolve-interval = \"10s\"\nresolve-timeout = \"500ms\"",
            "srv = \"_ws._tcp.example.net.\"\nmax-connections = 5")
        #expect(full.resolvers.map(\.description) == ["192.0.2.53:53", "[2001:db8::53]:5353"])
        #expect(full.resolveInterval == .seconds(10) && full.resolveTimeout == .milliseconds(500))
        #expect(full.services[0].backends[0].service == HostName("_ws._tcp.example.net."))
        for configuration in [plain, full] {
            #expect(
                try ConfigurationLoader.parse(configuration.canonicalText, source: "again").configuration
                    == configuration)
        }
        let expanded = try load("resolve-interval = \"ttl\"", "address = \"pool:80\"\nexpand = true")
        #expect(expanded.services[0].backends[0].expands && expanded.services[0].backends[0].family == .any)
        for text in ["address = \"pool:80\"\nexpand = true", "address = \"pool:80\"", "srv = \"_a._tcp.b\""] {
            let four = try load("", text + "\nfamily = \"ipv4\"")
            #expect(four.services[0].backends[0].family == .ipv4)
            #expect(four.canonicalText.contains("family = \"ipv4\"\n"))
            #expect(try ConfigurationLoader.parse(four.canonicalText, source: "again").configuration == four)
        }
        #expect(try ConfigurationLoader.parse(expanded.canonicalText, source: "again").configuration == expanded)
    }

    @Test(
        "what is refused",
        arguments: [
            (
                "resolvers = \"192.0.2.53\"",
                "f: \"resolvers\" must be an array of 8 addresses of name servers at most (such as \"192.0.2.53\" or \"192.0.2.53:53\"), not \"192.0.2.53\""
            ),
            (
                "resolvers = [53]",
                "f: \"resolvers\" must be an array of 8 addresses of name servers at most (such as \"192.0.2.53\" or \"192.0.2.53:53\"), not an integer"
            ),
            (
                "resolvers = [\"ns.example.net\"]",
                "f: resolvers: \"ns.example.net\" has no port: write ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80"
            ),
            (
                "resolvers = [\"192.0.2.53:0\"]",
                "f: resolvers: \"192.0.2.53:0\" is no address that a server can be asked at"
            ),
            (
                "resolvers = [\"0.0.0.0:53\"]",
                "f: resolvers: \"0.0.0.0:53\" is no address that a server can be asked at"
            ),
            (
                "resolve-interval = \"500ms\"",
                "f: \"resolve-interval\" must be a duration from 1s to 1h (such as \"10m\"), or \"ttl\", not \"500ms\""
            ),
            (
                "resolve-timeout = \"2m\"",
                "f: \"resolve-timeout\" must be a duration from 100ms to 1m (such as \"5s\"), not \"2m\""
            ),
        ])
    func refusedDaemon(text: String, expected: String) {
        #expect(refusal(text) == expected)
    }

    @Test(
        "what is refused of a backend",
        arguments: [
            ("", "f: service \"chat\": backend \"a\": \"address\" (or \"srv\") is missing"),
            (
                "address = \"a:80\"\nsrv = \"_a._tcp.b\"",
                "f: service \"chat\": backend \"a\": \"address\" and \"srv\" both say where it is: give one"
            ),
            (
                "address = \"192.0.2.1:80\"\nexpand = true",
                "f: service \"chat\": backend \"a\": \"expand\" needs the name of a host in \"address\", and \"192.0.2.1:80\" is none"
            ),
            (
                "srv = \"_a._tcp.b\"\nexpand = true",
                "f: service \"chat\": backend \"a\": \"expand\" is for an address: SRV records are backends of their own anyway"
            ),
            (
                "address = \"192.0.2.1:80\"\nfamily = \"ipv4\"",
                "f: service \"chat\": backend \"a\": \"family\" is for a name, and \"192.0.2.1:80\" is none"
            ),
            (
                "address = \"unix:/run/a\"\nfamily = \"ipv6\"",
                "f: service \"chat\": backend \"a\": \"family\" is for a name, and \"unix:/run/a\" is none"
            ),
            (
                "address = \"a:80\"\nfamily = \"v4\"",
                "f: service \"chat\": backend \"a\": \"family\" must be \"any\", \"ipv4\" or \"ipv6\", not \"v4\""
            ),
            (
                "srv = \"_a._tcp.b\"\nweight = 2",
                "f: service \"chat\": backend \"a\": \"weight\" is not for \"srv\": the records have weights of their own"
            ),
            (
                "srv = \"a b\"",
                "f: service \"chat\": backend \"a\": srv: \"a b\" cannot be a name: write it as in \"_ws._tcp.example.net\""
            ),
            ("srv = 7", "f: service \"chat\": backend \"a\": \"srv\" must be a text of 1 to 254 bytes, not an integer"),
            (
                "address = \"a.example.net:0\"",
                "f: service \"chat\": backend \"a\": address: \"a.example.net:0\": port 0 cannot be connected to (1 to 65535)"
            ),
            (
                "address = \"a.example.net\"",
                "f: service \"chat\": backend \"a\": address: \"a.example.net\" has no port: write ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80"
            ),
            (
                "address = \"10.0.0.256:80\"",
                "f: service \"chat\": backend \"a\": address: \"10.0.0.256:80\": \"10.0.0.256\" is not an IP address"
            ),
        ])
    func refusedBackend(text: String, expected: String) {
        #expect(refusal("", text) == expected)
    }

    @Test("what a change is told as")
    func difference() throws {
        let before = try load("", "address = \"192.0.2.1:80\"")
        let after = try load("", "srv = \"_a._tcp.b\"")
        let settled = ConfigurationDiff.Settled(workers: 2, automaticWorkers: 2, largestLimit: 1000)
        let changes = ConfigurationDiff(from: before, to: after, settled: settled).changes.map(\.description)
        #expect(
            changes == [
                "changed backend chat/a: address from 192.0.2.1:80 to none",
                "changed backend chat/a: srv from none to _a._tcp.b",
            ])
    }

    @Test("two families of one name are two places")
    func families() throws {
        let both = "address = \"a:80\"\nfamily = \"ipv4\"\n[[service.backend]]\nname = \"b\"\naddress = \"a:80\"\n"
        let text = "[[service]]\nname = \"chat\"\nlisten = [\"0.0.0.0:80\"]\n[[service.backend]]\nname = \"a\"\n" + both
        #expect(try ConfigurationLoader.parse(text + "family = \"ipv6\"", source: "f").warnings == [])
        #expect(try ConfigurationLoader.parse(text + "family = \"ipv4\"", source: "f").warnings.count == 1)
    }

    @Test("a flag takes a name too")
    func flag() throws {
        let flags = FlagValues(listen: ["0.0.0.0:80"], backends: ["ws1=ws1.example.net:80,weight=2"])
        let configuration = try ConfigurationLoader.load(path: nil, flags: flags).configuration
        #expect(configuration.services[0].backends[0].address.hostName == HostName("ws1.example.net"))
    }
}
