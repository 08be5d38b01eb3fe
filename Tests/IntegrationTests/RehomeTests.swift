import Foundation
import Testing

/// Connections that are closed at a pace: of clients that are away, and of a backend that is down.
@Suite(.ownThread, .fence)
struct RehomeTests {
    private struct Rehomed: Decodable {
        var connections: Int
        var rate: Int
    }

    private func ends(_ clients: [TCPSocket]) -> Int { clients.count { $0.ready(POLLIN) } }

    @Test func whoIsAwayGoesHomeAndNobodyElseIsTouched() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let reloadable = try Reloadable([first, second])
        let daemon = reloadable.daemon
        let (one, two) = (try daemon.source(preferring: "b1"), try daemon.source(preferring: "b2"))
        let home = try (0..<5).map { _ in try reloadable.client(from: one) }
        try daemon.ctl.expect("drain", "b1")
        let away = try (0..<12).map { _ in try reloadable.client(from: one) }
        let others = try (0..<5).map { _ in try reloadable.client(from: two) }
        #expect(try daemon.ctl.backend("b2").away == 12)
        // While their home takes nobody there is nothing to do.
        #expect(try daemon.ctl.json(Rehomed.self, ["rehome"]).connections == 0)
        try daemon.ctl.expect("undrain", "b1")
        // One at once, the next after a second.
        #expect(try daemon.ctl.json(Rehomed.self, ["rehome", "chat", "--rate", "1/s"]).connections == 12)
        #expect(try daemon.ctl.json(Rehomed.self, ["rehome", "--rate", "0/s"]).connections == 0)
        let before = ends(away)
        #expect(before <= 3)
        let report = try daemon.ctl.json(Rehomed.self, ["rehome", "--rate", "200"])
        #expect(report.rate == 200)
        try eventually("all of them are closed") { ends(away) == 12 }
        for client in away { #expect(try client.receiveToEnd() == ([], .fin)) }
        #expect(ends(home + others) == 0)
        for client in home + others { try expectEcho(client) }
        for client in away { client.close() }
        #expect(try reloadable.landing(one) == "b1")
        try eventually("nobody is away") { try daemon.ctl.backend("b2").away == 0 }
        #expect(!daemon.logLines(containing: "rehome", "rate").isEmpty)
        try daemon.stop()
    }

    @Test func anUnknownServiceAndARateThatIsNoneAreRefused() throws {
        let daemon = try Daemon([try BackendServer(.echo).address])
        #expect(try daemon.ctl.run("rehome", "nobody").status == 4)
        for rate in ["fast", "-1/s", "100001/s", "1.5", "5/m", ""] {
            #expect(try daemon.ctl.run("rehome", "--rate=\(rate)").status == 2, "\(rate)")
        }
        try daemon.stop()
    }

    /// Open connections to a port that has stopped to listen: the backend is down by its failed connects, and they are
    /// kept, closed at once, or closed one by one.
    @Test(arguments: ["keep", "close", "shed"]) func whatBecomesOfTheConnectionsOfABackendThatGoesDown(
        _ way: String
    ) throws {
        let (first, second) = (try Listener(), try BackendServer(.greet("b2")))
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["when-down = \"\(way)\"", "passive-fall = 2"],
                backends: [.init(name: "b1", address: first.address), .init(name: "b2", address: second.address)])
        ])
        let daemon = reloadable.daemon
        let (one, two) = (try daemon.source(preferring: "b1"), try daemon.source(preferring: "b2"))
        let clients = try (0..<6).map { _ in try daemon.connect(from: one) }
        let ends = try (0..<6).map { _ in try first.accept() }
        let other = try reloadable.client(from: two)
        first.close()
        try eventually("b1 is down") {
            _ = try reloadable.landing(one)
            return !daemon.logLines(containing: "backend down", "b1").isEmpty
        }
        switch way {
        case "keep":
            #expect(holds(for: .milliseconds(1500)) { self.ends(clients) == 0 })
        case "close":
            try eventually("all are closed") { self.ends(clients) == 6 }
            for client in clients { #expect(try client.receiveToEnd() == ([], .fin)) }
        default:
            // Spread over a minute, or until it is tried again: the first goes at once.
            try eventually("one is closed") { self.ends(clients) >= 1 }
            #expect(self.ends(clients) < 6)
        }
        try expectEcho(other)
        for socket in clients + ends + [other] { socket.close() }
        try daemon.stop()
    }
}
