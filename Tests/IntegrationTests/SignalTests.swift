import Foundation
import Testing

/// The orderly end.
@Suite(.ownThread, .fence)
struct SignalTests {
    @Test(arguments: [SIGTERM, SIGINT])
    func endsWithoutConnections(_ signal: Int32) throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        try daemon.stop(signal)
        #expect(throws: SocketFailure.self) { try daemon.connect() }
    }

    /// Whatever SIGHUP will mean, it does not end the daemon, and neither do signals that users send by mistake.
    @Test(arguments: [SIGHUP, SIGPIPE, SIGWINCH])
    func otherSignalsDoNotEndIt(_ signal: Int32) throws {
        let lane = try Lane()
        let pair = try lane.open()
        lane.daemon.process.signal(signal)
        #expect(holds(for: .milliseconds(300)) { lane.daemon.process.poll() == nil })
        try pair.client.send("still here")
        #expect(try pair.backend.receiveText(10) == "still here")
        pair.close()
        try lane.finish()
    }

    @Test func closesConnectionsWithFINAndExitsWithZero() throws {
        let lane = try Lane()
        let pairs = try (0..<20).map { _ in try lane.open() }
        for pair in pairs {
            try pair.client.send("hello")
            _ = try pair.backend.receiveText(5)
        }
        lane.daemon.process.signal(SIGTERM)
        for pair in pairs {
            #expect(try pair.client.receiveToEnd() == ([], .fin))
            #expect(try pair.backend.receiveToEnd() == ([], .fin))
            pair.close()
        }
        try lane.daemon.ended()
    }

    /// A peer that does not answer the FIN does not hold the end up.
    @Test func endsAlthoughNobodyClosesInTurn() throws {
        let lane = try Lane()
        let pair = try lane.open()
        try lane.daemon.stop()
        pair.close()
    }

    /// What a backend had sent before the end is still delivered.
    @Test func whatWasOnItsWayArrives() throws {
        // Little room in the daemon's socket, so that a good part waits in a pipe.
        let lane = try Lane(settings: "send-buffer = 10000")
        let pair = try lane.open(receiveBuffer: 4_096)
        let pattern = Pattern(seed: 40)
        try pair.backend.send(pattern, count: 60_000)
        try lane.waitUntilRead(pair.backend)
        let (client, peer) = (pair.client.local, lane.daemon.address)
        let unread = try #require(KernelSocket.between(client, peer)).unread
        let unsent = try #require(KernelSocket.between(peer, client)).unsent
        #expect(unread + unsent < 50_000, "nothing waits in a pipe")
        lane.daemon.process.signal(SIGTERM)
        let (bytes, end) = try pair.client.receiveToEnd()
        #expect(bytes.count == 60_000)
        #expect(bytes.withUnsafeBytes { pattern.firstDifference($0, at: 0) } == nil)
        #expect(end == .fin)
        pair.close()
        try lane.daemon.ended()
    }

    /// Bytes that limpetd took and cannot deliver before its end are missing: that must not look like an end.
    @Test(arguments: Way.allCases)
    func aStreamThatIsCutShortEndsWithAReset(_ way: Way) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 16_384 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 16_384 : nil)
        let (sender, receiver) = pair.ends(way)
        try lane.fill(sender)
        try lane.daemon.stop()
        #expect(try receiver.receiveToEnd().end == .reset)
        pair.close()
    }

    @Test func shutdownDrainWaitsForConnectionsAndRefusesNewOnes() throws {
        let lane = try Lane(["--shutdown-drain", "60s"])
        let pair = try lane.open()
        lane.daemon.process.signal(SIGTERM)
        try waitUntilItRefuses(lane)
        #expect(try lane.daemon.ctl.run("ready", "-q").status == 1)
        #expect(try lane.daemon.ctl.status().ready == false)
        // What is open goes on.
        try pair.client.send("still here")
        #expect(try pair.backend.receiveText(10) == "still here")
        #expect(lane.daemon.process.poll() == nil)
        pair.close()
        try lane.daemon.ended()
    }

    @Test func shutdownDrainEndsAtItsDeadline() throws {
        let lane = try Lane(["--shutdown-drain", "1s"])
        let pair = try lane.open()
        lane.daemon.process.signal(SIGTERM)
        #expect(try pair.client.receiveToEnd() == ([], .fin))
        pair.close()
        try lane.daemon.ended()
    }

    /// One after the other, the last at the end.
    @Test func shutdownDrainClosesAtAPace() throws {
        let lane = try Lane(["--shutdown-drain", "4s"])
        let pairs = try (0..<8).map { _ in try lane.open() }
        let ended = { pairs.count { $0.client.ready(POLLIN) } }
        lane.daemon.process.signal(SIGTERM)
        try eventually("one is closed") { ended() > 0 }
        #expect(ended() < 8)
        for pair in pairs {
            #expect(try pair.client.receiveToEnd() == ([], .fin))
            pair.close()
        }
        try lane.daemon.ended()
    }

    /// First it is not ready any more, and whoever comes nevertheless is served; an engine that takes over knows.
    @Test func shutdownDelayComesFirst() throws {
        let lane = try Lane(["--shutdown-delay", "1h", "--shutdown-drain", "1h"])
        let pair = try lane.open()
        lane.daemon.process.signal(SIGTERM)
        try eventually("it is not ready") { try lane.daemon.ctl.run("ready", "-q").status == 1 }
        let second = try lane.open()
        #expect(try lane.daemon.ctl.listeners().allSatisfy { $0.state == "accepting" })
        #expect(try lane.daemon.ctl.run("reload").status == 1)
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("the next engine answers") {
            let outcome = try lane.daemon.ctl.run("--json", "status")
            guard outcome.status == 0 else { return false }
            return try Ctl.decode(StatusDocument.self, outcome.stdout).enginePid != engine
        }
        #expect(try lane.daemon.ctl.run("ready", "-q").status == 1)
        let third = try lane.open()
        for pair in [pair, second, third] {
            try pair.client.send("still here")
            #expect(try pair.backend.receiveText(10) == "still here")
        }
        try lane.daemon.stop(SIGINT)
        for pair in [pair, second, third] { pair.close() }
    }

    @Test func shutdownDelayIsOverAtItsTime() throws {
        let lane = try Lane(["--shutdown-delay", "500ms", "--shutdown-drain", "1h"])
        let pair = try lane.open()
        lane.daemon.process.signal(SIGTERM)
        try waitUntilItRefuses(lane)
        pair.close()
        try lane.daemon.ended()
    }

    @Test func interruptedTwiceItEndsAtOnce() throws {
        let lane = try Lane(["--shutdown-drain", "10m"])
        let pair = try lane.open()
        lane.daemon.process.signal(SIGINT)
        try waitUntilItRefuses(lane)
        #expect(lane.daemon.process.poll() == nil)
        try lane.daemon.stop(SIGINT)
        pair.close()
    }

    @Test func limpetctlShutdownWithADrain() throws {
        let lane = try Lane()
        let pair = try lane.open()
        try lane.daemon.ctl.expect("shutdown", "--drain", "30s", "--force")
        try waitUntilItRefuses(lane)
        try pair.client.send("still here")
        #expect(try pair.backend.receiveText(10) == "still here")
        pair.close()
        try lane.daemon.ended()
        #expect(try lane.daemon.ctl.run("status").status == 3)
    }

    @Test func limpetctlShutdownCanShortenADrain() throws {
        let lane = try Lane(["--shutdown-drain", "10m"])
        let pair = try lane.open()
        lane.daemon.process.signal(SIGTERM)
        try waitUntilItRefuses(lane)
        try lane.daemon.ctl.expect("shutdown", "--drain", "0s", "--force")
        #expect(try pair.client.receiveToEnd() == ([], .fin))
        pair.close()
        try lane.daemon.ended()
    }

    /// Connections that came in on the way there are not in the way of its end: they go with the backend's port.
    private func waitUntilItRefuses(_ lane: Lane) throws {
        try eventually("it no longer accepts") { (try? lane.daemon.connect()) == nil }
        lane.listener.close()
    }
}
