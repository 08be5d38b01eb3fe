import Addressing
import Testing

@testable import Configuration

/// What templates stand for.
@Suite("Backends that name servers tell of")
struct NameExpansionTests {
    private let pool = HostName("pool.example.net")!
    private let service = HostName("_ws._tcp.example.net.")!

    private func expand(_ backends: String, _ facts: NameFacts = NameFacts()) throws -> NameExpansion {
        let text = "[[service]]\nname = \"chat\"\nlisten = [\"0.0.0.0:80\"]\n" + backends
        return NameExpansion(try ConfigurationLoader.parse(text, source: "test").configuration, facts)
    }

    private func record(_ target: String, _ port: UInt16, _ priority: UInt16, _ weight: UInt16) -> ServiceRecord {
        ServiceRecord(target: HostName(target)!, port: port, priority: priority, weight: weight)
    }

    private let poolText = """
        [[service.backend]]
        name = "pool"
        address = "pool.example.net:8080"
        expand = true
        weight = 3
        max-connections = 7

        """

    @Test("as long as nothing is known it stays as it is")
    func unknown() throws {
        let backends = try expand(poolText).configuration.services[0].backends
        #expect(backends.map(\.name) == ["pool"])
        #expect(backends[0].isTemplate)
    }

    @Test("each address is a backend, with the settings of the template")
    func addresses() throws {
        var facts = NameFacts()
        facts.addresses[HostQuestion(pool)] = [IPAddress("192.0.2.1")!, IPAddress("2001:db8::1")!]
        let expansion = try expand(poolText, facts)
        let backends = expansion.configuration.services[0].backends
        #expect(backends.map(\.name) == ["192.0.2.1-8080", "2001-db8--1-8080"])
        #expect(backends.map(\.address.description) == ["192.0.2.1:8080", "[2001:db8::1]:8080"])
        #expect(backends.allSatisfy { $0.weight == 3 && $0.maxConnections == 7 && $0.template == "pool" })
        #expect(backends.allSatisfy { !$0.isTemplate } && expansion.omissions.isEmpty)
    }

    @Test("one family of a name is another question than both, also of the names in SRV records")
    func family() throws {
        var facts = NameFacts()
        facts.addresses[HostQuestion(pool)] = [IPAddress("192.0.2.1")!, IPAddress("2001:db8::1")!]
        facts.addresses[HostQuestion(pool, .ipv6)] = [IPAddress("2001:db8::2")!]
        facts.services[service] = [record("a.example.net.", 1, 0, 0)]
        let six = try expand(poolText + "family = \"ipv6\"\n", facts).configuration
        #expect(six.services[0].backends.map(\.name) == ["2001-db8--2-8080"])
        // What an address is needs no key to say it.
        #expect(six.services[0].backends[0].family == .any)
        let text = "[[service.backend]]\nname = \"all\"\nsrv = \"_ws._tcp.example.net\"\nfamily = \"ipv4\"\n"
        let all = try expand(text + poolText, facts)
        #expect(all.configuration.services[0].backends.map(\.family) == [.ipv4, .any, .any])
        let wanted = try ConfigurationLoader.parse(
            "[[service]]\nname = \"chat\"\nlisten = [\"0.0.0.0:80\"]\n" + text + poolText, source: "test"
        ).configuration.wantedNames(facts)
        #expect(
            wanted.addresses == [HostQuestion(HostName("a.example.net.")!, .ipv4), HostQuestion(pool)]
                && wanted.services == [service])
    }

    @Test("a name that the file has, and the service's own address, are left out")
    func omissions() throws {
        var facts = NameFacts()
        facts.addresses[HostQuestion(pool)] = [
            IPAddress("127.0.0.1")!, IPAddress("192.0.2.1")!, IPAddress("192.0.2.2")!,
        ]
        let text = """
            [[service.backend]]
            name = "pool"
            address = "pool.example.net:80"
            expand = true
            [[service.backend]]
            name = "192.0.2.1-80"
            address = "192.0.2.77:80"
            """
        let expansion = try expand(text, facts)
        #expect(
            expansion.configuration.services[0].backends.map(\.address.description) == [
                "192.0.2.2:80", "192.0.2.77:80",
            ])
        #expect(
            expansion.omissions == [
                "chat/pool: 127.0.0.1:80 is left out: it is where the service itself listens",
                "chat/pool: 192.0.2.1:80 is left out: the service has a backend 192.0.2.1-80 already",
            ])
        // With nothing left the template stands in its place.
        facts.addresses[HostQuestion(pool)] = [IPAddress("127.0.0.1")!]
        #expect(try expand(text, facts).configuration.services[0].backends.map(\.name) == ["pool", "192.0.2.1-80"])
    }

    @Test("SRV records have names, weights and tiers")
    func services() throws {
        var facts = NameFacts()
        facts.services[service] = [
            record("a.example.net.", 1, 3, 0), record("b.example.net.", 1, 3, 1000),
            record("c.example.net.", 2, 3, 500),
            record("a.example.net.", 1, 9, 5), record("d.example.net.", 1, 9, 5), record("e.example.net.", 1, 20, 256),
        ]
        let text = """
            [[service.backend]]
            name = "all"
            srv = "_ws._tcp.example.net"
            """
        let backends = try expand(text, facts).configuration.services[0].backends
        #expect(
            backends.map(\.name) == [
                "a.example.net-1", "b.example.net-1", "c.example.net-2", "d.example.net-1", "e.example.net-1",
            ])
        #expect(backends.map(\.weight) == [1, 256, 128, 5, 256])
        #expect(backends.map(\.backupTier) == [0, 0, 0, 1, 2])
        #expect(backends[0].address == .name(HostName("a.example.net.")!, port: 1))
        let backup = try expand(text + "\nbackup = true", facts).configuration.services[0].backends
        #expect(backup.map(\.backupTier) == [1, 1, 1, 2, 3])
    }

    @Test(
        "weights",
        arguments: [
            ([], []), ([0], [1]), ([0, 0], [1, 1]), ([1, 256], [1, 256]), ([65535, 1], [256, 1]),
            ([257, 256], [256, 255]),
        ] as [([UInt16], [Int])])
    func weights(weights: [UInt16], expected: [Int]) {
        #expect(NameExpansion.weights(weights) == expected)
    }

    @Test("a name that would be too long ends with a hash of the whole")
    func longNames() throws {
        let short = HostName(String(repeating: "a", count: 60) + ".b")!
        #expect(NameExpansion.name(short, port: 1) == short.text + "-1")
        let long = [
            HostName("web-0.a-long-service.a-long-namespace.svc.cluster.local")!,
            HostName("web-1.a-long-service.a-long-namespace.svc.cluster.local")!,
        ]
        let names = long.map { NameExpansion.name($0, port: 65535) }
        #expect(names.map(\.utf8.count) == [61, 61])
        let longer = long.map { NameExpansion.name(HostName($0.text + ".example.net")!, port: 65535) }
        #expect(longer.map(\.utf8.count) == [64, 64])
        #expect(longer[0] != longer[1])
        #expect(longer[0].hasPrefix("web-0.a-long-service.a-long-namespace.svc.clust_"))
    }

    @Test("what has to be asked")
    func wanted() throws {
        let text =
            poolText + """
                [[service.backend]]
                name = "srv"
                srv = "_ws._tcp.example.net"
                [[service.backend]]
                name = "one"
                address = "one.example.net.:80"
                [[service.backend]]
                name = "plain"
                address = "192.0.2.1:80"
                """
        let configuration = try ConfigurationLoader.parse(
            "[[service]]\nname = \"chat\"\nlisten = [\"0.0.0.0:80\"]\n" + text, source: "test"
        ).configuration
        var facts = NameFacts()
        let one = HostName("one.example.net.")!
        #expect(configuration.wantedNames(facts).addresses == [HostQuestion(pool), HostQuestion(one)])
        #expect(configuration.wantedNames(facts).services == [service])
        facts.services[service] = [record("a.example.net.", 1, 0, 0)]
        #expect(
            configuration.wantedNames(facts).addresses
                == Set([pool, one, HostName("a.example.net.")!].map { HostQuestion($0) }))
        #expect(configuration.hasNames)
    }
}
