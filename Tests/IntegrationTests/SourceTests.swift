import Foundation
import Testing

/// Where connections to backends come from, and what happens where it has no port left. Each test has a network of its own,
/// with few ports.
@Suite(.ownThread, .fence, .enabled(if: isRoot, "only root can have a network of its own"))
struct SourceTests {
    /// Local ports of each address.
    private static let ports = 20

    /// In a network with ``ports`` local ports. What listens there has others: the kernel gives nobody a port on which
    /// somebody listens.
    private func inNarrowNetwork(_ body: @escaping @Sendable () throws -> Void) throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "20000 20021")
            try PrivateNetwork.setting("net.ipv4.ip_local_reserved_ports", "20003,20007")
            try body()
        }.value()
    }

    private static func lane(
        _ servers: [BackendServer], _ settings: String..., prepare: (inout Daemon.Setup) -> Void = { _ in }
    ) throws -> Reloadable {
        let lane = try Reloadable(
            [
                Reloadable.Service(
                    listen: ["127.0.0.1:7000"], settings: settings, backends: Reloadable.backends(servers))
            ], prepare)
        lane.servers = servers
        return lane
    }

    /// The address that the backend sees.
    private static func source(_ client: TCPSocket) throws -> String {
        let words = try client.receiveLine().split { $0 == " " || $0 == "\n" }
        return try #require(SocketAddress(String(words[1]))).host
    }

    /// Clients until one is reset.
    private static func fill(_ daemon: Daemon, from first: Int = 0) throws -> [(client: TCPSocket, source: String)] {
        var clients: [(TCPSocket, String)] = []
        while clients.count < 1000 {
            let client = try daemon.connect(from: clientHost(first + clients.count))
            guard let source = try? source(client) else { return clients }
            clients.append((client, source))
        }
        return clients
    }

    /// Whether a client is reset, and at once.
    private static func isRefused(_ daemon: Daemon, from source: String = "127.200.0.1") throws -> Bool {
        let client = try daemon.connect(from: source)
        return try client.receiveToEnd() == ([], .reset)
    }

    private static let refused =
        #"limpet_listener_refused_total{service="chat",listener="ADDRESS",reason="source-ports"}"#

    /// All ports of one source are in use, as soon as they have been counted.
    private static func expectPorts(_ daemon: Daemon, _ labels: String) throws {
        try eventually("the ports of \(labels) are counted") {
            let metrics = try daemon.ctl.metrics()
            return metrics["limpet_source_ports{\(labels)}"] == Double(ports)
                && metrics["limpet_source_ports_limit{\(labels)}"] == Double(ports)
        }
    }

    @Test func exhaustionGoesToTheNextAddressAndThatOfAllIsToldAndEndsAtOnce() throws {
        try inNarrowNetwork {
            let server = try BackendServer(.greet("b1"), port: 7001)
            let lane = try Self.lane([server], "source = [\"127.0.0.2\", \"127.0.0.4/31\"]", "passive-fall = 2")
            let daemon = lane.daemon
            let clients = try Self.fill(daemon)
            let bySource = Dictionary(grouping: clients, by: \.source).mapValues(\.count)
            #expect(bySource == ["127.0.0.2": Self.ports, "127.0.0.4": Self.ports, "127.0.0.5": Self.ports])
            let local = Set(try daemon.connections(clients.count).compactMap(\.backendLocal))
            #expect(local.count == 3 * Self.ports)
            // A client more is reset, and another, and nothing spins.
            for _ in 0..<10 { #expect(try Self.isRefused(daemon)) }
            let row = try daemon.ctl.backend("b1")
            #expect(row.state == "up" && row.connectFailures == 0 && row.connections == clients.count)
            let metrics = try daemon.ctl.metrics()
            #expect(metrics[Self.refused.replacing("ADDRESS", with: daemon.address.description)] == 11)
            // One line for all of them, and another for each ten seconds that this may take.
            try eventually("it is said") {
                (1...4).contains(daemon.logLines(containing: "error", "no local port is left", "source").count)
            }
            #expect(daemon.logLines(containing: "no backend could take a client").isEmpty)
            for source in ["127.0.0.2", "127.0.0.4", "127.0.0.5"] {
                try Self.expectPorts(daemon, "source=\"\(source)\",service=\"chat\",backend=\"b1\"")
            }
            try eventually("it says that the ports run out") {
                daemon.logLines(containing: "warning", "local ports run out", "limit=20").count == 3
            }
            #expect(try daemon.ctl.expect("status").contains("chat/b1 from 127.0.0.2: 20 of 20 (100 %)"))
            #expect(try daemon.ctl.expect("--plain", "status").contains("source_ports/chat/b1/127.0.0.4\t20 20"))
            #expect(try daemon.ctl.expect("top").contains("source ports chat/b1 from 127.0.0."))
            daemon.expectSleeping()
            // A port that comes free is found again.
            clients[7].client.close()
            try eventually("a client is served again") {
                (try? Self.source(try daemon.connect(from: "127.9.9.9"))) == clients[7].source
            }
            try daemon.stop()
        }
    }

    /// The addresses of a prefix need not be added one by one: the route that the manual gives makes them the machine's own.
    @Test(arguments: [
        ("192.0.2.16/30", "127.0.0.1", ["192.0.2.16", "192.0.2.17", "192.0.2.18", "192.0.2.19"]),
        ("2001:db8:5::8/126", "::1", ["2001:db8:5::8", "2001:db8:5::9", "2001:db8:5::a", "2001:db8:5::b"]),
    ])
    func aPrefixThatIsRoutedHere(_ prefix: String, _ host: String, _ addresses: [String]) throws {
        try inNarrowNetwork {
            let outcome = try run(["ip", "route", "add", "local", prefix, "dev", "lo"])
            #expect(outcome.status == 0, "\(outcome)")
            if host == "::1" { try PrivateNetwork.setting("net.ipv6.ip_nonlocal_bind", "1") }
            let server = try BackendServer(.greet("b1"), on: host, port: 7001)
            let lane = try Self.lane([server], "source = \"\(prefix)\"")
            #expect(lane.daemon.logLines(containing: "of this machine").isEmpty)
            let clients = try Self.fill(lane.daemon)
            let bySource = Dictionary(grouping: clients, by: \.source).mapValues(\.count)
            #expect(bySource == Dictionary(uniqueKeysWithValues: addresses.map { ($0, Self.ports) }))
            try lane.daemon.stop()
        }
    }

    /// Without a list it is the same, with the address that the kernel chooses.
    @Test func theKernelsChoiceRunsOutAsWell() throws {
        try inNarrowNetwork {
            let server = try BackendServer(.greet("b1"), port: 7001)
            let lane = try Self.lane([server])
            let clients = try Self.fill(lane.daemon)
            #expect(clients.count == Self.ports)
            let labels = "source=\"auto\",service=\"chat\",backend=\"b1\""
            try Self.expectPorts(lane.daemon, labels)
            // Addresses are added in place, and hold for the next client.
            lane.services[0].settings = ["source = [\"127.0.0.1\", \"127.0.0.9\"]"]
            #expect(try lane.reload().changes.map(\.key) == ["source"])
            let more = try Self.fill(lane.daemon, from: 100)
            #expect(more.map(\.source) == [String](repeating: "127.0.0.9", count: Self.ports))
            for (client, _) in clients + more { try expectEcho(client) }
            try lane.daemon.stop()
        }
    }

    /// The next backend gets its turn where there are ports for it, and is no worse for it.
    @Test func theNextBackendHasPortsOfItsOwn() throws {
        try inNarrowNetwork {
            let servers = try [1, 2].map { try BackendServer(.greet("b\($0)"), port: 7000 + $0) }
            let lane = try Self.lane(servers, "source = \"127.0.0.2\"")
            let clients = try Self.fill(lane.daemon)
            #expect(clients.count == 2 * Self.ports)
            for name in ["b1", "b2"] {
                let row = try lane.ctl.backend(name)
                #expect(row.connections == Self.ports && row.state == "up" && row.connectFailures == 0)
            }
            #expect(try lane.ctl.backends().reduce(0) { $0 + $1.away } > 0)
            try lane.daemon.stop()
        }
    }

    /// A name may lead to several addresses; where one has no ports left the next one is connected to.
    @Test(.enabled(if: NameServer.isThere, "dnsmasq is missing"))
    func eachAddressOfANameHasPortsOfItsOwn() throws {
        try inNarrowNetwork {
            // The name server's port is none of those that are counted.
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "30000 39999")
            let hosts = ["127.0.20.1", "127.0.20.2"]
            let names = try NameServer()
            try names.serve(NameServer.host("feed", hosts))
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "20000 20021")
            let servers = try hosts.map { try BackendServer(.greet("b1"), on: $0, port: 7001) }
            let lane = try Reloadable(
                [
                    Reloadable.Service(
                        listen: ["127.0.0.1:7000"],
                        settings: [
                            "source = \"127.0.0.2\"", "[[service.backend]]", "name = \"b1\"",
                            "address = \"feed.example.net:7001\"",
                        ])
                ], settings: names.settings)
            lane.servers = servers
            let clients = try Self.fill(lane.daemon)
            #expect(clients.count == 2 * Self.ports)
            #expect(servers.map(\.counts.open) == [Self.ports, Self.ports])
            for _ in 0..<5 { #expect(try Self.isRefused(lane.daemon)) }
            let row = try lane.ctl.backend("b1")
            #expect(row.state == "up" && row.connectFailures == 0 && row.connections == clients.count)
            try eventually("the ports are counted") {
                try lane.ctl.expect("status").contains("chat/b1 from 127.0.0.2: 20 of 20")
            }
            try lane.daemon.stop()
        }
    }

    /// What is over counts as long as the kernel keeps it.
    @Test func timeWaitIsCountedIn() throws {
        try inNarrowNetwork {
            // Otherwise the kernel gives such a port again after a second.
            try PrivateNetwork.setting("net.ipv4.tcp_tw_reuse", "0")
            let server = try BackendServer(.greet("b1"), port: 7001)
            let lane = try Self.lane([server], "source = \"127.0.0.2\"")
            let clients = try Self.fill(lane.daemon)
            #expect(clients.count == Self.ports)
            // Those that end first keep the port.
            for (client, _) in clients { client.close() }
            try lane.daemon.waitUntilIdle()
            #expect(try Self.isRefused(lane.daemon))
            var text = ""
            let areCounted = try becomes(within: patience) {
                text = try lane.ctl.expect("status")
                return text.contains("connections    0 of") && text.contains("chat/b1 from 127.0.0.2: 20 of 20")
            }
            #expect(areCounted, "\(text)\n\(lane.daemon.log)")
            try lane.daemon.stop()
        }
    }

    @Test func anAddressThatIsNotOursIsPassedOverAndNamed() throws {
        try inNarrowNetwork {
            let server = try BackendServer(.greet("b1"), port: 7001)
            let lane = try Self.lane([server], "source = [\"192.0.2.7\", \"127.0.0.3\"]")
            #expect(
                lane.daemon.logLines(containing: "warning", "192.0.2.7", "no address of this machine").count == 1)
            let clients = try Self.fill(lane.daemon)
            #expect(clients.map(\.source) == [String](repeating: "127.0.0.3", count: Self.ports))
            try eventually("it is named") {
                lane.daemon.logLines(containing: "error a source address is none of this machine's", "192.0.2.7").count
                    == 1
            }
            #expect(try lane.ctl.backend("b1").connectFailures == 0)
            // It comes, as an address that moves from one balancer to another does.
            _ = try run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"])
            try eventually("it is used") {
                let client = try lane.daemon.connect(from: "127.8.8.8")
                return (try? Self.source(client)) == "192.0.2.7"
            }
            try lane.daemon.stop()
        }
    }

    /// Checks come from the first address; a backend may let nobody else in.
    @Test func checksComeFromTheFirstAddress() throws {
        try inNarrowNetwork {
            let listener = try Listener(port: 7001)
            let lane = try Reloadable(
                [
                    Reloadable.Service(
                        listen: ["127.0.0.1:7000"], settings: ["source = \"127.0.0.6/31\"", "health = \"tcp\""],
                        backends: [Reloadable.Service.Backend(name: "b1", address: listener.address)])
                ])
            try eventually("it is up") { try lane.ctl.backend("b1").state == "up" }
            let check = try listener.accept()
            #expect(check.peer?.host == "127.0.0.6" || check.peer == nil)
            let next = try listener.accept()
            #expect(next.peer?.host == "127.0.0.6" || next.peer == nil)
            try lane.daemon.stop()
        }
    }

    /// An interface that is not there is no fault of the backend's; one that is there is used.
    @Test func theInterface() throws {
        try inNarrowNetwork {
            let server = try BackendServer(.greet("b1"), port: 7001)
            let lane = try Self.lane([server], "source-device = \"lo\"", "passive-fall = 1")
            #expect(try lane.landing("127.1.1.1") == "b1")
            lane.services[0].settings = ["source-device = \"missing0\"", "passive-fall = 1"]
            let outcome = try lane.tryReload()
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.stderr.contains("there is no network interface \"missing0\""), "\(outcome)")
            #expect(try Self.isRefused(lane.daemon))
            try eventually("it is named") {
                lane.daemon.logLines(containing: "connect impossible here", "ENODEV", "source-device").count == 1
            }
            #expect(try lane.ctl.backend("b1").state == "up")
            try lane.daemon.stop()
        }
    }

    /// A death between the choice of an address and the connect, while others are under way, loses nothing.
    @Test(.enabled(if: Programs.isDebug, "only a debug build dies on purpose"), arguments: [1, 150])
    func aDeathOfTheEngineLosesNothing(_ pass: Int) throws {
        try inNarrowNetwork {
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "20000 20999")
            let server = try BackendServer(.echo, port: 7001)
            let point = try Injection.point("LIMPET_AT_SOURCE_BOUND")
            let lane = try Self.lane([server], "source = \"127.0.0.16/28\"") {
                $0.environment["LIMPET_INJECT"] = "\(point):\(pass)"
            }
            let sources = (0..<300).map { clientHost($0) }
            let result = try Swarm.run(to: lane.daemon.address, sources: sources, largest: 40_000, seed: 5)
            #expect(result == Swarm.Result(exact: sources.count), "\(lane.daemon.log)")
            #expect(try lane.ctl.status().engineGeneration == 2)
            #expect(try lane.ctl.backend("b1").connectFailures == 0)
            try lane.daemon.waitUntilIdle()
            try lane.daemon.stop()
        }
    }

    /// Bytes of both ways, with ends and beginnings all the time, over engines that are killed and sources that change.
    @Test func soak() throws {
        try inNarrowNetwork {
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "20000 29999")
            let checker = try Checker(Checker.Load(talk: 12, bulk: 1, slow: 2, churn: 60, rate: 200, seed: 9))
            let backends = checker.backends.enumerated().map {
                Reloadable.Service.Backend(name: "b\($0.offset + 1)", address: $0.element)
            }
            let lane = try Reloadable(
                [
                    Reloadable.Service(
                        listen: ["127.0.0.1:7000"], settings: ["source = \"127.0.0.16/28\""], backends: backends)
                ])
            try checker.start(on: lane.daemon.listeners)
            for round in 1...4 {
                let engine = try lane.daemon.enginePID
                kill(engine, SIGKILL)
                try eventually("the next engine answers") { try lane.daemon.enginePID != engine }
                lane.services[0].settings = round % 2 == 0 ? ["source = \"127.0.0.16/28\""] : ["source = \"127.0.1.1\""]
                try lane.reload()
            }
            try checker.expectEverythingRight()
            try lane.daemon.waitUntilIdle()
            try lane.daemon.stop()
        }
    }
}
