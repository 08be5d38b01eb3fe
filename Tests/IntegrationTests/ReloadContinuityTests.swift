import Foundation
import Testing

/// A reload that is only looked at, and one that an engine does not live to see the end of.
@Suite(.ownThread, .fence)
struct ReloadContinuityTests {
    private let sixty = (0..<60).map { clientHost($0 * 37) }

    private func greeters(_ count: Int) throws -> [BackendServer] {
        try (1...count).map { try BackendServer(.greet("b\($0)")) }
    }

    /// The numbers of a dry run are those that a reload brings about.
    @Test func aDryRunCountsAndChangesNothing() throws {
        let servers = try greeters(4)
        let daemon = try Reloadable(Array(servers.prefix(3)))
        // Some clients twice: they are one client each.
        let clients = try (sixty.prefix(20) + sixty.prefix(5)).map { try daemon.client(from: $0) }
        let picture = try daemon.picture()
        let before = try sixty.prefix(20).map { try daemon.ctl.locate($0).chosen }
        daemon.services[0].backends = Reloadable.backends(servers)
        daemon.services[0].backends.removeFirst()
        let dry = try daemon.reload(dryRun: true)
        #expect(dry.dryRun && dry.changes.count == 2 && dry.homes.count == 1)
        #expect(try daemon.picture() == picture)
        let text = try daemon.ctl.expect("reload", "--dry-run")
        #expect(text.contains("chat: \(dry.homes[0].moved) of 20 clients that are connected would have another home"))
        #expect(text.hasSuffix("a dry run: nothing has changed\n"))
        let real = try daemon.reload()
        let after = try sixty.prefix(20).map { try daemon.ctl.locate($0).chosen }
        let moved = zip(before, after).count { $0 != $1 }
        #expect(moved > 0 && dry.homes[0].moved == moved && real.homes[0].moved == moved)
        #expect(dry.homes[0].clients == 20)
        // One of three goes and one comes: who had neither before nor has the one that comes stays, 2 of 4.
        #expect(abs(dry.homes[0].share - 0.5) < 1e-9, "\(dry.homes[0].share)")
        #expect(dry.removedConnections == real.removedConnections)
        #expect(try daemon.ctl.connections("--backend", "b1").count == real.removedConnections)
        #expect(try daemon.ctl.status().configHash == real.configHash)
        #expect(dry.configHash == real.configHash)
        for client in clients { try expectEcho(client) }
        try daemon.daemon.stop()
    }

    /// What is active is what counts after a death, and not what the file says by then; removed things stay known.
    @Test func anEngineThatFollowsGoesOnWithWhatWasActive() throws {
        let servers = try greeters(4)
        let daemon = try Reloadable(Array(servers.prefix(3)))
        let source = try daemon.daemon.source(preferring: "b2")
        let removed = try daemon.client(from: source)
        daemon.services[0].backends = [0, 2, 3].map { Reloadable.backends(servers)[$0] }
        daemon.services[0].settings = ["connect-attempts = 5"]
        daemon.services[0].listen.append("127.0.0.2:0")
        daemon.services.append(
            Reloadable.Service(name: "gone", listen: ["127.0.0.3:0"], backends: Reloadable.backends([servers[0]])))
        try daemon.reload()
        let other = try #require(SocketAddress(try daemon.ctl.listeners()[2].address))
        let orphan = try TCPSocket.connect(to: other, from: clientHost(3))
        _ = try orphan.receiveLine()
        daemon.services.removeLast()
        try daemon.reload()
        let picture = try daemon.picture()
        let landings = try daemon.landings(sixty)
        try daemon.write("[[nonsense]")
        for _ in 0..<2 {
            let engine = try daemon.daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("another engine answers") {
                try daemon.ctl.run("ready", "-q").status == 0 && daemon.daemon.enginePID != engine
            }
            #expect(try daemon.picture() == picture)
            try expectEcho(removed)
            try expectEcho(orphan)
            #expect(try daemon.ctl.connections("--backend", "chat/b2").map(\.backend) == ["b2"])
            #expect(try daemon.ctl.connections("--service", "gone").map(\.backend) == ["b1"])
            #expect(try daemon.landings(sixty) == landings)
        }
        // And the slots are where they were.
        daemon.services[0].backends = Reloadable.backends(servers)
        try daemon.reload()
        #expect(try daemon.ctl.backend("b2").connections == 1)
        try expectEcho(removed)
        try daemon.daemon.stop()
    }

    /// Deaths at any moment of many reloads: the configuration is the old one or the new one, whole, and nobody is lost.
    @Test func aDeathLeavesTheOldOrTheNew() throws {
        let servers = try greeters(3)
        let daemon = try Reloadable(Array(servers.prefix(2)), service: ["idle-timeout = \"100s\""])
        let clients = try sixty.prefix(10).map { try daemon.client(from: $0) }
        let ctl = daemon.ctl
        for round in 0..<12 {
            daemon.services[0].backends = Reloadable.backends(Array(servers.prefix(2 + round % 2)))
            daemon.services[0].settings = ["idle-timeout = \"\(101 + round)s\""]
            daemon.services[0].listen = ["127.0.0.1:0"] + (round % 3 == 0 ? ["[::1]:0"] : [])
            try daemon.write()
            let engine = try daemon.daemon.enginePID
            let asked = Background("reload \(round)") { try ctl.run("reload", "--json").status }
            usleep(UInt32(round * 700))
            kill(engine, SIGKILL)
            _ = try asked.value()
            try eventually("another engine answers") {
                try ctl.run("ready", "-q").status == 0 && daemon.daemon.enginePID != engine
            }
            // Whichever it is, what belongs together does.
            let listeners = try ctl.listeners().map { $0.address.hasPrefix("[") }
            let backends = try ctl.backends().filter { $0.state != "removed" }.count
            let config = try ctl.expect("config")
            #expect(config.components(separatedBy: "[[service.backend]]").count - 1 == backends)
            #expect(config.contains("[::1]:0") == listeners.contains(true))
            for client in clients { try expectEcho(client) }
            #expect(try daemon.landing(sixty[round]).hasPrefix("b"))
            // Then it goes through.
            let report = try daemon.ctl.json(ReloadDocument.self, ["reload"])
            #expect(try ctl.status().configHash == report.configHash)
            #expect(try ctl.backends().filter { $0.state != "removed" }.count == 2 + round % 2)
        }
        #expect(try ctl.status().connections == 10)
        try daemon.daemon.stop()
    }

    @Test(arguments: ["BOUND", "PUBLISHED", "SETTLED"])
    func anEngineThatDiesInsideAReloadLeavesAllOfItOrNothing(point: String) throws {
        let servers = try greeters(2)
        let point = try Injection.point("LIMPET_AT_RELOAD_" + point)
        let before = Reloadable.Service(
            listen: ["127.0.0.1:0", "127.0.0.2:0"], backends: Reloadable.backends(Array(servers.prefix(1))))
        let daemon = try Reloadable([before], settings: ["metrics = \"127.0.0.1:0\""]) {
            $0.environment = ["LIMPET_INJECT": "\(point):1"]
        }
        let client = try daemon.client(from: clientHost(1))
        let engine = try daemon.daemon.enginePID
        daemon.services[0].listen[1] = "127.0.0.3:0"
        daemon.services[0].backends = Reloadable.backends(servers)
        daemon.services[0].settings = ["keepalive = \"off\""]
        daemon.settings = ["metrics = \"127.0.0.2:0\""]
        try daemon.write()
        #expect(try daemon.ctl.run("reload").status == 1)
        try eventually("another engine answers") {
            try daemon.ctl.run("ready", "-q").status == 0 && daemon.daemon.enginePID != engine
        }
        let isNew = try Injection.point("LIMPET_AT_RELOAD_BOUND") != point
        #expect(
            try daemon.ctl.listeners().map { String($0.address.prefix(9)) } == [
                "127.0.0.1", isNew ? "127.0.0.3" : "127.0.0.2",
            ])
        #expect(try daemon.ctl.backends().count == (isNew ? 2 : 1))
        let web = try WebClient(daemon.daemon)
        #expect("\(web.address)".hasPrefix(isNew ? "127.0.0.2" : "127.0.0.1"))
        #expect(try web.get("/live").status == 200)
        // A listener that stays has the options of the configuration that counts.
        let next = try daemon.client(from: clientHost(2))
        #expect((KernelSocket.between(try #require(next.peer), next.local)?.timer == 2) != isNew)
        for client in [client, next] { try expectEcho(client) }
        // And what was cut short can be done.
        try daemon.reload()
        let last = try daemon.client(from: clientHost(3))
        #expect(KernelSocket.between(try #require(last.peer), last.local)?.timer != 2)
        try daemon.daemon.stop()
    }
}
