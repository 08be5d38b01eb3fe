import Foundation
import Testing

/// Signals, faults of one connection, and whoever asks, while engines come and go.
@Suite(.ownThread, .fence)
struct KeeperEndingTests {
    /// A terminal sends SIGINT to both processes. It counts once: only the second one means "at once".
    @Test func ctrlCCountsOnce() throws {
        let lane = try Lane(["--shutdown-drain", "60s"])
        let talk = try Talk(lane)
        lane.daemon.process.signalGroup(SIGINT)
        try eventually("it no longer accepts") { (try? lane.daemon.connect()) == nil }
        lane.listener.close()
        #expect(holds(for: .milliseconds(500)) { lane.daemon.process.poll() == nil })
        try talk.exchange()
        lane.daemon.process.signalGroup(SIGINT)
        try lane.daemon.ended()
        talk.pair.close()
    }

    /// What is sent to the engine is the keeper's to send.
    @Test func signalsToTheEngineAloneAreNotTaken() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        let engine = try lane.daemon.enginePID
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR2] { kill(engine, signal) }
        try talk.exchange()
        #expect(holds(for: .milliseconds(500)) { ProcessFacts(pid: engine).parent == lane.daemon.pid })
        try talk.exchange()
        #expect(!lane.daemon.log.contains("shutting down") && !lane.daemon.log.contains("SIGHUP"))
        try talk.close()
        try lane.finish()
    }

    /// While the keeper waits before the next engine: limpetctl says so, connections are kept, and SIGTERM ends all of it in
    /// good order.
    @Test func whileTheEngineRestarts() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        // The eighth in a minute is followed by five seconds without an engine.
        for number in 1...8 {
            try lane.daemon.killEngineThatStarts(number)
        }
        try eventually("the keeper waits") { !lane.daemon.logLines(containing: "in 5000 ms").isEmpty }
        let answer = try lane.daemon.ctl.run("status")
        #expect(answer.status == 1 && answer.stderr.contains("engine restarting: 8 deaths"), "\(answer)")
        #expect(lane.daemon.process.group.count == 1)
        try talk.pair.client.send("kept")
        lane.daemon.process.signal(SIGTERM)
        #expect(try talk.pair.backend.receiveText(4) == "kept")
        #expect(try talk.pair.backend.receiveToEnd() == ([], .fin))
        talk.pair.close()
        try lane.daemon.ended()
        #expect(!FileManager.default.fileExists(atPath: lane.daemon.ctl.control + ".state"))
    }

    /// A wait for a drain goes on over the death of an engine.
    @Test func aWaitGoesOnWithTheNextEngine() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let client = try daemon.connect(from: daemon.source(preferring: "b1"))
        _ = try client.receiveLine()
        let drain = try ChildProcess([Programs.limpetctl, "--control", daemon.ctl.control, "drain", "b1", "--wait"])
        try eventually("b1 drains") { try daemon.ctl.backend("b1").state == "draining" }
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        #expect(try daemon.ctl.backend("b1").state == "draining")
        #expect(drain.poll() == nil, "\(drain.stderr)")
        client.close()
        #expect(try drain.wait() == .exit(0), "\(drain.stderr)")
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Nobody reads the log, and its pipe is full: neither keeper nor engine waits for a reader.
    @Test func aLogThatNobodyReadsHoldsNobodyUp() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/log"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDWR | O_NONBLOCK)
        defer { close(reader) }
        let page = [UInt8](repeating: 10, count: 4096)
        while write(reader, page, page.count) > 0 {}
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.wrapper = ["sh", "-c", "exec \"$@\" 2>\"\(path)\"", "sh"]
        let daemon = try Daemon(setup)
        let talk = Talk(Pair(client: try daemon.connect(), backend: try listener.accept()))
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        try talk.exchange()
        // Somebody reads at last: what the engine has logged since then is there, and what the one before had not got rid of
        // is told.
        daemon.process.signal(SIGHUP)
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        var text = ""
        try eventually("the log goes on") {
            let count = read(reader, &bytes, bytes.count)
            if count > 0 { text += String(decoding: bytes.prefix(count), as: UTF8.self) }
            return text.contains("SIGHUP") && text.contains("serving again")
        }
        #expect(text.contains("lines of the log are lost"), "\(text)")
        try talk.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    // MARK: Faults of one connection

    /// Whoever makes the engine fault three times in a row is reset, and nobody else.
    @Test(.enabled(if: Programs.isDebug, "only debug builds fail on purpose"))
    func aConnectionThatFaultsThreeTimesIsResetAlone() throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.environment = [
            "LIMPET_INJECT": "\(try Injection.point("LIMPET_AT_RECEIVED")):1:fault", "LIMPET_BACKOFF": "off",
        ]
        let daemon = try Daemon(setup)
        let others = try (0..<3).map { _ in Pair(client: try daemon.connect(), backend: try listener.accept()) }
        let poison = Pair(client: try daemon.connect(), backend: try listener.accept())
        let id = try daemon.connections(4).map(\.id)
        for number in 1...3 {
            let engine = try daemon.enginePID
            try poison.client.send("x")
            let status = try daemon.nextEngine(after: engine)
            let death = try #require(status.lastDeath)
            #expect(death.reason.contains("SIGSEGV at address 0x2a") && death.reason.contains("in hand"))
            #expect(death.trace.first?.hasPrefix("limpetd+0x") == true && death.trace.count > 3, "\(death)")
            if number < 3 { #expect(try poison.backend.receiveText(1) == "x") }
        }
        #expect(try poison.client.receiveToEnd().end == .reset)
        let left = try daemon.connections(3).map(\.id)
        #expect(left.allSatisfy { id.contains($0) } && others.allSatisfy { $0.client.isQuiet && $0.backend.isQuiet })
        for pair in others { pair.client.reset() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A worker that comes back to nothing is found out by its count, and what it had in hand is named.
    @Test(.enabled(if: Programs.isDebug, "only debug builds fail on purpose"))
    func aWorkerThatStandsStillIsFoundOut() throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.environment = ["LIMPET_INJECT": "\(try Injection.point("LIMPET_AT_RECEIVED")):1:hang"]
        let daemon = try Daemon(setup)
        let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
        let row = try daemon.connections(1)[0]
        let engine = try daemon.enginePID
        try pair.client.send("hello")
        #expect(try pair.backend.receiveText(5) == "hello")
        let death = try #require(try daemon.nextEngine(after: engine).lastDeath)
        #expect(death.reason.contains("stood still"), "\(death)")
        #expect(death.reason.contains("worker \(row.worker)") && death.reason.contains("connection \(row.id) in hand"))
        #expect(daemon.logLines(containing: "stands still", "worker \(row.worker)").count == 1)
        pair.client.reset()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}

extension Daemon {
    /// Ends the next engine that the keeper starts, by SIGKILL, as soon as it is there.
    func killEngineThatStarts(_ number: Int) throws {
        try eventually("engine \(number) is there") {
            guard let engine = process.group.first(where: { $0.name == "limpetd-engine" && $0.parent == pid }) else {
                return false
            }
            Foundation.kill(engine.pid, SIGKILL)
            return true
        }
        try eventually("death \(number) is noted") { logLines(containing: "the engine died").count >= number }
    }
}
