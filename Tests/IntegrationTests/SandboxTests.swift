import Foundation
import Testing

/// What keeper and engine have given up, seen from outside and by trying it.
@Suite(.ownThread, .fence)
struct SandboxTests {
    /// Filters that whoever runs the tests is under already.
    private let ownFilters: Int

    init() { ownFilters = SandboxTests.filters(ProcessFacts(pid: getpid()), thread: getpid()) }

    private static func filters(_ facts: ProcessFacts, thread: pid_t) -> Int {
        facts.field("Seccomp_filters", thread: thread).flatMap { Int($0) } ?? 0
    }

    private func expectBound(_ daemon: Daemon, user: String? = nil) throws {
        let status = try daemon.ctl.status()
        let (keeper, engine) = (ProcessFacts(pid: status.pid), ProcessFacts(pid: status.enginePid))
        #expect(keeper.field("Seccomp", thread: status.pid) == "2")
        #expect(keeper.field("NoNewPrivs", thread: status.pid) == "1")
        #expect(SandboxTests.filters(keeper, thread: status.pid) == ownFilters + 1)
        for thread in engine.threadIDs {
            let facts = ["Seccomp", "NoNewPrivs"].map { engine.field($0, thread: thread) }
            let count = SandboxTests.filters(engine, thread: thread)
            // Some threads are there for one task.
            guard engine.threadIDs.contains(thread) else { continue }
            #expect(facts == ["2", "1"])
            // The first thread alone can start another keeper.
            #expect(count == ownFilters + (thread == status.enginePid ? 2 : 3))
        }
    }

    @Test func everyThreadIsBound() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        try expectBound(lane.daemon)
        let sandbox = try lane.daemon.ctl.status().sandbox
        #expect(sandbox.wanted == "on" && sandbox.systemCalls && sandbox.violations == 0)
        #expect(lane.daemon.logLines(containing: "info sandbox", "system_calls=filtered").count == 1)
        // The next engine is bound as the one before, and by no more.
        for _ in 1...5 {
            let engine = try lane.daemon.enginePID
            kill(engine, SIGKILL)
            _ = try lane.daemon.nextEngine(after: engine)
        }
        try talk.exchange()
        try expectBound(lane.daemon)
        try talk.close()
        try lane.finish()
    }

    @Test(.enabled(if: isRoot, "only root can become another")) func ordinaryUsersAreBoundToo() throws {
        let listener = try Listener()
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        setup.user = nil
        setup.limpetd = "\(directory)/limpetd"
        try FileManager.default.copyItem(atPath: Programs.limpetd, toPath: setup.limpetd)
        let daemon = try Daemon(setup)
        try expectBound(daemon)
        try daemon.stop()
    }

    /// A keeper that comes from an engine is bound by what bound that one, and its engines by nothing twice.
    @Test func whatComesOfAnEngineStaysBound() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        let replacement = try lane.daemon.killKeeper()
        for _ in 1...2 {
            let engine = try lane.daemon.enginePID
            kill(engine, SIGKILL)
            let status = try lane.daemon.nextEngine(after: engine)
            #expect(status.pid == replacement && status.sandbox.systemCalls)
            try talk.exchange()
            let engineFacts = ProcessFacts(pid: status.enginePid)
            #expect(SandboxTests.filters(ProcessFacts(pid: replacement), thread: replacement) == ownFilters + 2)
            #expect(SandboxTests.filters(engineFacts, thread: status.enginePid) == ownFilters + 2)
        }
        try talk.close()
        try lane.daemon.waitUntilIdle()
        kill(replacement, SIGTERM)
        try eventually("all of it has ended") { lane.daemon.process.group.isEmpty }
        lane.daemon.expectNothingRefused()
    }

    @Test func offIsOff() throws {
        let listener = try Listener()
        let daemon = try Daemon([listener.address], "--sandbox", "off")
        let status = try daemon.ctl.status()
        #expect(status.sandbox.wanted == "off" && !status.sandbox.systemCalls && status.sandbox.landlockAbi == nil)
        for pid in [status.pid, status.enginePid] {
            for thread in ProcessFacts(pid: pid).threadIDs {
                #expect(SandboxTests.filters(ProcessFacts(pid: pid), thread: thread) == ownFilters)
            }
        }
        #expect(daemon.logLines(containing: "warning no sandbox, as asked").count == 1)
        #expect(try daemon.ctl.expect("status").contains("sandbox        off"))
        try daemon.stop()
    }

    // MARK: What is tried

    private func daemon(trying what: String, _ arguments: String..., listener: Listener) throws -> Daemon {
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.environment = ["LIMPET_TRY": what]
        setup.arguments = arguments
        return try Daemon(setup)
    }

    @Test(.enabled(if: Programs.isDebug, "only debug builds try it"))
    func aCallThatNobodyNeedsIsRefusedAndNamed() throws {
        let listener = try Listener()
        let daemon = try daemon(trying: "call", listener: listener)
        try eventually("the log names it; limpetd said: \(daemon.log)") {
            daemon.logLines(containing: "error the sandbox has refused a system call: ptrace, once", "limpetd-engine")
                .count == 1
        }
        let status = try daemon.ctl.status()
        #expect(status.sandbox.violations == 1 && status.engineGeneration == 1 && status.lastDeath == nil)
        #expect(try daemon.ctl.expect("status").contains("1 calls refused"))
        #expect(try daemon.ctl.expect("metrics").contains("\nlimpet_sandbox_violations_total 1\n"))
        let talk = Talk(Pair(client: try daemon.connect(), backend: try listener.accept()))
        try talk.exchange()
        try talk.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test(.enabled(if: Programs.isDebug, "only debug builds try it"), arguments: ["on", "off"])
    func filesAreWrittenInItsDirectoriesAlone(_ mode: String) throws {
        let elsewhere = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: elsewhere) }
        let listener = try Listener()
        let daemon = try daemon(trying: "file:\(elsewhere)/file", "--sandbox", mode, listener: listener)
        // Its engine has tried by the time that it has said so.
        try eventually("ready") { !daemon.logLines(containing: "notice ready").isEmpty }
        let status = try daemon.ctl.status()
        let isKept = status.sandbox.landlockAbi != nil
        #expect(isKept == (mode == "on") || status.sandbox.missing?.contains("Landlock") == true)
        #expect(FileManager.default.fileExists(atPath: "\(elsewhere)/file") == !isKept)
        if isKept { #expect(status.sandbox.directories == ["\(daemon.directory)/state", "\(daemon.directory)/run"]) }
        // Where it has to write, it can.
        try daemon.ctl.expect("drain", "b1", "--force")
        #expect(FileManager.default.fileExists(atPath: "\(daemon.directory)/state/intent.json"))
        try daemon.stop()
    }

    // MARK: Reload

    @Test func aReloadCannotReachFurther() throws {
        let (elsewhere, backend) = (try temporaryDirectory(), try Listener())
        defer { try? FileManager.default.removeItem(atPath: elsewhere) }
        let inside = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: inside) }
        func file(_ listeners: String...) -> String {
            let listen = listeners.map { "\"\($0)\"" }.joined(separator: ", ")
            return """
                [[service]]
                name = "s"
                listen = [\(listen)]
                health = "off"
                [[service.backend]]
                name = "b1"
                address = "\(backend.address)"
                """
        }
        var setup = Daemon.Setup()
        setup.file = file("127.0.0.1:0", "unix:\(inside)/one.sock")
        let daemon = try Daemon(setup)
        func reload(_ text: String) throws -> Outcome {
            try text.write(toFile: "\(daemon.directory)/limpet.toml", atomically: false, encoding: .utf8)
            return try daemon.ctl.run("reload")
        }
        let hasLandlock = try daemon.ctl.status().sandbox.landlockAbi != nil
        let before = try daemon.ctl.status().configHash
        let refused = try reload(file("127.0.0.1:0", "unix:\(inside)/one.sock", "unix:\(elsewhere)/two.sock"))
        if hasLandlock {
            #expect(refused.status == 1 && refused.stderr.contains("\(elsewhere) is none of them"), "\(refused)")
            #expect(try daemon.ctl.status().configHash == before)
            #expect(!FileManager.default.fileExists(atPath: "\(elsewhere)/two.sock"))
        }
        let applied = try reload(file("127.0.0.1:0", "unix:\(inside)/one.sock", "unix:\(inside)/two.sock"))
        #expect(applied.status == 0, "\(applied)")
        #expect(FileManager.default.fileExists(atPath: "\(inside)/two.sock"))
        let again = try reload(file("127.0.0.1:0"))
        #expect(again.status == 0 && !FileManager.default.fileExists(atPath: "\(inside)/one.sock"), "\(again)")
        try daemon.stop()
    }

    @Test func aReloadDoesNotSwitchIt() throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "s"
            listen = ["127.0.0.1:0"]
            health = "off"
            [[service.backend]]
            name = "b1"
            address = "\(listener.address)"
            """
        let daemon = try Daemon(setup)
        try ("sandbox = \"off\"\n" + setup.file!).write(
            toFile: "\(daemon.directory)/limpet.toml", atomically: false, encoding: .utf8)
        let outcome = try daemon.ctl.run("reload")
        #expect(outcome.status == 1 && outcome.stderr.contains("cannot change sandbox from on to off"), "\(outcome)")
        try daemon.stop()
    }
}
