import Foundation
import Testing

/// Connecting to backends, in the order of the client, while the client already talks.
@Suite(.ownThread, .fence)
struct DiallingTests {
    @Test func aRefusedConnectGoesToTheNextChoiceWithAllThatTheClientHasSent() throws {
        let (refusing, second) = (try Listener.refusing(), try Listener())
        let daemon = try Daemon([refusing.address, second.address])
        let source = try daemon.source(preferring: "b1")
        let bytes = Pattern(seed: 30).bytes(50_000)
        let client = try daemon.connect(from: source)
        try client.send(bytes)
        let backend = try second.accept()
        #expect(try backend.receive(exactly: bytes.count) == bytes)
        let rows = try daemon.connections(1)
        #expect(rows[0].home == "b1")
        #expect(rows[0].backend == "b2")
        #expect(rows[0].client.hasPrefix("\(source):"))
        let (first, next) = (try daemon.ctl.backend("b1"), try daemon.ctl.backend("b2"))
        #expect(first.connectFailures == 1)
        #expect(first.fallbacks == 1)
        #expect(first.connections == 0 && first.connecting == 0 && first.total == 0)
        #expect(next.connections == 1 && next.away == 1 && next.total == 1)
        #expect(next.connectFailures == 0 && next.fallbacks == 0)
        #expect(daemon.logLines(containing: "b1", "refused").count == 1)
        // Away is where it is, not where it will be: a connection made once b1 listens goes home.
        try refusing.startListening()
        let again = try daemon.connect(from: source)
        let atHome = try refusing.accept()
        for socket in [client, backend, again, atHome] { socket.close() }
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b2").away == 0)
        try daemon.stop()
    }

    @Test func aConnectThatHangsGoesToTheNextChoiceAfterItsTimeOut() throws {
        let (hanging, second) = (try HangingListener(), try Listener())
        let daemon = try Daemon([hanging.address, second.address], "--connect-timeout", "400ms")
        let client = try daemon.connect(from: try daemon.source(preferring: "b1"))
        try client.send("still ")
        try eventually("it is being connected") { try daemon.ctl.backend("b1").connecting == 1 }
        try client.send("here")
        let backend = try second.accept()
        #expect(try backend.receiveText(10) == "still here")
        let first = try daemon.ctl.backend("b1")
        #expect(first.connectFailures == 1 && first.fallbacks == 1 && first.connecting == 0)
        #expect(daemon.logLines(containing: "b1", "timed out").count == 1)
        client.close()
        backend.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A client that sends and finishes at once has a right to an answer, from whichever backend.
    @Test func aClientMayFinishWhileItsConnectionIsBeingDialled() throws {
        let (hanging, second) = (try HangingListener(), try Listener())
        let daemon = try Daemon([hanging.address, second.address], "--connect-timeout", "400ms")
        let client = try daemon.connect(from: try daemon.source(preferring: "b1"))
        try client.send("question")
        try client.finish()
        let backend = try second.accept()
        #expect(try backend.receiveToEnd() == (Array("question".utf8), .fin))
        try backend.send("answer")
        backend.close()
        #expect(try client.receiveToEnd() == (Array("answer".utf8), .fin))
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func whenAllRefuseTheClientIsReset() throws {
        let refusing = try (0..<3).map { _ in try Listener.refusing() }
        let daemon = try Daemon(refusing.map(\.address))
        for number in 0..<20 {
            let client = try daemon.connect(from: clientHost(number))
            try? client.send("anyone?")
            #expect(try client.receiveToEnd() == ([], .reset))
        }
        try daemon.waitUntilIdle()
        let rows = try daemon.ctl.backends()
        #expect(rows.map(\.connectFailures) == [20, 20, 20])
        // Two of three attempts led on to another backend.
        #expect(rows.map(\.fallbacks).reduce(0, +) == 40)
        #expect(try daemon.ctl.listeners()[0].refused == 20)
        try daemon.stop()
    }

    @Test func onlySoManyBackendsAreTried() throws {
        let refusing = try (0..<2).map { _ in try Listener.refusing() }
        let third = try Listener()
        let daemon = try Daemon(refusing.map(\.address) + [third.address], "--connect-attempts", "2")
        // Someone whose last choice is the one that would take it.
        let source = try daemon.source { $0.last == "b3" }
        let client = try daemon.connect(from: source)
        #expect(try client.receiveToEnd() == ([], .reset))
        try daemon.waitUntilIdle()
        #expect(!third.hasWaiting)
        try daemon.stop()
    }

    @Test func aClientThatResetsEndsTheDialling() throws {
        let (hanging, second) = (try HangingListener(), try Listener())
        let daemon = try Daemon([hanging.address, second.address], "--connect-timeout", "60s")
        let client = try daemon.connect(from: try daemon.source(preferring: "b1"))
        try client.send("never mind")
        try eventually("it is being connected") { try daemon.ctl.backend("b1").connecting == 1 }
        client.reset()
        try daemon.waitUntilIdle()
        let first = try daemon.ctl.backend("b1")
        #expect(first.connecting == 0 && first.connections == 0)
        #expect(first.connectFailures == 0, "a client's reset is no failure of the backend's")
        #expect(!second.hasWaiting)
        try daemon.stop()
    }

    @Test func aConnectionThatIsBeingDialledIsInTheTable() throws {
        let hanging = try HangingListener()
        let daemon = try Daemon([hanging.address], "--connect-timeout", "60s")
        let client = try daemon.connect()
        let row = try daemon.connections(1)[0]
        #expect(row.state == "connecting")
        #expect(row.client == client.local.description)
        #expect(row.backend == "b1")
        #expect(row.backendAddress == hanging.address.description)
        #expect(try daemon.connections(1)[0].id == row.id)
        #expect(try daemon.ctl.connections("--state", "connecting").count == 1)
        #expect(try daemon.ctl.connections("--state", "open").isEmpty)
        try daemon.ctl.expect("close", row.id)
        _ = try client.receiveToEnd()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A storm of failures is one line at once, and one with the count when ten seconds are over.
    @Test func failuresAreLoggedOnceAndThenCounted() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.closeAtOnce))
        var setup = Daemon.Setup()
        setup.file =
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["passive-fall = \"off\""],
                backends: [.init(name: "b1", address: refusing.address), .init(name: "b2", address: second.address)]
            ).text
        let daemon = try Daemon(setup)
        let source = try daemon.source(preferring: "b1")
        let storm = {
            for _ in 0..<40 { _ = try daemon.connect(from: source).receiveToEnd() }
        }
        try storm()
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b1").connectFailures == 40)
        let lines = daemon.logLines(containing: "b1", "refused")
        #expect((1...2).contains(lines.count), "\(lines)")
        #expect(lines.first?.contains("again") == false)
        try eventually("the count of the failures that followed is logged") {
            daemon.logLines(containing: "b1", "refused").last?.contains("again=39") == true
        }
        try daemon.stop()
    }

    /// When this machine runs out of ports, that is not the backend's fault.
    @Test(.enabled(if: isRoot)) func aLackOfLocalPortsIsToldApart() throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let backend = try BackendServer(.echo)
            let daemon = try Daemon([backend.address])
            // The clients use 127.0.0.2 and ports outside; the daemon has two ports towards its backend.
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "50000 50001")
            var clients: [TCPSocket] = []
            for port in UInt16(20_000)..<20_002 {
                let client = try TCPSocket(for: daemon.address, source: SocketAddress("127.0.0.2", port))
                try client.startConnecting(to: daemon.address)
                try client.finishConnecting()
                try client.send("x")
                #expect(try client.receiveText(1) == "x")
                clients.append(client)
            }
            let third = try TCPSocket(for: daemon.address, source: SocketAddress("127.0.0.2", 20_002))
            try third.startConnecting(to: daemon.address)
            try third.finishConnecting()
            #expect(try third.receiveToEnd() == ([], .reset))
            let row = try daemon.ctl.backend("b1")
            #expect(row.connections == 2)
            #expect(row.connectFailures == 0, "a lack of ports counted against the backend")
            try eventually("the cure is logged") { !daemon.logLines(containing: "ip_local_port_range").isEmpty }
            for each in clients { each.close() }
            try daemon.waitUntilIdle()
            try daemon.stop()
        }.value()
    }

    /// Where the kernel gives a connect the very port that it goes to, and nobody listens there, the socket gets connected
    /// to itself and echoes.
    @Test(.enabled(if: isRoot)) func aSocketConnectedToItselfIsNoBackend() throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let daemon = try Daemon([SocketAddress("127.0.0.1", 50_000)])
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "50000 50000")
            let client = try TCPSocket(for: daemon.address, source: SocketAddress("127.0.0.2", 20_000))
            try client.startConnecting(to: daemon.address)
            try client.finishConnecting()
            try? client.send("anyone?")
            #expect(try client.receiveToEnd() == ([], .reset))
            try daemon.waitUntilIdle()
            let row = try daemon.ctl.backend("b1")
            #expect(row.total == 0 && row.connectFailures == 1 && row.connecting == 0)
            #expect(daemon.logLines(containing: "b1", "refused").count == 1)
            try daemon.stop()
        }.value()
    }
}
