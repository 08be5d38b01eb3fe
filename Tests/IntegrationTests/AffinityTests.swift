import Foundation
import Testing

/// Clients that keep the backend that they had.
@Suite(.ownThread, .fence)
struct AffinityTests {
    private struct Document: Decodable {
        var entries: Int
        var limit: Int
        var hits: Int
        var moves: Int
        var evictions: Int
        var clients: [Client]

        struct Client: Decodable {
            var service: String
            var client: String
            var backend: String
            var home: String?
            var connections: Int
            var secondsLeft: Double?
        }
    }

    private struct Cleared: Decodable {
        var cleared: Int
    }

    private func affinity(_ daemon: Daemon, _ arguments: String...) throws -> Document {
        try daemon.ctl.json(Document.self, ["affinity"] + arguments)
    }

    /// Connects many at a time, and says who greeted each.
    private func landings(_ address: SocketAddress, _ sources: [String]) throws -> [String] {
        var names: [String] = []
        for start in stride(from: 0, to: sources.count, by: 250) {
            let part = try sources[start..<min(start + 250, sources.count)].map { source in
                let socket = try TCPSocket(for: address, source: SocketAddress(source, 0))
                try socket.startConnecting(to: address)
                return socket
            }
            for socket in part { names.append(String(try socket.receiveLine().prefix { $0 != " " })) }
            for socket in part { socket.close() }
        }
        return names
    }

    private func scene(
        _ count: Int, _ lasting: String, settings: [String] = [], others: [String] = []
    ) throws -> (Reloadable, [BackendServer]) {
        let servers = try (1...count).map { try BackendServer(.greet("b\($0)")) }
        let scene = try Reloadable(servers, service: ["affinity = \"\(lasting)\""] + others, settings: settings)
        return (scene, servers)
    }

    private static let many = 10_000

    @Test func addingABackendMovesNobodyUntilTheirTimeIsOver() throws {
        let (scene, _) = try scene(5, "1h")
        let daemon = scene.daemon
        let sources = (0..<AffinityTests.many).map(clientHost)
        let before = try landings(daemon.address, sources)
        #expect(Set(before) == ["b1", "b2", "b3", "b4", "b5"])
        let sixth = try BackendServer(.greet("b6"))
        let open = try sources[..<20].map { try scene.client(from: $0) }
        scene.services[0].backends.append(.init(name: "b6", address: sixth.address))
        try scene.write()
        let dryRun = try scene.ctl.json(DryRun.self, ["reload", "--dry-run"])
        #expect(dryRun.plans.map(\.moving) == [0] && dryRun.plans.map(\.connections) == [20])
        try scene.reload()
        #expect(try landings(daemon.address, sources) == before, "0 move")
        for client in open {
            try expectEcho(client)
            client.close()
        }
        try daemon.waitUntilIdle()
        let full = try affinity(daemon, "--limit", "5")
        #expect(full.entries == sources.count && full.clients.count == 5 && full.moves == 0 && full.evictions == 0)
        #expect(full.hits == sources.count + 20)
        let moving = sources.indices.filter { index in index < 40 }.map { sources[$0] }
        let homes = try moving.map { try daemon.ctl.locate($0) }
        for (answer, was) in zip(homes, before) {
            #expect(answer.chosen == was)
            if answer.preference[0].backend == was {
                #expect(answer.reason == "\(was) is the client's first choice")
            } else {
                #expect(answer.preference[0].backend == "b6")
                #expect(answer.reason == "\(was) is the one that the client had last, and is remembered (affinity)")
            }
        }
        // Their time is over: the home share moves, to the new backend and nowhere else.
        scene.services[0].settings = scene.services[0].settings.map {
            $0.hasPrefix("affinity") ? "affinity = \"1s\"" : $0
        }
        try scene.reload()
        try eventually("their time is over") { try affinity(daemon).entries == 0 }
        let after = try landings(daemon.address, sources)
        let moved = zip(before, after).filter { $0 != $1 }
        #expect(moved.allSatisfy { $0.1 == "b6" })
        let share = Double(moved.count) / Double(sources.count)
        #expect(share > 0.12 && share < 0.22, "\(share)")
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    private struct DryRun: Decodable {
        var plans: [ServicePlanDocument]
    }

    /// Drain wins; then the client stays where it had to go, until it is brought home.
    @Test func drainWinsAndRehomeBringsHome() throws {
        let (scene, _) = try scene(2, "1h")
        let daemon = scene.daemon
        let source = try daemon.source(preferring: "b1")
        #expect(try scene.landing(source) == "b1")
        try daemon.ctl.expect("drain", "b1")
        let client = try daemon.connect(from: source)
        #expect(try client.receiveLine().hasPrefix("b2 "))
        try daemon.ctl.expect("undrain", "b1")
        let second = try daemon.connect(from: source)
        #expect(try second.receiveLine().hasPrefix("b2 "), "it is remembered there")
        let rows = try daemon.connections(2)
        #expect(rows.allSatisfy { $0.home == "b1" && $0.backend == "b2" })
        #expect(rows.map(\.awayReason).sorted { ($0 ?? "") < ($1 ?? "") } == ["affinity", "draining"])
        let row = try affinity(daemon, source)
        #expect(row.clients.map(\.backend) == ["b2"] && row.clients[0].home == "b1")
        #expect(row.clients[0].connections == 2 && row.clients[0].secondsLeft == nil && row.moves == 1)
        #expect(try affinity(daemon, "10.9.9.9").entries == 0)
        try daemon.ctl.expect("rehome", "--rate", "100")
        #expect(try client.receiveToEnd() == ([], .fin))
        // Its other connection may still be there: it is forgotten from the moment at which the first is closed.
        #expect(try scene.landing(source) == "b1")
        #expect(try second.receiveToEnd() == ([], .fin))
        for socket in [client, second] { socket.close() }
        try daemon.waitUntilIdle()
        #expect(try affinity(daemon, source).clients.map(\.backend) == ["b1"])
        try daemon.stop()
    }

    /// Who was remembered elsewhere and is not connected goes home after a rehoming, too; and after it was forgotten by name.
    @Test func whoIsForgottenGoesHome() throws {
        let (scene, _) = try scene(2, "1h")
        let daemon = scene.daemon
        let sources = try [0, 40, 80].map { try daemon.source(preferring: "b1", from: $0) }
        try daemon.ctl.expect("drain", "b1")
        for source in sources { #expect(try scene.landing(source) == "b2") }
        try daemon.ctl.expect("undrain", "b1")
        #expect(try scene.landing(sources[0]) == "b2")
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.json(Cleared.self, ["affinity", sources[0], "--clear"]).cleared == 1)
        #expect(try scene.landing(sources[0]) == "b1" && scene.landing(sources[1]) == "b2")
        let refused = try daemon.ctl.run("affinity", "--clear")
        #expect(refused.status == 8 && refused.stderr.contains("clients would be forgotten"))
        try daemon.waitUntilIdle()
        try daemon.ctl.expect("rehome")
        #expect(try scene.landing(sources[1]) == "b1")
        try daemon.ctl.expect("affinity", "--clear", "--force")
        #expect(try affinity(daemon).entries == 0)
        #expect(!daemon.logLines(containing: "affinity", "--clear", "uid=").isEmpty)
        try daemon.stop()
    }

    /// An engine dies, another takes its place, the daemon is upgraded: what is remembered stays, and is counted right.
    @Test func whatIsRememberedOutlivesEngines() throws {
        let (scene, _) = try scene(2, "1h")
        let daemon = scene.daemon
        let source = try daemon.source(preferring: "b1")
        try daemon.ctl.expect("drain", "b1")
        let clients = try (0..<3).map { _ in try scene.client(from: source) }
        try daemon.ctl.expect("undrain", "b1")
        for round in 0..<2 {
            let engine = try daemon.enginePID
            if round == 0 { kill(engine, SIGKILL) } else { try daemon.ctl.expect("upgrade") }
            _ = try daemon.nextEngine(after: engine)
            #expect(try affinity(daemon, source).clients.map(\.connections) == [3])
            let late = try daemon.connect(from: source)
            #expect(try late.receiveLine().hasPrefix("b2 "))
            late.close()
            try eventually("it has gone") { try daemon.ctl.status().connections == 3 }
        }
        for client in clients {
            try expectEcho(client)
            client.close()
        }
        try daemon.waitUntilIdle()
        let row = try affinity(daemon, source).clients
        #expect(row.map(\.connections) == [0] && row[0].secondsLeft ?? 0 > 3000 && row[0].backend == "b2")
        // Switched off, it is forgotten; switched on, it begins with those who are there.
        scene.services[0].settings.removeAll { $0.hasPrefix("affinity") }
        let there = try daemon.connect(from: source)
        #expect(try there.receiveLine().hasPrefix("b2 "))
        try scene.reload()
        #expect(try scene.landing(source) == "b1")
        scene.services[0].settings.append("affinity = \"2h\"")
        try eventually("the other has gone") { try daemon.ctl.status().connections == 1 }
        try scene.reload()
        #expect(try scene.landing(source) == "b2")
        there.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func aFullTableForgetsAndServes() throws {
        let (scene, _) = try scene(3, "1h", settings: ["affinity-entries = 1024"])
        let daemon = scene.daemon
        let sources = (0..<1500).map(clientHost)
        let before = try landings(daemon.address, sources)
        try daemon.waitUntilIdle()
        let full = try affinity(daemon)
        #expect(full.limit == 1024 && full.entries <= 1024 && full.entries > 900)
        #expect(full.entries + full.evictions == sources.count)
        let metrics = try daemon.ctl.metrics()
        #expect(metrics[#"limpet_affinity_entries{service="chat"}"#] == Double(full.entries))
        #expect(metrics["limpet_affinity_limit"] == 1024)
        #expect(metrics["limpet_affinity_evictions_total"] == Double(full.evictions))
        #expect(try landings(daemon.address, sources) == before)
        scene.settings = ["affinity-entries = 2048"]
        let refused = try scene.tryReload()
        #expect(refused.status == 1 && refused.stderr.contains("affinity-entries from 1024 to 2048: restart limpetd"))
        try daemon.stop()
    }

    @Test(
        .enabled(if: Programs.isDebug, "only a debug build dies on purpose"),
        arguments: [
            "LIMPET_AT_AFFINITY_CLAIMED", "LIMPET_AT_AFFINITY_JOINED", "LIMPET_AT_AFFINITY_LINKED",
            "LIMPET_AT_AFFINITY_LEFT",
        ])
    func aDeathInBetween(_ point: String) throws {
        let servers = try (1...2).map { try BackendServer(.greet("b\($0)")) }
        let scene = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["affinity = \"1h\""], backends: Reloadable.backends(servers))
        ]) {
            $0.workers = 1
            $0.environment = ["LIMPET_INJECT": "\(try! Injection.point(point)):2"]
        }
        let daemon = scene.daemon
        let engine = try daemon.enginePID
        let sources = (0..<3).map(clientHost)
        var clients: [TCPSocket] = []
        var names: [String] = []
        for source in sources {
            let client = try daemon.connect(from: source)
            names.append(String(try client.receiveLine().prefix { $0 != " " }))
            clients.append(client)
        }
        for client in clients {
            try expectEcho(client)
            client.close()
        }
        _ = try daemon.nextEngine(after: engine)
        try daemon.waitUntilIdle()
        #expect(daemon.logLines(containing: "injected death").count == 1)
        let found = try affinity(daemon)
        #expect(Set(found.clients.map(\.client)) == Set(sources))
        #expect(found.clients.allSatisfy { $0.connections == 0 })
        for (source, name) in zip(sources, names) {
            #expect(found.clients.first { $0.client == source }?.backend == name)
            #expect(try scene.landing(source) == name)
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
