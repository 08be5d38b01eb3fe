import Foundation
import Testing

/// Backends that are given by names, and a name server that changes its mind.
@Suite(.ownThread, .fence, .enabled(if: NameServer.isThere, "dnsmasq is missing"))
struct NameTests {
    private let sixty = (0..<60).map { clientHost($0 * 37) }

    /// Servers with one port at 127.0.20.1 and so on, which greet by their addresses.
    private func greeters(_ count: Int, first: Int = 1) throws -> [BackendServer] {
        var servers = [try BackendServer(.greet("127.0.20.\(first)"), on: "127.0.20.\(first)")]
        for number in (first + 1)..<(first + count) {
            let host = "127.0.20.\(number)"
            servers.append(try BackendServer(.greet(host), on: host, port: servers[0].address.port))
        }
        return servers
    }

    private func hosts(_ numbers: ClosedRange<Int>) -> [String] { numbers.map { "127.0.20.\($0)" } }

    /// One service with lines for its backends.
    private func daemon(
        _ server: NameServer, _ backends: [String], health: String = "off", settings: [String] = [],
        _ prepare: (inout Daemon.Setup) -> Void = { _ in }
    ) throws -> Reloadable {
        let service = Reloadable.Service(
            listen: ["127.0.0.1:0"],
            settings: ["health = \"\(health)\"", "health-interval = \"200ms\"", "connect-timeout = \"2s\""] + backends)
        return try Reloadable([service], settings: server.settings + settings, prepare)
    }

    private func backend(_ name: String, _ lines: String...) -> [String] {
        ["[[service.backend]]", "name = \"\(name)\""] + lines
    }

    private func live(_ ctl: Ctl) throws -> [String] {
        try ctl.backends().filter { $0.state != "removed" }.map(\.name).sorted()
    }

    private func names(_ hosts: [String], _ port: UInt16) -> [String] { hosts.map { "\($0)-\(port)" }.sorted() }

    // MARK: Many backends

    @Test func theSetFollowsTheNameServer() throws {
        let servers = try greeters(4)
        let port = servers[0].address.port
        let server = try NameServer()
        try server.serve(NameServer.host("pool", hosts(1...3)))
        let daemon = try daemon(
            server, backend("pool", "address = \"pool.example.net:\(port)\"", "expand = true", "weight = 2"))
        let ctl = daemon.ctl
        #expect(try live(ctl) == names(hosts(1...3), port))
        let first = try ctl.backends()[0]
        #expect(first.address == "127.0.20.1:\(port)" && first.weight == 2)
        #expect(first.resolution?.template == "pool" && first.resolution?.name == "pool.example.net")
        let before = try daemon.landings(sixty)
        let hashes = try ctl.status()
        let clients = try sixty.prefix(20).map { try daemon.client(from: $0) }

        // It grows: clients move to the new backend, and to no other.
        try server.serve(NameServer.host("pool", hosts(1...4)))
        try eventually("the fourth is there") { try live(ctl) == names(hosts(1...4), port) }
        let grown = try daemon.landings(sixty)
        for source in sixty { #expect(grown[source] == before[source] || grown[source] == "127.0.20.4") }
        #expect(grown.values.contains("127.0.20.4"))
        #expect(try ctl.status().configHash == hashes.configHash)
        #expect(try ctl.status().services[0].mappingHash != hashes.services[0].mappingHash)

        // It shrinks: those who are connected to what is gone stay connected.
        try server.serve(NameServer.host("pool", hosts(2...4)))
        try eventually("the first is gone") { try live(ctl) == names(hosts(2...4), port) }
        let shrunk = try daemon.landings(sixty)
        for source in sixty { #expect(shrunk[source] == grown[source] || grown[source] == "127.0.20.1") }
        for client in clients { try expectEcho(client) }
        #expect(try ctl.connections("--backend", "127.0.20.1-\(port)").count > 0)

        // And back.
        try server.serve(NameServer.host("pool", hosts(1...3).reversed()))
        try eventually("it is as it was") { try live(ctl) == names(hosts(1...3), port) }
        #expect(try daemon.landings(sixty) == before)
        #expect(try ctl.status().services[0].mappingHash == hashes.services[0].mappingHash)
        #expect(try ctl.status().connections == 20)
        #expect(daemon.daemon.logLines(containing: "pool.example.net has changed").count == 3)
        try daemon.daemon.stop()
    }

    @Test func anAnswerThatFailsOrSaysNothingTakesNobodyOut() throws {
        let servers = try greeters(2)
        let port = servers[0].address.port
        let server = try NameServer()
        let records = NameServer.host("pool", hosts(1...2)) + NameServer.host("one", hosts(1...1))
        try server.serve(records)
        let daemon = try daemon(
            server,
            backend("pool", "address = \"pool.example.net:\(port)\"", "expand = true")
                + backend("one", "address = \"one.example.net:\(port)\""))
        let ctl = daemon.ctl
        let all = names(hosts(1...2), port) + ["one"]
        #expect(try live(ctl) == all)
        let before = try daemon.landings(sixty)
        func errors(_ text: String) throws {
            try eventually("everybody says: \(text)") {
                try ctl.backends().allSatisfy { $0.resolution?.error?.contains(text) ?? false }
            }
            #expect(try live(ctl) == all)
            #expect(try daemon.landings(sixty) == before)
            #expect(try ctl.backends().allSatisfy { $0.state == "up" })
        }
        try server.stop()
        try errors("no name server could be reached")
        try server.serve([])
        try errors("there is no such name (NXDOMAIN)")
        // A name with something else than addresses.
        try server.serve(["txt-record=pool.example.net,none", "txt-record=one.example.net,none"])
        try errors("the name has no addresses")
        // An engine that follows knows of them what the one before knew.
        try server.stop()
        let engine = try daemon.daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("another engine answers") {
            try ctl.run("ready", "-q").status == 0 && daemon.daemon.enginePID != engine
        }
        #expect(try live(ctl) == all)
        #expect(try daemon.landings(sixty) == before)
        // So does a reload.
        daemon.services[0].settings.insert("idle-timeout = \"1h\"", at: 0)
        let report = try daemon.reload()
        #expect(
            report.changes.map(\.description) == ["changed service chat idle-timeout off 1h"]
                && report.homes[0].moved == 0)
        #expect(try live(ctl) == all)
        try server.serve(records)
        try eventually("all is well") { try ctl.backends().allSatisfy { $0.resolution?.error == nil } }
        let metrics = try ctl.expect("metrics")
        #expect(metrics.contains("limpet_name_records{name=\"pool.example.net\"} 2"))
        #expect(!metrics.contains("limpet_name_resolutions_total{result=\"failed\"} 0\n"))
        try daemon.daemon.stop()
    }

    // MARK: One backend

    @Test func orderAndAddressesMoveNobody() throws {
        let servers = try greeters(6)
        let port = servers[0].address.port
        let server = try NameServer()
        try server.serve(
            NameServer.host("w1", hosts(1...1)) + NameServer.host("w2", hosts(2...3))
                + NameServer.host("w3", hosts(4...4)))
        let daemon = try daemon(
            server, (1...3).flatMap { backend("w\($0)", "address = \"w\($0).example.net:\(port)\"") })
        let ctl = daemon.ctl
        #expect(try live(ctl) == ["w1", "w2", "w3"])
        #expect(try ctl.backend("w2").resolution?.addresses == hosts(2...3))
        let chosen = try sixty.map { try ctl.locate($0).chosen }
        let hash = try ctl.status().services[0].mappingHash
        let before = try daemon.landings(sixty)
        #expect(Set(before.values) == ["127.0.20.1", "127.0.20.2", "127.0.20.4"])
        let clients = try sixty.prefix(10).map { try daemon.client(from: $0) }
        // Another order, and one more address.
        try server.serve(
            NameServer.host("w1", hosts(5...6)) + NameServer.host("w2", hosts(2...3).reversed())
                + NameServer.host("w3", hosts(4...4)))
        try eventually("w1 is elsewhere") { try ctl.backend("w1").resolution?.addresses == hosts(5...6) }
        let after = try daemon.landings(sixty)
        for source in sixty {
            #expect(after[source] == (before[source] == "127.0.20.1" ? "127.0.20.5" : before[source]))
        }
        #expect(try sixty.map { try ctl.locate($0).chosen } == chosen)
        #expect(try ctl.status().services[0].mappingHash == hash)
        for client in clients { try expectEcho(client) }
        #expect(try ctl.backend("w1").address == "w1.example.net:\(port)")
        try daemon.daemon.stop()
    }

    @Test func theFirstAddressThatConnectsIsTaken() throws {
        let servers = try greeters(1, first: 9)
        let port = servers[0].address.port
        let server = try NameServer()
        try server.serve(NameServer.host("w1", hosts(7...9)))
        let daemon = try daemon(server, backend("w1", "address = \"w1.example.net:\(port)\""), health: "tcp")
        let ctl = daemon.ctl
        #expect(try ctl.backend("w1").resolution?.addresses == hosts(7...9))
        #expect(try ctl.backend("w1").state == "up")
        for source in sixty.prefix(10) { #expect(try daemon.landing(source) == "127.0.20.9") }
        let row = try ctl.backend("w1")
        #expect(row.connectFailures == 0 && row.fallbacks == 0 && row.total >= 10)
        // None of them: that is a failure of the backend, and one.
        try servers[0].stop()
        try eventually("it is down") { try ctl.backend("w1").state == "down" }
        let failures = try ctl.backend("w1").connectFailures
        let client = try daemon.daemon.connect(from: clientHost(1))
        #expect(try client.receiveToEnd().end == .reset)
        #expect(try ctl.backend("w1").connectFailures == failures + 1)
        try daemon.daemon.stop()
    }

    /// The time of one attempt is divided among the addresses: one that says nothing does not use up all of it.
    @Test func anAddressThatSaysNothingTakesItsPartOfTheTime() throws {
        let servers = try greeters(1, first: 9)
        let port = servers[0].address.port
        // Its queue is full: no further connect is answered.
        let silent = try Listener("127.0.20.8", port: port, backlog: 0)
        let filler = try (0..<4).map { _ in try TCPSocket(for: silent.address) }
        for socket in filler { try socket.startConnecting(to: silent.address) }
        let server = try NameServer()
        try server.serve(NameServer.host("w1", hosts(8...9)))
        let daemon = try daemon(server, backend("w1", "address = \"w1.example.net:\(port)\""))
        #expect(try daemon.landing(clientHost(1)) == "127.0.20.9")
        #expect(try daemon.ctl.backend("w1").connectFailures == 0)
        // And an engine that dies meanwhile leaves it to the next.
        let client = try daemon.daemon.connect(from: clientHost(2))
        try eventually("it connects") { try daemon.ctl.backend("w1").connecting == 1 }
        kill(try daemon.daemon.enginePID, SIGKILL)
        #expect(try client.receiveLine().hasPrefix("127.0.20.9 "))
        try daemon.daemon.stop()
        _ = filler
    }

    // MARK: Names that are not there

    @Test func aNameThatIsNotThereYetComesWhenItIs() throws {
        let servers = try greeters(2)
        let port = servers[0].address.port
        let server = try NameServer()
        let daemon = try daemon(
            server,
            backend("late", "address = \"late.example.net:\(port)\"")
                + backend("pool", "address = \"pool.example.net:\(port)\"", "expand = true"), health: "tcp")
        let ctl = daemon.ctl
        #expect(try live(ctl) == ["late", "pool"])
        for row in try ctl.backends() {
            #expect(
                row.state == "down" && row.resolution?.addresses == [] && row.checkResult?.contains("NXDOMAIN") == true)
        }
        #expect(try ctl.locate(clientHost(1)).chosen == nil)
        let client = try daemon.daemon.connect(from: clientHost(1))
        #expect(try client.receiveToEnd().end == .reset)
        #expect(daemon.daemon.logLines(containing: "late.example.net: there is no such name").count == 1)
        try server.serve(NameServer.host("late", hosts(1...1)) + NameServer.host("pool", hosts(2...2)))
        try eventually("they are there and up") {
            try live(ctl) == names(hosts(2...2), port) + ["late"]
                && ctl.backends().allSatisfy { $0.state == "up" || $0.state == "removed" }
        }
        #expect(Set(try daemon.landings(sixty).values) == ["127.0.20.1", "127.0.20.2"])
        try daemon.daemon.stop()
    }

    @Test func aReloadAsksForNewNamesFirst() throws {
        let servers = try greeters(3)
        let port = servers[0].address.port
        let server = try NameServer()
        try server.serve(NameServer.host("w1", hosts(1...1)) + NameServer.host("pool", hosts(2...3)))
        let daemon = try daemon(server, backend("w1", "address = \"w1.example.net:\(port)\""))
        let ctl = daemon.ctl
        let client = try daemon.client(from: clientHost(1))
        daemon.services[0].settings += backend("pool", "address = \"pool.example.net:\(port)\"", "expand = true")
        daemon.services[0].settings += backend("none", "address = \"none.example.net:\(port)\"")
        let dry = try daemon.reload(dryRun: true)
        #expect(dry.warnings == ["none.example.net: there is no such name (NXDOMAIN)"])
        #expect(try live(ctl) == ["w1"])
        let report = try daemon.reload()
        #expect(report.changes.map(\.description) == dry.changes.map(\.description) && report.warnings == dry.warnings)
        let added = report.changes.map(\.description)
        #expect(added.contains("added backend chat 127.0.20.2-\(port) 127.0.20.2:\(port)"), "\(added)")
        #expect(try live(ctl) == names(hosts(2...3), port) + ["none", "w1"])
        try expectEcho(client)
        // And without a name again.
        daemon.services[0].settings.removeLast(4 + 3 + 4)
        daemon.services[0].settings += backend("w1", "address = \"127.0.20.1:\(port)\"")
        try daemon.reload()
        #expect(try live(ctl) == ["w1"])
        #expect(try ctl.backend("w1").resolution == nil)
        #expect(try daemon.landing(clientHost(1)) == "127.0.20.1")
        try expectEcho(client)
        try daemon.daemon.stop()
    }

    @Test func aCheckOfTheFileAsksForItsNames() throws {
        let server = try NameServer()
        try server.serve(NameServer.host("w1", hosts(1...1)))
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let service = Reloadable.Service(
            listen: ["127.0.0.1:0"],
            settings: backend("w1", "address = \"w1.example.net:80\"")
                + backend("w2", "address = \"w2.example.net:80\""))
        let text = (server.settings + [service.text]).joined(separator: "\n")
        try text.write(toFile: "\(directory)/limpet.toml", atomically: true, encoding: .utf8)
        let outcome = try run([Programs.limpetd, "--check", "-c", "\(directory)/limpet.toml"])
        #expect(outcome.status == 0)
        #expect(outcome.stderrLines.contains("warning: w2.example.net: there is no such name (NXDOMAIN)"), "\(outcome)")
        #expect(!outcome.stderr.contains("w1.example.net"))
    }

    // MARK: SRV records

    @Test func recordsSayWhereTheBackendsAre() throws {
        let servers = try greeters(3)
        let port = servers[0].address.port
        func records(_ weights: (Int, Int)) -> [String] {
            (1...3).flatMap { NameServer.host("s\($0)", hosts($0...$0)) } + [
                "srv-host=_ws._tcp.example.net,s1.example.net,\(port),0,\(weights.0)",
                "srv-host=_ws._tcp.example.net,s2.example.net,\(port),0,\(weights.1)",
                "srv-host=_ws._tcp.example.net,s3.example.net,\(port),5,0",
            ]
        }
        let server = try NameServer()
        try server.serve(records((10, 20)))
        let daemon = try daemon(server, backend("all", "srv = \"_ws._tcp.example.net\"", "max-connections = 500"))
        let ctl = daemon.ctl
        let all = (1...3).map { "s\($0).example.net-\(port)" }
        #expect(try live(ctl) == all)
        #expect(try ctl.backends().map(\.weight) == [10, 20, 1])
        #expect(try ctl.backend(all[0]).resolution?.addresses == ["127.0.20.1"])
        // The third stands in only for both others.
        #expect(Set(try daemon.landings(sixty).values) == ["127.0.20.1", "127.0.20.2"])
        let order = try ctl.locate(clientHost(1)).preference.map(\.backend)
        #expect(order.last == all[2])
        try ctl.expect("drain", all[0], "--force")
        try ctl.expect("drain", all[1], "--force")
        #expect(Set(try daemon.landings(sixty).values) == ["127.0.20.3"])
        try ctl.expect("undrain", all[0])
        try ctl.expect("undrain", all[1])
        // Weights above 256 are scaled.
        try server.serve(records((1000, 500)))
        try eventually("they have other weights") { try ctl.backends().map(\.weight) == [256, 128, 1] }
        // A record that is gone keeps its connections.
        let source = try #require(sixty.first { (try? daemon.landing($0)) == "127.0.20.2" })
        let client = try daemon.client(from: source)
        try server.serve(records((1000, 500)).filter { !$0.contains(",s2.example.net,\(port)") })
        try eventually("the second is gone") { try live(ctl) == [all[0], all[2]] }
        try expectEcho(client)
        #expect(try ctl.connections().map(\.backend) == [all[1]])
        #expect(try ctl.expect("config").contains("srv = \"_ws._tcp.example.net\""))
        try daemon.daemon.stop()
    }

    // MARK: Deaths

    /// Between one address of a backend and the next.
    @Test(.enabled(if: Programs.isDebug), arguments: ["CONNECT_UNNAMED", "CONNECT_CLOSED", "BACKEND_NAMED"])
    func anEngineThatDiesBetweenTwoAddressesLosesNobody(point: String) throws {
        let servers = try greeters(1, first: 9)
        let port = servers[0].address.port
        let number = try Injection.point("LIMPET_AT_" + point)
        let server = try NameServer()
        try server.serve(NameServer.host("w1", hosts(7...9)))
        let daemon = try daemon(server, backend("w1", "address = \"w1.example.net:\(port)\"")) {
            $0.environment = ["LIMPET_INJECT": "\(number):2"]
        }
        for source in sixty.prefix(5) { #expect(try daemon.landing(source) == "127.0.20.9") }
        #expect(try daemon.ctl.status().engineGeneration == 2)
        #expect(try daemon.ctl.backend("w1").connectFailures == 0)
        try eventually("nothing is left") { try daemon.ctl.backend("w1").connecting == 0 }
        try daemon.daemon.stop()
    }

    @Test(.enabled(if: Programs.isDebug), arguments: ["BOUND", "PUBLISHED", "SETTLED"])
    func anEngineThatDiesOnItsWayToOtherBackendsLeavesAllOfItOrNothing(point: String) throws {
        let servers = try greeters(3)
        let port = servers[0].address.port
        let number = try Injection.point("LIMPET_AT_RELOAD_" + point)
        let server = try NameServer()
        try server.serve(NameServer.host("pool", hosts(1...2)))
        let daemon = try daemon(
            server, backend("pool", "address = \"pool.example.net:\(port)\"", "expand = true")
        ) { $0.environment = ["LIMPET_INJECT": "\(number):1"] }
        let ctl = daemon.ctl
        let clients = try sixty.prefix(10).map { try daemon.client(from: $0) }
        try server.serve(NameServer.host("pool", hosts(2...3)))
        try eventually("another engine has gone over") {
            try ctl.run("ready", "-q").status == 0 && ctl.status().engineGeneration > 1
                && live(ctl) == names(hosts(2...3), port)
        }
        for client in clients { try expectEcho(client) }
        #expect(try ctl.status().connections == 10)
        #expect(Set(try daemon.landings(sixty).values) == ["127.0.20.2", "127.0.20.3"])
        try daemon.daemon.stop()
    }

    @Test func anUpgradeGoesOnWithWhatIsKnown() throws {
        let servers = try greeters(3)
        let port = servers[0].address.port
        let server = try NameServer()
        try server.serve(NameServer.host("pool", hosts(1...3)))
        let daemon = try daemon(
            server, backend("pool", "address = \"pool.example.net:\(port)\"", "expand = true"))
        let ctl = daemon.ctl
        let clients = try sixty.prefix(10).map { try daemon.client(from: $0) }
        let before = try daemon.landings(sixty)
        try server.stop()
        #expect(try ctl.run("upgrade").status == 0)
        #expect(try live(ctl) == names(hosts(1...3), port))
        #expect(try daemon.landings(sixty) == before)
        for client in clients { try expectEcho(client) }
        try server.serve(NameServer.host("pool", hosts(1...2)))
        try eventually("it follows") { try live(ctl) == names(hosts(1...2), port) }
        try daemon.daemon.stop()
    }
}
