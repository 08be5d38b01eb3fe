import Foundation
import Testing

/// Backends that are Unix sockets.
@Suite(.ownThread, .fence)
struct UnixBackendTests {
    /// A directory that goes with the test.
    private final class Place: Sendable {
        let path: String
        init() throws { path = try temporaryDirectory() }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        func socket(_ name: String = "app") -> String { "unix:\(path)/\(name).sock" }
    }

    /// Words and streams go both ways, and the table says where to.
    @Test(arguments: [false, true]) func carriesBothWays(isAbstract: Bool) throws {
        let place = try Place()
        let lane = try Lane(host: isAbstract ? "unix:@limpet-\(getpid())-\(place.path)" : place.socket())
        let pair = try lane.open()
        try pair.client.send("question")
        #expect(try pair.backend.receiveText(8) == "question")
        try pair.backend.send("answer")
        #expect(try pair.client.receiveText(6) == "answer")
        let row = try lane.daemon.connections(1)[0]
        #expect(row.backendAddress == lane.listener.address.description && row.backendLocal == nil)
        #expect(row.bytesIn == 8 && row.bytesOut == 6 && row.state == "open")
        #expect(try lane.daemon.ctl.backend("b1").address == lane.listener.address.description)
        let pattern = Pattern(seed: 201)
        for way in Way.allCases {
            let (sender, receiver) = pair.ends(way)
            let work = Background("bulk is sent") { try sender.send(pattern, count: 12_000_000) }
            #expect(try receiver.receive(pattern, upTo: 12_000_000) == 12_000_000)
            try work.value()
        }
        lane.daemon.expectSleeping()
        #expect(try lane.daemon.connections(1)[0].bytesOut == 12_000_006)
        pair.close()
        try lane.finish()
    }

    /// Each side ends its own direction; the other goes on.
    @Test(arguments: Way.allCases) func halfCloses(_ way: Way) throws {
        let place = try Place()
        let lane = try Lane(host: place.socket())
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        try first.send("the last word")
        try first.finish()
        #expect(try second.receiveToEnd() == (Array("the last word".utf8), .fin))
        #expect(try lane.daemon.connections(1)[0].state == "half_closed")
        let pattern = Pattern(seed: 202)
        let work = Background("the rest is sent") {
            try second.send(pattern, count: 3_000_000)
            try second.finish()
        }
        #expect(try first.receive(pattern) == 3_000_000)
        try work.value()
        lane.daemon.expectSleeping()
        pair.close()
        try lane.finish()
    }

    /// The backend closes and its client does not: nothing spins, and what the client says then is answered by a reset.
    @Test func aBackendThatCloses() throws {
        let place = try Place()
        let lane = try Lane(host: place.socket())
        let pair = try lane.open()
        try pair.backend.send("bye")
        pair.backend.close()
        #expect(try pair.client.receiveToEnd() == (Array("bye".utf8), .fin))
        lane.daemon.expectSleeping()
        try pair.client.send("are you there?")
        try lane.daemon.waitUntilIdle()
        #expect(throws: SocketFailure.self) { try pair.client.send("x") }
        pair.close()
        try lane.finish()
    }

    /// A Unix socket that is closed with something unread resets; what it had said arrives before that.
    @Test func aBackendThatClosesWithSomethingUnread() throws {
        let place = try Place()
        let lane = try Lane(host: place.socket())
        let pair = try lane.open()
        try pair.client.send("unread")
        try eventually("it has come") { pair.backend.ready(POLLIN) }
        try pair.backend.send("bye")
        pair.backend.close()
        #expect(try pair.client.receiveToEnd() == (Array("bye".utf8), .reset))
        pair.close()
        try lane.finish()
    }

    /// A client's reset ends the connection to the backend, after what the client had said.
    @Test func aClientThatResets() throws {
        let place = try Place()
        let lane = try Lane(host: place.socket())
        let pair = try lane.open()
        try pair.client.send("heard")
        #expect(try pair.backend.receiveText(5) == "heard")
        pair.client.reset()
        #expect(try pair.backend.receiveToEnd() == ([], .fin))
        pair.close()
        try lane.finish()
    }

    @Test func urgentBytesTravelInLine() throws {
        let place = try Place()
        let lane = try Lane(host: place.socket())
        let pair = try lane.open()
        try pair.client.send("before ")
        try pair.client.sendUrgent(UInt8(ascii: "!"))
        try pair.client.send(" after")
        #expect(try pair.backend.receiveText(14) == "before ! after")
        let pattern = Pattern(seed: 203)
        let (stretch, stretches) = (700_003, 10)
        let (client, backend) = (pair.client, pair.backend)
        let work = Background("bulk with urgent bytes is sent") {
            for number in 0..<stretches {
                try client.send(pattern, count: stretch - 1, from: number * stretch)
                try client.sendUrgent(pattern.bytes(1, at: number * stretch + stretch - 1)[0])
            }
        }
        #expect(try backend.receive(pattern, upTo: stretch * stretches) == stretch * stretches)
        try work.value()
        lane.daemon.expectSleeping()
        try pair.client.finish()
        #expect(try pair.backend.receiveToEnd() == ([], .fin))
        pair.close()
        try lane.finish()
    }

    /// Whoever reads nothing holds the other side up, and nothing else.
    @Test(arguments: Way.allCases) func aReaderThatStops(_ way: Way) throws {
        let place = try Place()
        let lane = try Lane(host: place.socket())
        let pair = try lane.open()
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 204)
        var sent = 0
        while try becomes(within: .milliseconds(300), { sender.ready(POLLOUT) }) {
            sent += try pattern.bytes(1 << 18, at: sent).withUnsafeBytes { try sender.trySend($0) }
        }
        lane.daemon.expectSleeping()
        let table = try lane.daemon.ctl.expect("connections", "--wide")
        #expect(table.contains("unix:"))
        try sender.finish()
        #expect(try receiver.receive(pattern) == sent)
        pair.close()
        try lane.finish()
    }

    // MARK: Connecting

    /// No file, and a file behind which nobody is: the next backend has the client.
    @Test func whatCannotBeConnectedToIsPassedOver() throws {
        let place = try Place()
        let gone = try Listener(place.socket("gone"))
        gone.close()
        let good = try Listener(place.socket("good"))
        var setup = Daemon.Setup()
        setup.backends = [
            Daemon.Backend(name: "b1", address: SocketAddress(place.socket("never"))!),
            Daemon.Backend(name: "b2", address: gone.address), Daemon.Backend(name: "b3", address: good.address),
        ]
        let daemon = try Daemon(setup)
        for backend in ["b1", "b2"] {
            let client = try daemon.connect(from: try daemon.source { $0.first == backend && $0.last == "b3" })
            let served = try good.accept()
            try client.send("x")
            #expect(try served.receiveText(1) == "x")
            client.close()
            served.close()
        }
        try eventually("it is told of") { daemon.logLines(containing: "ENOENT", "never.sock").count == 1 }
        #expect(daemon.logLines(containing: "ECONNREFUSED", "gone.sock").count == 1)
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b1").connectFailures > 0)
        try daemon.stop()
    }

    /// The backend's queue is full: its clients wait for room as they would with TCP, without a spin, and get in.
    @Test func aFullQueueIsWaitedFor() throws {
        let place = try Place()
        let full = try Listener(place.socket(), backlog: 0)
        let filler = try TCPSocket.connect(to: full.address)
        let daemon = try Daemon([full.address], "--connect-timeout", "20s")
        let clients = try (0..<8).map { _ in try daemon.connect() }
        for client in clients { try client.send("hello") }
        #expect(try daemon.connections(8).allSatisfy { $0.state == "connecting" })
        daemon.expectSleeping()
        // An engine that dies meanwhile leaves them waiting.
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        try full.accept().close()
        var served: [TCPSocket] = []
        for _ in clients {
            served.append(try full.accept())
            #expect(try served.last?.receiveText(5) == "hello")
        }
        for end in clients + served + [filler] { end.close() }
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b1").connectFailures == 0)
        try daemon.stop()
    }

    /// The time for a connect is over before there is room.
    @Test func aFullQueueIsNotWaitedForForEver() throws {
        let place = try Place()
        let full = try Listener(place.socket("full"), backlog: 0)
        let filler = try TCPSocket.connect(to: full.address)
        let second = try Listener(place.socket("second"))
        let daemon = try Daemon([full.address, second.address], "--connect-timeout", "300ms")
        let client = try daemon.connect(from: try daemon.source(preferring: "b1"))
        let served = try second.accept()
        try client.send("x")
        #expect(try served.receiveText(1) == "x")
        #expect(try daemon.ctl.backend("b1").connectFailures == 1)
        for end in [client, served, filler] { end.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test(.enabled(if: isRoot)) func oneThatMayNotBeOpenedIsNoFaultOfTheBackend() throws {
        let place = try Place()
        chmod(place.path, 0o755)
        let closed = try Listener(place.socket())
        chmod("\(place.path)/app.sock", 0o600)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: closed.address)]
        setup.user = "nobody"
        let daemon = try Daemon(setup)
        let client = try daemon.connect()
        #expect(throws: SocketFailure.self) { try client.receive() }
        try eventually("it is told of") {
            daemon.logLines(containing: "EACCES", "needs the right to write to that socket").count == 1
        }
        #expect(try daemon.ctl.backend("b1").state == "up")
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    // MARK: Checks and headers

    /// A path of 107 bytes, checked with a request of HTTP; then by a connect.
    @Test(arguments: ["tcp", "http:/up"]) func isChecked(_ check: String) throws {
        let place = try Place()
        let name = String(repeating: "x", count: 107 - place.path.utf8.count - 6)
        var server: PlayedServer? = try PlayedServer(on: place.socket(name)) { socket in
            if check != "tcp" {
                let request = try socket.receiveLine()
                #expect(request.hasPrefix("GET /up HTTP/1.1"))
            }
            _ = try? socket.send("HTTP/1.1 204 No Content\r\n\r\n")
        }
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: try #require(server?.address))]
        setup.health = check
        setup.arguments = ["--health-interval", "100ms"]
        let daemon = try Daemon(setup)
        try eventually("it is up") { try daemon.ctl.backend("b1").state == "up" }
        server = nil
        try eventually("it is down") { try daemon.ctl.backend("b1").state == "down" }
        try daemon.stop()
    }

    /// The header comes before all that the client says.
    @Test(arguments: ["v1", "v2"]) func getsTheHeader(_ version: String) throws {
        let place = try Place()
        let lane = try Lane(["--send-proxy", version], host: place.socket())
        let pair = try lane.open()
        try pair.client.send("hello")
        let length =
            version == "v2"
            ? 28 : "PROXY TCP4 127.0.0.1 127.0.0.1 \(pair.client.local.port) \(lane.daemon.address.port)\r\n".utf8.count
        let header = try pair.backend.receive(exactly: length)
        #expect(header.prefix(6) == (version == "v1" ? Array("PROXY ".utf8)[...] : [13, 10, 13, 10, 0, 13]))
        #expect(try pair.backend.receiveText(5) == "hello")
        #expect(try lane.daemon.connections(1)[0].bytesIn == 5)
        pair.close()
        try lane.finish()
    }

    // MARK: Changes

    /// A connection says where it is, wherever the backend has gone since.
    @Test func aBackendThatMoves() throws {
        let place = try Place()
        let servers = [try Listener(place.socket("one")), try Listener(place.socket("two")), try Listener()]
        let daemon = try Reloadable([
            .init(listen: ["127.0.0.1:0"], backends: [.init(name: "b1", address: servers[0].address)])
        ])
        var clients: [TCPSocket] = []
        for server in servers {
            daemon.services[0].backends[0].address = server.address
            if clients.count > 0 { try daemon.reload() }
            clients.append(try daemon.daemon.connect())
            let served = try server.accept()
            try served.send("x")
            #expect(try clients.last?.receiveText(1) == "x")
            clients.append(served)
        }
        let engine = try daemon.daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.daemon.nextEngine(after: engine)
        let rows = try daemon.daemon.connections(3)
        #expect(Set(rows.map(\.backendAddress)) == Set(servers.map(\.address.description)))
        for client in clients { client.close() }
        try daemon.daemon.waitUntilIdle()
        try daemon.daemon.stop()
    }
}
