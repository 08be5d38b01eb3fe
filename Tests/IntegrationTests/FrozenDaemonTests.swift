import Foundation
import Testing

/// Events that come together: the daemon is stopped with SIGSTOP while its peers do things, and finds all of it at once
/// when it goes on. What is a race elsewhere happens every time here.
@Suite(.ownThread, .fence)
struct FrozenDaemonTests {
    /// Bytes and the reset behind them are there at the same time.
    @Test(arguments: Way.allCases, [1, 3_000, 120_000])
    func bytesAndAReset(_ way: Way, _ size: Int) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 80)
        try lane.daemon.frozen {
            try sender.send(pattern, count: size)
            try waitUntilReceived(sender)
            sender.reset()
        }
        let (bytes, end) = try receiver.receiveToEnd()
        #expect(end == .reset)
        #expect(bytes.withUnsafeBytes { pattern.firstDifference($0, at: 0) } == nil)
        #expect(bytes.count == size)
        try lane.finish()
    }

    @Test(arguments: Way.allCases)
    func bytesAFinAndAReset(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (sender, receiver) = pair.ends(way)
        try lane.daemon.frozen {
            try sender.send("last words")
            try sender.finish()
            try waitUntilReceived(sender)
            sender.reset()
        }
        #expect(try receiver.receive(exactly: 10) == Array("last words".utf8))
        try eventually("the reset arrives") { receiver.ready(POLLERR) }
        try lane.finish()
    }

    @Test func bothSidesReset() throws {
        let lane = try Lane()
        let pairs = try (0..<10).map { _ in try lane.open() }
        try lane.daemon.frozen {
            for pair in pairs {
                try pair.client.send("x")
                try pair.backend.send("y")
                pair.client.reset()
                pair.backend.reset()
            }
        }
        try lane.finish()
    }

    /// One side has finished, the other resets before the FIN has been passed on.
    @Test(arguments: Way.allCases)
    func aFinMeetsAReset(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        try lane.daemon.frozen {
            try first.send("question")
            try first.finish()
            second.reset()
        }
        #expect(try first.receiveToEnd() == ([], .reset))
        try lane.finish()
    }

    @Test func bothSidesFinishWithBytesOnTheirWay() throws {
        let lane = try Lane()
        let pairs = try (0..<10).map { _ in try lane.open() }
        try lane.daemon.frozen {
            for pair in pairs {
                try pair.client.send(Pattern(seed: 81), count: 50_000)
                try pair.backend.send(Pattern(seed: 82), count: 50_000)
                try pair.client.finish()
                try pair.backend.finish()
            }
        }
        for pair in pairs {
            #expect(try pair.backend.receive(Pattern(seed: 81)) == 50_000)
            #expect(try pair.client.receive(Pattern(seed: 82)) == 50_000)
        }
        try lane.finish()
    }

    /// Clients that have come, talked and gone before anyone looked.
    @Test func clientsThatAreGoneBeforeTheyAreAccepted() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        try daemon.frozen {
            for number in 0..<60 {
                let client = try daemon.connect()
                if number % 3 > 0 { try client.send("hello") }
                if number % 2 == 0 { client.reset() } else { client.close() }
            }
        }
        try eventually("all are accepted") { try daemon.ctl.listeners()[0].accepted == 60 }
        try daemon.waitUntilIdle()
        let row = try daemon.ctl.backend("b1")
        #expect(row.connections == 0 && row.connecting == 0 && row.connectFailures == 0, "\(row)")
        // And those that come now are served.
        let client = try daemon.connect()
        try client.send("ok")
        #expect(try client.receiveText(2) == "ok")
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A backend takes the connection and resets it before the daemon knows that it has one. That is the backend's answer: it goes
    /// to the client with what the backend had said, and not to another backend.
    @Test(arguments: ["", "too busy"])
    func aBackendResetsBeforeTheConnectHasBeenNoticed(_ text: String) throws {
        let (first, second) = (try HangingListener(), try Listener())
        let daemon = try Daemon([first.address, second.address], "--connect-timeout", "60s")
        let client = try daemon.connect(from: daemon.source(preferring: "b1"))
        try eventually("it is being connected") { try daemon.ctl.backend("b1").connecting == 1 }
        try daemon.frozen {
            // The next SYN gets in, without the daemon's doing.
            let backend = try first.acceptOther()
            try backend.send(text)
            try waitUntilReceived(backend)
            backend.reset()
        }
        #expect(try client.receiveToEnd() == (Array(text.utf8), .reset))
        #expect(!second.hasWaiting)
        try daemon.waitUntilIdle()
        let row = try daemon.ctl.backend("b1")
        #expect(row.connectFailures == 0 && row.fallbacks == 0 && row.total == 1, "\(row)")
        try daemon.stop()
    }

    /// Clients that the kernel has taken in and the daemon has not, when it is told to end: they are connections like any
    /// other, and the drain waits for them.
    @Test func whoWaitsAtAStopIsServed() throws {
        let lane = try Lane(["--shutdown-drain", "60s"])
        let clients = try lane.daemon.frozen {
            let clients = try (0..<8).map { _ in try TCPSocket.connect(to: lane.daemon.address) }
            lane.daemon.process.signal(SIGTERM)
            return clients
        }
        for client in clients { try client.send("hello") }
        for _ in clients {
            let backend = try lane.listener.accept()
            #expect(try backend.receiveText(5) == "hello")
            backend.close()
        }
        for client in clients {
            #expect(try client.receiveToEnd() == ([], .fin))
            client.close()
        }
        try lane.daemon.ended()
    }

    /// A side that answers the FIN of a close by order with a reset: the other hears of it.
    @Test func aResetDuringAnOrderlyCloseEndsIt() throws {
        let lane = try Lane()
        let pair = try lane.open()
        try lane.daemon.ctl.expect("close", try lane.daemon.connections(1)[0].id)
        #expect(try pair.client.receiveToEnd() == ([], .fin))
        pair.client.reset()
        try eventually("the reset arrives") { pair.backend.ready(POLLERR) }
        try lane.finish()
    }
}

extension Daemon {
    /// Stops keeper and engine, runs `body`, and lets them go on.
    func frozen<R>(_ body: () throws -> R) throws -> R {
        process.signalGroup(SIGSTOP)
        defer { process.signalGroup(SIGCONT) }
        try eventually("limpetd is stopped") { process.group.allSatisfy(\.isStopped) }
        return try body()
    }
}

/// Waits until the daemon's kernel has everything that one end of a connection has sent, whether it is read or not.
private func waitUntilReceived(_ sender: TCPSocket) throws {
    let (local, peer) = (sender.local, try sender.peer ?? SocketFailure.thrown("getpeername", ENOTCONN))
    try eventually("everything is acknowledged") { KernelSocket.between(local, peer)?.unsent == 0 }
}
