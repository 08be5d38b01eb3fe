import Foundation
import Testing

/// What time does to a connection, and what is set on its sockets.
@Suite(.ownThread, .fence)
struct TimeoutTests {
    @Test func anIdleConnectionIsClosedAndABusyOneIsNot() throws {
        let lane = try Lane(["--idle-timeout", "1s"])
        let (idle, busy) = (try lane.open(), try lane.open())
        let stop = Background("the busy one talks until the idle one is closed") {
            try eventually("the idle connection is closed") {
                try busy.client.send("x")
                _ = try busy.backend.receive(exactly: 1)
                usleep(50_000)
                return !idle.client.isQuiet && !idle.backend.isQuiet
            }
        }
        try stop.value()
        #expect(try idle.client.receiveToEnd() == ([], .fin))
        #expect(try idle.backend.receiveToEnd() == ([], .fin))
        #expect(busy.client.isQuiet && busy.backend.isQuiet)
        // One direction is enough to be busy, and silence ends that one too.
        #expect(try busy.client.receiveToEnd() == ([], .fin))
        #expect(try busy.backend.receiveToEnd() == ([], .fin))
        for pair in [idle, busy] { pair.close() }
        try lane.finish()
    }

    @Test func anIdleTimeOutIsOffByDefault() throws {
        let lane = try Lane()
        let pair = try lane.open()
        #expect(holds(for: .seconds(2)) { pair.client.isQuiet && pair.backend.isQuiet })
        #expect(try lane.daemon.connections(1)[0].idleSeconds >= 1)
        pair.close()
        try lane.finish()
    }

    @Test(arguments: Way.allCases)
    func aHalfClosedConnectionIsClosedWhenNothingComes(_ way: Way) throws {
        let listener = try Listener()
        let daemon = try Daemon(chat("half-close-timeout = \"1s\"", listener))
        let client = try daemon.connect()
        let pair = Pair(client: client, backend: try listener.accept())
        let open = Pair(client: try daemon.connect(), backend: try listener.accept())
        let (first, second) = pair.ends(way)
        try first.finish()
        #expect(try second.receiveToEnd() == ([], .fin))
        // A byte now and then keeps it, for longer than the time-out.
        for _ in 0..<8 {
            try second.send("y")
            #expect(try first.receive(exactly: 1) == [UInt8(ascii: "y")])
            usleep(200_000)
        }
        #expect(try first.receiveToEnd() == ([], .fin))
        // Only the half-closed one: the other is merely quiet.
        #expect(open.client.isQuiet && open.backend.isQuiet)
        for pair in [pair, open] { pair.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// What limpet.toml(5) says of it: a reader that is there and does not read is given up as well.
    @Test(arguments: Way.allCases)
    func userTimeoutEndsAReaderWhoseWindowStaysClosed(_ way: Way) throws {
        let listener = try Listener(receiveBuffer: way == .upstream ? 8_192 : nil)
        var setup = chat("user-timeout = \"2s\"", listener)
        setup.arguments += ["--access-log", "end"]
        let daemon = try Daemon(setup)
        let client = try TCPSocket.connect(to: daemon.address, receiveBuffer: way == .downstream ? 8_192 : nil)
        let pair = Pair(client: client, backend: try listener.accept())
        let (sender, receiver) = pair.ends(way)
        let block = [UInt8](repeating: 1, count: 1 << 18)
        _ = try block.withUnsafeBytes { try sender.trySend($0) }
        try eventually("the daemon gives the reader up") { try daemon.ctl.status().connections == 0 }
        #expect(try sender.receiveToEnd().end == .reset)
        #expect(try receiver.receiveToEnd().bytes.allSatisfy { $0 == 1 })
        pair.close()
        try daemon.stop()
        let side = way == .upstream ? "backend" : "client"
        #expect(daemon.logLines(containing: "connection ended", "end=\(side)-timeout by=\(side)").count == 1)
    }

    /// A connection may be quiet for as long as it likes before one side finishes: the time-out runs from the FIN.
    @Test(arguments: Way.allCases)
    func theHalfCloseTimeOutRunsFromTheFIN(_ way: Way) throws {
        let listener = try Listener()
        let daemon = try Daemon(chat("half-close-timeout = \"4s\"", listener))
        let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
        let (first, second) = pair.ends(way)
        try eventually("it has been quiet for longer than the time-out") {
            try daemon.connections(1)[0].idleSeconds > 4.5
        }
        try first.finish()
        #expect(try second.receiveToEnd() == ([], .fin))
        #expect(holds(for: .milliseconds(300)) { first.isQuiet })
        try second.send("a late answer")
        #expect(try first.receiveText(13) == "a late answer")
        pair.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func keepaliveRunsOnBothSides() throws {
        let lane = try Lane()
        let pair = try lane.open()
        let row = try lane.daemon.connections(1)[0]
        let clientSide = (try #require(SocketAddress(row.clientLocal ?? "-")), pair.client.local)
        let backendSide = (try #require(SocketAddress(row.backendLocal ?? "")), pair.backend.local)
        for (local, peer) in [clientSide, backendSide] {
            // The backend's side has it once the connection has lasted for a second.
            try eventually("a keepalive timer on \(local)") { KernelSocket.between(local, peer)?.timer == 2 }
            let socket = try #require(KernelSocket.between(local, peer))
            #expect(socket.fires > .zero && socket.fires <= .seconds(61))
        }
        pair.close()
        try lane.finish()
    }

    /// The options as the kernel has them, by default.
    @Test(.enabled(if: isRoot)) func socketOptionsByDefault() throws {
        let lane = try Lane()
        let pair = try lane.open()
        try forBothSides(of: lane.daemon, pair) { socket in
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_NODELAY) == 1)
            try lasts(socket)
            #expect(socket.option(SOL_SOCKET, SO_KEEPALIVE) == 1)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_KEEPIDLE) == 60)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_KEEPINTVL) == 10)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_KEEPCNT) == 6)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) == 300_000)
            #expect(socket.option(SOL_SOCKET, SO_OOBINLINE) == 1)
        }
        pair.close()
        try lane.finish()
    }

    @Test(.enabled(if: isRoot)) func socketOptionsAsConfigured() throws {
        let listener = try Listener()
        let settings = """
            user-timeout = "7s"
            receive-buffer = 50000
            send-buffer = 40000
            keepalive = { idle = "11s", interval = "3s", count = 4 }
            """
        let daemon = try Daemon(chat(settings, listener))
        let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
        try forBothSides(of: daemon, pair) { socket in
            try lasts(socket)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_KEEPIDLE) == 11)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_KEEPINTVL) == 3)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_KEEPCNT) == 4)
            #expect(socket.option(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) == 7_000)
            // The kernel doubles what it is told, see socket(7).
            #expect(socket.option(SOL_SOCKET, SO_RCVBUF) == 100_000)
            #expect(socket.option(SOL_SOCKET, SO_SNDBUF) == 80_000)
        }
        pair.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// One service with these settings in front of a backend that the test plays.
    private func chat(_ settings: String, _ listener: Listener) -> Daemon.Setup {
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:0"]
            health = "off"
            \(settings)

            [[service.backend]]
            name = "b1"
            address = "\(listener.address)"
            """
        return setup
    }

    /// The backend's side has all its options once the connection has lasted for a second.
    private func lasts(_ socket: TCPSocket) throws {
        try eventually("the connection is one that lasts") {
            socket.option(Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) != 0
        }
    }

    private func forBothSides(of daemon: Daemon, _ pair: Pair, _ body: (TCPSocket) throws -> Void) throws {
        let row = try daemon.connections(1)[0]
        let ends = [(row.clientLocal, pair.client.local), (row.backendLocal, pair.backend.local)]
        for (local, peer) in ends {
            let local = try #require(SocketAddress(local ?? "-"))
            try ForeignSockets.withSocket(of: daemon.pid, between: local, and: peer, body)
        }
    }
}
