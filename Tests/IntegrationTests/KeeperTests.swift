import Foundation
import Testing

/// Keeper and engine: whichever of the two ends, however it ends, the connections do not notice.
@Suite(.ownThread, .fence)
struct KeeperTests {
    private static let names: [Int32: String] = [
        SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGILL: "SIGILL",
        SIGFPE: "SIGFPE", SIGTRAP: "SIGTRAP",
    ]

    // MARK: The engine dies

    @Test(arguments: [SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGTRAP])
    func anEngineThatDiesIsFollowedByTheNext(_ signal: Int32) throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        let before = try lane.daemon.connections(1)[0]
        let engine = try lane.daemon.enginePID
        kill(engine, signal)
        try talk.exchange()
        let status = try lane.daemon.nextEngine(after: engine)
        #expect(status.pid == lane.daemon.pid && status.engineGeneration == 2 && status.ready)
        let name = try #require(Self.names[signal])
        #expect(status.lastDeath?.reason.contains(name) == true, "\(String(describing: status.lastDeath))")
        // Return addresses are the handler's work, and SIGKILL leaves it none.
        #expect(status.lastDeath?.trace.isEmpty == (signal == SIGKILL))
        // … and so is which program it was, as others have it.
        let notes = try run(["readelf", "-n", Programs.limpetd]).stdout
        let build = notes.split(separator: "\n").first { $0.contains("Build ID: ") }?.split(separator: " ").last
        #expect(status.lastDeath?.buildId == (signal == SIGKILL ? nil : build.map(String.init)))
        #expect(lane.daemon.logLines(containing: "engine died", "build_id=").count == (signal == SIGKILL ? 0 : 1))
        let after = try lane.daemon.connections(1)[0]
        #expect(after.id == before.id && after.ageSeconds >= before.ageSeconds && after.bytesIn > before.bytesIn)
        #expect(lane.daemon.logLines(containing: "engine died", name).count == 1)
        // New ones come in as well.
        let other = try Talk(lane)
        try other.exchange()
        try other.close()
        try talk.close()
        try lane.finish()
    }

    /// A new image of the keeper, in the same process, with everything that the old one had.
    @Test func afterFiveDeathsTheKeeperStartsAnew() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        for _ in 1...5 {
            let engine = try lane.daemon.enginePID
            kill(engine, SIGKILL)
            _ = try lane.daemon.nextEngine(after: engine)
            try talk.exchange()
        }
        #expect(lane.daemon.logLines(containing: "starts itself anew").count == 1)
        let status = try lane.daemon.ctl.status()
        #expect(status.pid == lane.daemon.pid && status.engineGeneration == 6)
        #expect(ProcessFacts(pid: lane.daemon.pid).threadIDs.count == 1)
        #expect(ProcessFacts(pid: lane.daemon.pid).name == "limpetd")
        // The sixth is one more death and no reason for yet another image.
        kill(status.enginePid, SIGKILL)
        _ = try lane.daemon.nextEngine(after: status.enginePid)
        try talk.exchange()
        #expect(lane.daemon.logLines(containing: "starts itself anew").count == 1)
        try talk.close()
        try lane.finish()
    }

    @Test func deathsLeaveNoDescriptorsBehind() throws {
        var setup = Daemon.Setup()
        let listener = try Listener()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.environment = ["LIMPET_BACKOFF": "off"]
        let daemon = try Daemon(setup)
        var counts: [Int] = []
        for _ in 1...12 {
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            _ = try daemon.nextEngine(after: engine)
            counts.append(ProcessFacts(pid: daemon.pid).descriptorCount)
        }
        #expect(counts.last! <= counts[1] + 2, "\(counts)")
        try daemon.stop()
    }

    /// What the keeper has for itself alone is small, and it does nothing while the engine works.
    @Test func aKeeperCostsNothing() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        let keeper = ProcessFacts(pid: lane.daemon.pid)
        let before = keeper.cpuTicks
        #expect(holds(for: .seconds(3)) { keeper.threadIDs.count == 1 })
        #expect(keeper.cpuTicks - before <= 1)
        #expect(keeper.privateDirtyBytes < 4 << 20, "\(keeper.privateDirtyBytes)")
        try talk.close()
        try lane.finish()
    }

    // MARK: The engine stands still

    @Test func anEngineThatIsStoppedIsEnded() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        let engine = try lane.daemon.enginePID
        kill(engine, SIGSTOP)
        let status = try lane.daemon.nextEngine(after: engine)
        #expect(status.lastDeath?.reason.contains("stood still") == true, "\(String(describing: status.lastDeath))")
        #expect(lane.daemon.logLines(containing: "stands still", "worker 0", "control loop").count == 1)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// A keeper that has seen nothing for a while has nothing to say about it.
    @Test func whoeverIsStoppedTogetherGoesOnTogether() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        let engine = try lane.daemon.enginePID
        _ = try lane.daemon.frozen { sleep(13) }
        #expect(holds(for: .seconds(2)) { ProcessFacts(pid: engine).parent == lane.daemon.pid })
        try talk.exchange()
        #expect(try lane.daemon.enginePID == engine)
        try talk.close()
        try lane.finish()
    }

    // MARK: The keeper dies

    @Test func aKeeperThatDiesIsReplaced() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        let engine = try lane.daemon.enginePID
        let replacement = try lane.daemon.killKeeper()
        #expect(try lane.daemon.enginePID == engine)
        try talk.exchange()
        // And so is the one that took its place.
        kill(replacement, SIGKILL)
        var next: pid_t = 0
        try eventually("there is another keeper") {
            next = try lane.daemon.ctl.status().pid
            return next != replacement && next != 0
        }
        try talk.exchange()
        // Signals reach the engine by way of it.
        kill(next, SIGHUP)
        try eventually("the engine has heard of SIGHUP") { lane.daemon.log.contains("SIGHUP") }
        kill(next, SIGTERM)
        #expect(try talk.pair.client.receiveToEnd().end == .fin)
        talk.pair.close()
        try eventually("all of it has ended") { lane.daemon.process.group.isEmpty }
        #expect(!FileManager.default.fileExists(atPath: lane.daemon.ctl.control))
    }

    @Test(arguments: [SIGKILL, SIGSEGV])
    func firstTheKeeperThenTheEngine(_ signal: Int32) throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        let replacement = try lane.daemon.killKeeper()
        for generation in 2...3 {
            let engine = try lane.daemon.enginePID
            kill(engine, signal)
            try talk.exchange()
            let status = try lane.daemon.nextEngine(after: engine)
            // The process is the same, and is a whole keeper now.
            #expect(status.pid == replacement && status.engineGeneration == generation)
        }
        #expect(lane.daemon.logLines(containing: "the keeper died, and then the engine").count == 1)
        try talk.close()
        try lane.daemon.waitUntilIdle()
        kill(replacement, SIGTERM)
        try eventually("all of it has ended") { lane.daemon.process.group.isEmpty }
    }

    // MARK: Another image

    /// An image that dies, or comes to nothing, before it is safe: the guard goes on with the one before.
    @Test(.enabled(if: Programs.isDebug, "only debug builds fail on purpose"), arguments: ["die:1", "die:3", "hang:1"])
    func anImageThatFailsMakesTheGuardTheKeeper(_ failure: String) throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.environment = ["LIMPET_FAIL_ADOPTION": failure]
        let daemon = try Daemon(setup)
        let client = try daemon.connect()
        let talk = Talk(Pair(client: client, backend: try listener.accept()))
        for _ in 1...5 {
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            _ = try daemon.nextEngine(after: engine)
        }
        try talk.exchange()
        let status = try daemon.ctl.status()
        #expect(status.pid != daemon.pid && status.engineGeneration == 6)
        #expect(try daemon.process.wait() == .signal(SIGKILL))
        // It is a keeper like any other.
        kill(status.enginePid, SIGKILL)
        try talk.exchange()
        try talk.close()
        try daemon.waitUntilIdle()
        kill(status.pid, SIGTERM)
        try eventually("all of it has ended") { daemon.process.group.isEmpty }
    }

    /// Nobody else would say it, where a service manager ends the rest at once.
    @Test func aKeeperThatDiesOfAFaultSaysWhere() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        let replacement = try lane.daemon.killKeeper(by: SIGSEGV)
        let lines = lane.daemon.logLines(containing: "the keeper died: killed by signal 11")
        #expect(lines.count == 1 && lines[0].contains(" limpetd+0x") && lines[0].contains(" build_id="), "\(lines)")
        try talk.exchange()
        try talk.close()
        try lane.daemon.waitUntilIdle()
        kill(replacement, SIGTERM)
        try eventually("all of it has ended") { lane.daemon.process.group.isEmpty }
    }

    /// What another start has left in the environment is nobody's.
    @Test func anAdoptionThatIsNotMeantForUsIsIgnored() throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.environment = ["LIMPET_ADOPT": "4:1:0:1"]
        let daemon = try Daemon(setup)
        #expect(try daemon.ctl.status().engineGeneration == 1)
        try daemon.stop()
    }

    // MARK: Rights

    @Test(arguments: [["--no-new-privs"], ["--no-new-privs", "--reuid=65534", "--regid=65534", "--clear-groups"]])
    func withoutPrivilegesAllOfItWorks(_ options: [String]) throws {
        try #require(isRoot)
        let listener = try Listener()
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.wrapper = ["setpriv"] + options
        if options.count > 1 { setup.user = nil }
        setup.limpetd = "\(directory)/limpetd"
        // By another process: a child that some other test starts here would hold the file open for writing.
        try run(["cp", Programs.limpetd, setup.limpetd])
        let daemon = try Daemon(setup)
        let client = try daemon.connect()
        let talk = Talk(Pair(client: client, backend: try listener.accept()))
        for _ in 1...5 {
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            _ = try daemon.nextEngine(after: engine)
            try talk.exchange()
        }
        let replacement = try daemon.killKeeper()
        kill(try daemon.enginePID, SIGKILL)
        try talk.exchange()
        #expect(try daemon.ctl.status().pid == replacement)
        try talk.close()
        try daemon.waitUntilIdle()
        kill(replacement, SIGTERM)
        try eventually("all of it has ended") { daemon.process.group.isEmpty }
    }

    /// An exec forgets that nobody may look into the process.
    @Test(.enabled(if: isRoot)) func aNewImageIsAsClosedAsTheOneBefore() throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.user = "nobody"
        let daemon = try Daemon(setup)
        for _ in 1...5 {
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            _ = try daemon.nextEngine(after: engine)
        }
        let status = try daemon.ctl.status()
        for pid in [status.pid, status.enginePid] {
            var entry = stat()
            #expect(stat("/proc/\(pid)/mem", &entry) == 0 && entry.st_uid == 0)
            let facts = ProcessFacts(pid: pid)
            #expect(facts.field("CapPrm", thread: pid) == "0000000000000400")
            #expect(facts.field("NoNewPrivs", thread: pid) == "1")
        }
        try daemon.stop()
    }
}

/// A connection whose two ends talk: each time a little more of a pattern that neither repeats.
final class Talk {
    let pair: Pair
    private var sent = 0

    init(_ pair: Pair) { self.pair = pair }

    convenience init(_ lane: Lane) throws { self.init(try lane.open()) }

    /// Both ways, and every byte is the one that it has to be.
    func exchange(count: Int = 3_000) throws {
        let (up, down) = (Pattern(seed: 90), Pattern(seed: 91))
        try pair.client.send(up, count: count, from: sent)
        try pair.backend.send(down, count: count, from: sent)
        #expect(try pair.backend.receive(exactly: count) == up.bytes(count, at: sent))
        #expect(try pair.client.receive(exactly: count) == down.bytes(count, at: sent))
        sent += count
    }

    /// Ends it in order, from the client's side.
    func close() throws {
        try pair.client.finish()
        #expect(try pair.backend.receiveToEnd() == ([], .fin))
        try pair.backend.finish()
        #expect(try pair.client.receiveToEnd() == ([], .fin))
        pair.close()
    }
}

extension Daemon {
    /// Waits until another engine answers.
    func nextEngine(after engine: pid_t) throws -> StatusDocument {
        var status: StatusDocument?
        try eventually("the next engine answers; limpetd said: \(log)") {
            status = try? ctl.status()
            return status.map { $0.enginePid != engine } ?? false
        }
        return status!
    }

    /// Ends the keeper.
    /// - Returns: the process that has taken its place.
    func killKeeper(by signal: Int32 = SIGKILL) throws -> pid_t {
        let keeper = try ctl.status().pid
        Foundation.kill(keeper, signal)
        var next: pid_t = 0
        try eventually("there is a keeper again") {
            next = try ctl.status().pid
            return next != keeper && next != 0
        }
        return next
    }
}
