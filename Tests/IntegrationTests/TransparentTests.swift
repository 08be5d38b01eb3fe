import Foundation
import Testing

/// Clients' addresses at the backends, and traffic that meant somebody else: with the very commands that limpetd(8) gives.
@Suite(.ownThread, .fence, .enabled(if: isRoot, "only root can have a network of its own"))
struct TransparentTests {
    /// The blocks of commands and files in the section of the manual, in its order.
    private static func manual() throws -> [String] {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("man/limpetd.8")
        let text = try String(contentsOf: page, encoding: .utf8)
        let section = try #require(text.components(separatedBy: "\n.Sh TRANSPARENT PROXYING\n").last)
            .components(separatedBy: "\n.Sh ")[0]
        return section.components(separatedBy: "\n.Bd -literal -offset indent\n").dropFirst().map {
            $0.components(separatedBy: "\n.Ed")[0]
        }
    }

    /// Follows the manual: a file of rules, the routing for it; and with it, what is intercepted.
    private static func followManual(intercepting: Bool) throws {
        let blocks = try manual()
        try #require(blocks.count == 3)
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try blocks[0].write(toFile: "\(directory)/limpet.nft", atomically: false, encoding: .utf8)
        try RoutedNetwork.shell("nft -f \(directory)/limpet.nft")
        try RoutedNetwork.shell(blocks[1])
        if intercepting { try RoutedNetwork.shell(blocks[2]) }
    }

    private static func lane(
        _ network: RoutedNetwork, _ family: Int, listen: [String], settings: [String], user: String? = "nobody",
        manner: BackendServer.Manner = .greet("b1"), prepare: (inout Daemon.Setup) -> Void = { _ in }
    ) throws -> Reloadable {
        let server = try network.backends.inside { try BackendServer(manner, on: RoutedNetwork.backend[family]) }
        let backends = Reloadable.backends([server])
        let lane = try Reloadable([Reloadable.Service(listen: listen, settings: settings, backends: backends)]) {
            $0.user = user
            // For the user that it becomes.
            $0.wrapper = ["env"]
            prepare(&$0)
        }
        lane.servers = [server]
        return lane
    }

    private static func listen(_ family: Int) -> String {
        SocketAddress(RoutedNetwork.balancer[family], 8080).description
    }

    /// The address that the backend sees of a client from that one.
    private static func seen(
        _ network: RoutedNetwork, _ family: Int, _ number: Int, _ daemon: Daemon
    ) throws -> String {
        try client(network, from: source(family, number), to: daemon.address).seen.host
    }

    /// A client there, and whom its backend takes it for.
    private static func client(
        _ network: RoutedNetwork, from source: String, to address: SocketAddress
    ) throws -> (client: TCPSocket, seen: SocketAddress) {
        let client = try network.clients.inside { try TCPSocket.connect(to: address, from: source) }
        let words = try client.receiveLine().split { $0 == " " || $0 == "\n" }
        return (client, try #require(SocketAddress(String(words[1]))))
    }

    private static func source(_ family: Int, _ number: Int) -> String {
        family == 0 ? "198.51.100.\(number)" : "2001:db8:1::\(number)"
    }

    /// The address that the backend sees is the client's, and what comes back finds its way, over a kill and an upgrade.
    @Test(arguments: [0, 1]) func theBackendSeesTheClientsAddress(_ family: Int) throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: false)
            let lane = try Self.lane(network, family, listen: [Self.listen(family)], settings: ["transparent = true"])
            let daemon = lane.daemon
            var clients: [TCPSocket] = []
            for number in 2...12 {
                let source = Self.source(family, number)
                let (client, seen) = try Self.client(network, from: source, to: daemon.address)
                #expect(seen.host == source)
                clients.append(client)
            }
            // It is an ordinary user with what it takes, and says so.
            #expect(daemon.logLines(containing: "nobody", "CAP_NET_BIND_SERVICE, CAP_NET_RAW").count == 1)
            #expect(try daemon.ctl.expect("status").contains("capabilities   CAP_NET_BIND_SERVICE CAP_NET_RAW"))
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("the next engine answers") { try daemon.enginePID != engine }
            for client in clients { try expectEcho(client) }
            let outcome = try daemon.ctl.run("upgrade", within: .seconds(60))
            #expect(outcome.status == 0, "\(outcome)")
            for client in clients { try expectEcho(client) }
            #expect(try Self.seen(network, family, 13, daemon) == Self.source(family, 13))
            #expect(try daemon.ctl.expect("status").contains("CAP_NET_RAW"))
            // In place, and back: it has the right to.
            lane.services[0].settings = []
            try lane.reload()
            #expect(
                try Self.seen(network, family, 14, daemon) == (family == 0 ? "203.0.113.1" : "2001:db8:2::1"))
            lane.services[0].settings = ["transparent = true"]
            try lane.reload()
            #expect(try Self.seen(network, family, 15, daemon) == Self.source(family, 15))
            for client in clients { try expectEcho(client) }
            try daemon.stop()
        }.value()
    }

    /// Byte for byte, many at a time, with deaths between the choice of the address and the connect.
    @Test(.enabled(if: Programs.isDebug, "only a debug build dies on purpose"))
    func manyAtATimeAndADeathBetween() throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: false)
            let point = try Injection.point("LIMPET_AT_SOURCE_BOUND")
            let lane = try Self.lane(
                network, 0, listen: [Self.listen(0)], settings: ["transparent = true"], manner: .echo
            ) { $0.environment["LIMPET_INJECT"] = "\(point):60" }
            let sources = (0..<150).map { Self.source(0, 2 + $0 % 18) }
            let result = try network.clients.inside {
                try Swarm.run(to: lane.daemon.address, sources: sources, largest: 40_000, seed: 11)
            }
            #expect(result == Swarm.Result(exact: sources.count), "\(lane.daemon.log)")
            #expect(try lane.ctl.status().engineGeneration == 2)
            #expect(try lane.ctl.backend("b1").connectFailures == 0)
            try lane.daemon.waitUntilIdle()
            try lane.daemon.stop()
        }.value()
    }

    /// A client of one family, and a backend of the other: there is no way, and the log says so.
    @Test func familiesThatDoNotMeet() throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: false)
            let lane = try Self.lane(
                network, 1, listen: [Self.listen(0), Self.listen(1)],
                settings: ["transparent = true", "passive-fall = 1"])
            let four = try #require(lane.daemon.listeners.first { !$0.isIPv6 })
            let six = try #require(lane.daemon.listeners.first { $0.isIPv6 })
            let served = try Self.client(network, from: Self.source(1, 5), to: six)
            #expect(served.seen.host == Self.source(1, 5))
            let client = try network.clients.inside { try TCPSocket.connect(to: four, from: Self.source(0, 5)) }
            #expect(try client.receiveToEnd() == ([], .reset))
            try eventually("it is said") {
                lane.daemon.logLines(containing: "a client's address is of another family").count == 1
            }
            // Of however many backends, one is named for each client.
            let address = lane.services[0].backends[0].address
            for number in 2...40 {
                let backend = Reloadable.Service.Backend(
                    name: "b\(number)", address: SocketAddress(address.host, UInt16(9000 + number)))
                lane.services[0].backends.append(backend)
            }
            try lane.reload()
            let another = try network.clients.inside { try TCPSocket.connect(to: four, from: Self.source(0, 5)) }
            #expect(try another.receiveToEnd() == ([], .reset))
            try eventually("the reset one is gone") {
                try lane.ctl.status().connections == 1
            }
            try expectEcho(served.client)
            #expect(lane.daemon.logLines(containing: "a client's address is of another family").count <= 2)
            let row = try lane.ctl.backend("b1")
            #expect(row.state == "up" && row.connectFailures == 0)
            try lane.daemon.stop()
        }.value()
    }

    /// What clients meant to send to somebody else arrives, and whom they meant is known.
    @Test(arguments: [0, 1]) func whatIsInterceptedKnowsWhomItMeant(_ family: Int) throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: true)
            let any = family == 0 ? "0.0.0.0:8080" : "[::]:8080"
            let intercepting = "{ address = \"\(any)\", intercept = true }"
            let lane = try Self.lane(network, family, listen: [intercepting], settings: ["transparent = true"])
            let daemon = lane.daemon
            // Nobody has this address.
            let meant = SocketAddress(family == 0 ? "192.0.2.77" : "2001:db8:77::77", 80)
            let source = Self.source(family, 7)
            let (client, seen) = try Self.client(network, from: source, to: meant)
            #expect(seen.host == source)
            #expect(client.peer == meant)
            let row = try daemon.connections(1)[0]
            #expect(row.clientLocal == meant.description && row.client == client.local.description)
            #expect(try daemon.ctl.listeners()[0].options == ["intercept"])
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("the next engine answers") { try daemon.enginePID != engine }
            try expectEcho(client)
            // Backends are told whom the client meant.
            lane.services[0].settings += ["send-proxy = \"v1\""]
            try lane.reload()
            let told = try network.clients.inside { try TCPSocket.connect(to: meant, from: source) }
            _ = try told.receiveLine()
            let header = try told.receiveLine()
            #expect(header.hasPrefix("PROXY TCP\(family == 0 ? 4 : 6) \(source) \(meant.host) "), "\(header)")
            // Without it the kernel finds nobody for them.
            lane.services[0].listen = [any]
            let change = try lane.reload()
            #expect(change.changes.map(\.key).contains("intercept"), "\(change.changes)")
            let refused = try network.clients.inside { try TCPSocket(for: meant) }
            try network.clients.inside { try refused.startConnecting(to: meant) }
            #expect(throws: SocketFailure.self) { try refused.finishConnecting(within: .milliseconds(700)) }
            lane.services[0].listen = [intercepting]
            try lane.reload()
            let again = try network.clients.inside { try TCPSocket.connect(to: meant, from: source) }
            _ = try again.receiveLine()
            try expectEcho(client)
            try daemon.stop()
        }.value()
    }

    /// An engine dies between the accept and the record: the next one knows by which listener the client came, which its
    /// address does not say.
    @Test(.enabled(if: Programs.isDebug, "only a debug build dies on purpose"), arguments: [0, 1])
    func anInterceptedClientThatNobodyHadRecorded(_ family: Int) throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: true)
            let point = try Injection.point("LIMPET_AT_ACCEPTED")
            let any = family == 0 ? "0.0.0.0" : "[::]"
            let lane = try Self.lane(
                network, family, listen: ["\(any):80", "{ address = \"\(any):8080\", intercept = true }"], settings: []
            ) { $0.environment["LIMPET_INJECT"] = "\(point):1" }
            let meant = SocketAddress(family == 0 ? "192.0.2.77" : "2001:db8:77::77", 80)
            let (client, _) = try Self.client(network, from: Self.source(family, 9), to: meant)
            #expect(try lane.ctl.status().engineGeneration == 2)
            let row = try lane.daemon.connections(1)[0]
            #expect(row.clientLocal == meant.description)
            #expect(row.listener == "\(any):8080")
            try expectEcho(client)
            try lane.daemon.stop()
        }.value()
    }

    /// Who the client is says a proxy that is trusted, and that is the address that the backend sees.
    @Test func theAddressOfAProxyHeader() throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: false)
            let lane = try Self.lane(
                network, 0, listen: [Self.listen(0)],
                settings: ["transparent = true", "accept-proxy = [\"198.51.100.0/24\"]"])
            let address = lane.daemon.address
            let client = try network.clients.inside { try TCPSocket.connect(to: address, from: Self.source(0, 3)) }
            try client.send("PROXY TCP4 192.0.2.99 198.51.100.1 4711 8080\r\n")
            #expect(try client.receiveLine().hasPrefix("b1 192.0.2.99:"))
            try expectEcho(client)
            let engine = try lane.daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("the next engine answers") { try lane.daemon.enginePID != engine }
            try expectEcho(client)
            // One of the other family has no way to this backend.
            let other = try network.clients.inside { try TCPSocket.connect(to: address, from: Self.source(0, 3)) }
            try other.send("PROXY TCP6 2001:db8::99 2001:db8::1 4711 8080\r\n")
            #expect(try other.receiveToEnd() == ([], .reset))
            try lane.daemon.stop()
        }.value()
    }

    /// One client may use up all that there is for it, and is told so; to others that is nothing.
    @Test func aClientThatHasUsedItsPortsUp() throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            try Self.followManual(intercepting: false)
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "20000 20019")
            let lane = try Self.lane(network, 0, listen: [Self.listen(0)], settings: ["transparent = true"])
            let address = lane.daemon.address
            let clients = try (0..<20).map { _ in try Self.client(network, from: Self.source(0, 4), to: address).client
            }
            for _ in 0..<3 {
                let client = try network.clients.inside { try TCPSocket.connect(to: address, from: Self.source(0, 4)) }
                #expect(try client.receiveToEnd() == ([], .reset))
            }
            #expect(try Self.client(network, from: Self.source(0, 5), to: address).seen.host == Self.source(0, 5))
            try eventually("it is said") {
                !lane.daemon.logLines(containing: "no local port is left", "max-connections-per-client").isEmpty
            }
            let row = try lane.ctl.backend("b1")
            #expect(row.state == "up" && row.connectFailures == 0)
            try eventually("the most that one client has") {
                try lane.ctl.expect("status").contains("chat/b1 from client: 20 of 20")
            }
            for client in clients { try expectEcho(client) }
            try lane.daemon.stop()
        }.value()
    }

    /// Routes and filters see the mark, and the interface is the one that is named; whichever way it fails is not the
    /// backend's fault.
    @Test func marksAndInterfaces() throws {
        try Background("networks") {
            let network = try RoutedNetwork()
            for version in ["-4", "-6"] { try RoutedNetwork.ip("\(version) rule add fwmark 7 prohibit") }
            for family in [0, 1] {
                let lane = try Self.lane(
                    network, family, listen: [Self.listen(family)],
                    settings: ["mark = 8", "source-device = \"eth1\"", "passive-fall = 1"])
                let own = family == 0 ? "203.0.113.1" : "2001:db8:2::1"
                #expect(try Self.seen(network, family, 3, lane.daemon) == own)
                // Without the interface, for which the kernel would make up a route.
                lane.services[0].settings = ["mark = 7", "passive-fall = 1"]
                try lane.reload()
                let client = try network.clients.inside {
                    try TCPSocket.connect(to: lane.daemon.address, from: Self.source(family, 4))
                }
                #expect(try client.receiveToEnd() == ([], .reset))
                try eventually("it is said") {
                    lane.daemon.logLines(containing: "connect impossible here", "EACCES").count == 1
                }
                #expect(try lane.ctl.backend("b1").state == "up")
                try lane.daemon.stop()
            }
        }.value()
    }

    // MARK: Without the right to it

    private static let file = """
        [[service]]
        name = "chat"
        listen = LISTEN
        health = "off"
        SETTINGS
        [[service.backend]]
        name = "b1"
        address = "127.0.0.1:9"
        """

    static let demands = [
        ("127.0.0.1:0", "transparent = true", "transparent"), ("127.0.0.1:0", "mark = 7", "mark"),
        (#"{ address = "127.0.0.1:0", intercept = true }"#, "", "intercept"),
    ]

    /// Whoever may not is told at the start what it lacks and how to get it.
    @Test(arguments: demands) func withoutTheCapabilityItDoesNotStart(_ demand: (String, String, String)) throws {
        var setup = Daemon.Setup()
        let listen = demand.0.hasPrefix("{") ? demand.0 : "\"\(demand.0)\""
        setup.file = Self.file.replacing("LISTEN", with: listen).replacing("SETTINGS", with: demand.1)
        setup.user = nil
        setup.wrapper = ["setpriv", "--reuid=54322", "--regid=54322", "--clear-groups", "--bounding-set=-all"]
        setup.limpetd = try Self.readable()
        defer { try? FileManager.default.removeItem(atPath: setup.limpetd) }
        let outcome = try Daemon.refuses(setup)
        #expect(outcome.ending == .exit(1), "\(outcome)")
        let line =
            "service chat: \(demand.2) needs CAP_NET_RAW, which limpetd does not have: start it as root, or give it "
            + "that (AmbientCapabilities=CAP_NET_RAW in its unit, or setcap cap_net_raw+ep)"
        #expect(outcome.stderr.contains(line), "\(outcome)")
        setup.arguments.append("--check")
        let check = try Daemon.refuses(setup)
        #expect(check.status == 0, "\(check)")
        #expect(check.stderr.contains("warning: started by this user it would not start: \(line)"), "\(check)")
        // Root that has lost it is no better.
        setup.wrapper = ["setpriv", "--bounding-set=-net_raw,-net_admin"]
        setup.user = "nobody"
        setup.arguments = []
        let root = try Daemon.refuses(setup)
        #expect(root.ending == .exit(1) && root.stderr.contains("needs CAP_NET_RAW"), "\(root)")
    }

    /// For a user who may not look where the tests' own copy lies.
    private static func readable() throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "limpetd-\(UUID().uuidString)").path
        let outcome = try run(["cp", Programs.limpetd, path])
        guard outcome.status == 0 else { throw SocketFailure(call: "cp: \(outcome)", code: EIO) }
        return path
    }

    /// Capabilities of its own make a file lose those that it would be handed on.
    @Test func anUpgradeToAFileThatLacksItIsRefused() throws {
        var setup = Daemon.Setup()
        setup.file = Self.file.replacing("LISTEN", with: "\"127.0.0.1:0\"").replacing("SETTINGS", with: "mark = 7")
        setup.user = "nobody"
        let daemon = try Daemon(setup)
        let path = try Self.readable()
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try run(["setcap", "cap_net_bind_service+ep", path]).status == 0)
        let refused = try daemon.ctl.run(["upgrade", path])
        #expect(
            refused.status == 1 && refused.stderr.contains("nothing has changed")
                && refused.stderr.contains("service chat: mark needs CAP_NET_RAW, which limpetd does not have"),
            "\(refused)")
        #expect(try run(["setcap", "-r", path]).status == 0)
        let taken = try daemon.ctl.run(["upgrade", path])
        #expect(taken.status == 0, "\(taken)")
        kill(try daemon.ctl.status().pid, SIGTERM)
        try eventually("all of it has ended; limpetd said: \(daemon.log)") { daemon.process.group.isEmpty }
    }

    /// A daemon that has given it up cannot take it back: a reload says so, and nothing has changed.
    @Test(arguments: demands) func aReloadThatWantsWhatWasGivenUpIsRefused(_ demand: (String, String, String)) throws {
        let server = try BackendServer(.greet("b1"))
        let lane = try Reloadable(
            [
                Reloadable.Service(listen: ["127.0.0.1:0"], backends: Reloadable.backends([server]))
            ]
        ) {
            $0.user = "nobody"
            $0.wrapper = ["env"]
        }
        let picture = try lane.picture()
        lane.services[0].listen = [demand.0]
        lane.services[0].settings = [demand.1]
        let outcome = try lane.tryReload()
        #expect(outcome.status == 1, "\(outcome)")
        #expect(
            outcome.stderr.contains(
                "service chat: \(demand.2) needs CAP_NET_RAW, which limpetd has not kept, as nothing needed it when it was "
                    + "started: restart limpetd for that; nothing has changed"), "\(outcome)")
        #expect(try lane.picture() == picture)
        #expect(try lane.landing("127.0.0.1") == "b1")
        try lane.daemon.stop()
    }
}
