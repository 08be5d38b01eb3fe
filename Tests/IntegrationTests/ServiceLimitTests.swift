import Foundation
import Testing

/// What a service, a client and a backend may have at most.
@Suite(.ownThread, .fence)
struct ServiceLimitTests {
    private static func start(_ servers: [SocketAddress], _ settings: String..., workers: Int = 2) throws -> Reloadable
    {
        try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: settings,
                backends: servers.enumerated().map { .init(name: "b\($0.offset + 1)", address: $0.element) })
        ]) { $0.workers = workers }
    }

    /// The client is served, or reset.
    private func isServed(_ daemon: Daemon, _ source: String, _ kept: inout [TCPSocket]) throws -> Bool {
        let client = try daemon.connect(from: source)
        var greeting: [UInt8] = []
        do {
            greeting = try client.receive(atMost: 1000, within: patience)
        } catch {
            return false
        }
        if greeting.isEmpty { return false }
        kept.append(client)
        return true
    }

    @Test func aServiceIsFullByItself() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try ServiceLimitTests.start([server.address], "max-connections = 3")
        let daemon = reloadable.daemon
        var clients: [TCPSocket] = []
        for number in 0..<3 { #expect(try isServed(daemon, clientHost(number), &clients)) }
        #expect(try !isServed(daemon, clientHost(3), &clients))
        #expect(try !isServed(daemon, clientHost(0), &clients))
        #expect(try daemon.ctl.listeners()[0].refused == 2)
        try eventually("it is logged") {
            daemon.logLines(containing: "a client was reset", "max-connections").count == 1
        }
        // Counted again by an engine that takes over.
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        #expect(try !isServed(daemon, clientHost(4), &clients))
        clients.removeFirst().close()
        try eventually("the place is free") { try daemon.ctl.status().connections == 2 }
        #expect(try isServed(daemon, clientHost(5), &clients))
        #expect(try !isServed(daemon, clientHost(6), &clients))
        clients.removeAll()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func aClientHasOnlySoManyConnections() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try ServiceLimitTests.start([server.address])
        let daemon = reloadable.daemon
        var clients: [TCPSocket] = []
        for _ in 0..<4 { #expect(try isServed(daemon, "127.0.5.1", &clients)) }
        // Those that are there count from the moment at which the limit is there.
        reloadable.services[0].settings = ["max-connections-per-client = 5"]
        try reloadable.reload()
        #expect(try isServed(daemon, "127.0.5.1", &clients))
        #expect(try !isServed(daemon, "127.0.5.1", &clients))
        #expect(try isServed(daemon, "127.0.5.2", &clients))
        try eventually("it is logged") {
            daemon.logLines(containing: "a client was reset", "max-connections-per-client").count == 1
        }
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        #expect(try !isServed(daemon, "127.0.5.1", &clients))
        clients.removeFirst().close()
        try eventually("the place is free") { try daemon.ctl.status().connections == 5 }
        #expect(try isServed(daemon, "127.0.5.1", &clients))
        #expect(try !isServed(daemon, "127.0.5.1", &clients))
        reloadable.services[0].settings = []
        try reloadable.reload()
        #expect(try isServed(daemon, "127.0.5.1", &clients))
        clients.removeAll()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func aClientOpensOnlySoManyInASecond() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try ServiceLimitTests.start([server.address], "accept-rate-per-client = 2")
        let daemon = reloadable.daemon
        var clients: [TCPSocket] = []
        try eventually("a third within a second is reset") {
            try !isServed(daemon, "127.0.5.1", &clients)
        }
        #expect(clients.count >= 2)
        #expect(try isServed(daemon, "127.0.5.2", &clients))
        try eventually("it is logged") { !daemon.logLines(containing: "accept-rate-per-client").isEmpty }
        try eventually("it may come again") { try isServed(daemon, "127.0.5.1", &clients) }
        clients.removeAll()
        try daemon.stop()
    }

    /// Who cannot be dialled at once waits for the backend that is its own, also over a death.
    @Test func theSurplusOfConnectsWaits() throws {
        let (hanging, second) = (try HangingListener(), try BackendServer(.greet("b2")))
        let reloadable = try ServiceLimitTests.start(
            [hanging.address, second.address], "max-connecting = 1", "connect-timeout = \"60s\"", workers: 1)
        let daemon = reloadable.daemon
        let source = try daemon.source(preferring: "b1")
        let clients = try (0..<5).map { _ in try daemon.connect(from: source) }
        let others = try daemon.connect(from: try daemon.source(preferring: "b2"))
        #expect(try others.receiveLine().hasPrefix("b2 "))
        try eventually("all are there") { try daemon.connections(6).count == 6 }
        #expect(try daemon.ctl.backend("b1").connecting == 1)
        #expect(try daemon.ctl.connections("--state", "connecting").map(\.backend) == Array(repeating: "b1", count: 5))
        #expect(second.counts.accepted == 1)
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        clients[4].reset()
        try eventually("one has given up") { try daemon.ctl.status().connections == 5 }
        var served: [TCPSocket] = []
        for _ in 0..<4 { served.append(try hanging.acceptOther()) }
        try eventually("all are open") { try daemon.ctl.connections("--state", "open").count == 5 }
        #expect(try daemon.ctl.backend("b1").connections == 4)
        #expect(second.counts.accepted == 1)
        for socket in served + clients + [others] { socket.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Those that wait when the connect before them fails go the same way, one after the other.
    @Test func whoWaitsForABackendThatIsDeadGoesOn() throws {
        let (hanging, second) = (try HangingListener(), try BackendServer(.greet("b2")))
        let reloadable = try ServiceLimitTests.start(
            [hanging.address, second.address], "max-connecting = 1", "connect-timeout = \"300ms\"", workers: 1)
        let daemon = reloadable.daemon
        let source = try daemon.source(preferring: "b1")
        let clients = try (0..<8).map { _ in try daemon.connect(from: source) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b2 ")) }
        // After three in a row it is down, and nobody waits for it any more.
        #expect((3...4).contains(try daemon.ctl.backend("b1").connectFailures))
        for client in clients { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func noBackendTakesMoreThanItsFactor() throws {
        let servers = try ["b1", "b2", "b3", "b4"].map { try BackendServer(.greet($0)) }
        let reloadable = try ServiceLimitTests.start(servers.map(\.address), "max-load-factor = 1.25")
        let daemon = reloadable.daemon
        let source = try daemon.source(preferring: "b1")
        var clients: [TCPSocket] = []
        for _ in 0..<40 {
            #expect(try isServed(daemon, source, &clients))
            let rows = try daemon.ctl.backends()
            let most = rows.map(\.connections).max() ?? 0
            #expect(Double(most) < Double(clients.count) / 4 * 1.25 + 1)
        }
        let b1 = try daemon.ctl.backend("b1")
        #expect(b1.connections >= 12)
        #expect(try daemon.ctl.backends().map(\.away).reduce(0, +) == 40 - b1.connections)
        clients.removeAll()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
