import Foundation
import Testing

/// What the processes of the daemon may do, and what others may do with them, in each mode that limpetd(8) lists under
/// PRIVILEGES: as /proc has it, for every thread of both.
@Suite(.ownThread, .fence, .enabled(if: isRoot, "only root can start the daemon in all modes"))
struct ProcessModeTests {
    /// A way to start the daemon, and the capabilities that it has then: the permitted, effective, inheritable and ambient
    /// sets alike, as a mask of the numbers in capabilities(7).
    struct Mode: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// The line of the manual's table, counted from 0.
        var line = 0
        var capabilities: UInt64
        /// nil: as it was before the start.
        var bounding: UInt64?
        /// Of the service.
        var settings: [String] = []
        var listen = "\"127.0.0.1:0\""
        var user: String?
        var wrapper: [String] = []
        /// As setcap(8) takes them, for the file of the program.
        var fileCapabilities: String?
        var uid: UInt32 = 65534
    }

    private static let bind: UInt64 = 1 << 10
    private static let raw: UInt64 = 1 << 13
    private static let asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    private static let limited = asNobody + ["--bounding-set=-all"]
    /// As the unit has it.
    private static func asTheUnit(_ names: String) -> [String] {
        let more = names.split(separator: ",").map { "+\($0)" }.joined(separator: ",")
        return asNobody + ["--bounding-set=-all,\(more)", "--inh-caps=-all,\(more)", "--ambient-caps=-all,\(more)"]
    }

    static let modes = [
        Mode(testDescription: "root, with a user", capabilities: bind, bounding: bind, user: "nobody"),
        Mode(
            testDescription: "root, with a user, transparent", line: 1, capabilities: bind | raw, bounding: bind | raw,
            settings: ["transparent = true"], user: "nobody"),
        Mode(
            testDescription: "root, with a user, mark", line: 1, capabilities: bind | raw, bounding: bind | raw,
            settings: ["mark = 7"], user: "nobody"),
        Mode(
            testDescription: "root, with a user, intercept", line: 1, capabilities: bind | raw, bounding: bind | raw,
            listen: "{ address = \"127.0.0.1:0\", intercept = true }", user: "nobody"),
        Mode(testDescription: "an ordinary user", line: 3, capabilities: 0, wrapper: asNobody),
        Mode(
            testDescription: "an ordinary user without any rights", line: 3, capabilities: 0, bounding: 0,
            wrapper: limited),
        Mode(
            testDescription: "the unit", line: 6, capabilities: bind, bounding: bind,
            wrapper: asTheUnit("net_bind_service")),
        Mode(
            testDescription: "the unit, with more than the configuration needs", line: 6, capabilities: bind,
            bounding: bind | raw, wrapper: asTheUnit("net_bind_service,net_raw")),
        Mode(
            testDescription: "the unit, transparent", line: 7, capabilities: bind | raw, bounding: bind | raw,
            settings: ["transparent = true"], wrapper: asTheUnit("net_bind_service,net_raw")),
        Mode(
            testDescription: "setcap", line: 4, capabilities: bind, wrapper: asNobody,
            fileCapabilities: "cap_net_bind_service=ep"),
        Mode(
            testDescription: "setcap, with more than the configuration needs", line: 4, capabilities: bind,
            wrapper: asNobody,
            fileCapabilities: "cap_net_bind_service,cap_net_raw,cap_chown=ep"),
        Mode(
            testDescription: "setcap, transparent", line: 4, capabilities: raw, settings: ["transparent = true"],
            wrapper: asNobody, fileCapabilities: "cap_net_raw=ep"),
        Mode(
            testDescription: "sockets that it is given", line: 5, capabilities: 0, bounding: 0, listen: "\"fd:web\"",
            wrapper: limited + SocketPassing.wrapper("web=tcp:127.0.0.1:0")),
    ]

    /// The mode's daemon and what it needs.
    private final class Scene {
        let directory: String
        let server: BackendServer
        let daemon: Reloadable

        init(_ mode: Mode, sandbox: String = "on") throws {
            directory = try temporaryDirectory()
            server = try BackendServer(.echo)
            let program = "\(directory)/limpetd"
            try check(run(["cp", Programs.limpetd, program]))
            if let capabilities = mode.fileCapabilities { try check(run(["setcap", capabilities, program])) }
            let service = Reloadable.Service(
                listen: [mode.listen.hasPrefix("{") ? mode.listen : String(mode.listen.dropFirst().dropLast())],
                settings: mode.settings, backends: Reloadable.backends([server]))
            daemon = try Reloadable([service], settings: ["sandbox = \"\(sandbox)\""]) { setup in
                setup.user = mode.user
                setup.wrapper = mode.wrapper
                setup.limpetd = program
                setup.environment["LIMPET_UPGRADE_PATIENCE"] = "20000"
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }
    }

    @Test(arguments: modes) func itHasExactlyTheCapabilitiesThatTheManualLists(_ mode: Mode) throws {
        let scene = try Scene(mode)
        let daemon = scene.daemon.daemon
        try expectMode(mode, daemon)
        // The next engine is the keeper's child again; another image is not what the kernel has started.
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        try expectMode(mode, daemon)
        try upgrade(daemon)
        try expectMode(mode, daemon)
        let names = try daemon.ctl.status().capabilities
        let expected = [(10, "CAP_NET_BIND_SERVICE"), (13, "CAP_NET_RAW")].filter { mode.capabilities & 1 << $0.0 != 0 }
        #expect(names == expected.map(\.1))
        try daemon.stop()
    }

    /// Page and tests say the same.
    @Test func theManualListsThem() throws {
        let page = try String(contentsOfFile: "\(UnitFile.repository)/man/limpetd.8", encoding: .utf8)
        let table = try #require(page.firstRange(of: ".It Em Started Ta Em Capabilities Ta Em Bounding set\n"))
        let lines = page[table.upperBound...].split(separator: "\n").prefix { $0.hasPrefix(".It ") }.map {
            $0.dropFirst(4).components(separatedBy: " Ta ")
        }
        #expect(Set(Self.modes.map(\.line)) == Set(lines.indices).subtracting([2]) && lines[2][1] == "what it had")
        for mode in Self.modes {
            let names = mode.fileCapabilities == nil ? lines[mode.line][1] : ""
            let listed = names.split(separator: " ").reduce(into: UInt64(0)) { mask, name in
                mask |= ["CAP_NET_BIND_SERVICE": Self.bind, "CAP_NET_RAW": Self.raw, "none": 0][name] ?? 1 << 63
            }
            #expect(
                mode.fileCapabilities == nil ? listed == mode.capabilities : lines[mode.line][1] == "those of the file")
            let bounding = mode.user != nil ? "the same" : mode.line >= 6 ? "the unit's" : "as it was"
            #expect(lines[mode.line][2] == bounding, "\(mode.testDescription)")
        }
    }

    /// What nothing needs any more goes with the engine that had it.
    @Test func whatAReloadHasMadeNeedlessIsGivenUpWithTheNextEngine() throws {
        var mode = Self.modes[1]
        let scene = try Scene(mode)
        let daemon = scene.daemon.daemon
        scene.daemon.services[0].settings = []
        try scene.daemon.reload()
        try expectMode(mode, daemon)
        mode.capabilities = Self.bind
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        try expectMode(mode, daemon)
        scene.daemon.services[0].settings = ["transparent = true"]
        let refused = try scene.daemon.tryReload()
        #expect(refused.stderr.contains("which limpetd has not kept"), "\(refused)")
        try daemon.stop()
    }

    /// Root that stays root keeps what it has, and no exec gives it more.
    @Test func rootThatStaysRootHasWhatItHad() throws {
        let before = ProcessFacts(pid: getpid())
        let scene = try Scene(Mode(testDescription: "root", capabilities: 0, user: "root", uid: 0))
        let daemon = scene.daemon.daemon
        for facts in [ProcessFacts(pid: daemon.pid), try daemon.engine] {
            for set in ["CapPrm", "CapEff", "CapBnd"] {
                #expect(facts.field(set, thread: facts.pid) == before.field(set, thread: getpid()), "\(set)")
            }
            #expect(facts.field("NoNewPrivs", thread: facts.pid) == "1")
            #expect(facts.field("Umask", thread: facts.pid) == "0077")
        }
        try daemon.stop()
    }

    /// For debugging others may look into it: as far as the kernel lets them, who has changed its user stays closed.
    @Test func withoutItsSandboxItCanBeLookedInto() throws {
        let scene = try Scene(Self.modes[4], sandbox: "off")
        let daemon = scene.daemon.daemon
        let core = { (pid: pid_t) in
            contents(ofKernelFile: "/proc/\(pid)/limits").split(separator: "\n")
                .first { $0.hasPrefix("Max core file size") }
        }
        for pid in [daemon.pid, try daemon.enginePID] {
            var entry = stat()
            #expect(stat("/proc/\(pid)/mem", &entry) == 0 && entry.st_uid == 65534)
            #expect(core(pid) == core(getpid()))
            #expect(ProcessFacts(pid: pid).field("NoNewPrivs", thread: pid) == "1")
        }
        // After an exec, too.
        try upgrade(daemon)
        var entry = stat()
        #expect(stat("/proc/\(daemon.pid)/mem", &entry) == 0 && entry.st_uid == 65534)
        try daemon.stop()
    }

    @Test func theEngineIsKilledBeforeTheKeeperIs() throws {
        for mode in Self.modes.prefix(5) {
            let scene = try Scene(mode)
            let daemon = scene.daemon.daemon
            for _ in 1...2 {
                #expect(score(daemon.pid) == score(getpid()))
                let engine = try daemon.enginePID
                #expect(score(engine) == score(getpid()) + 100)
                kill(engine, SIGKILL)
                _ = try daemon.nextEngine(after: engine)
            }
            try daemon.stop()
        }
    }

    /// The same where another process has become the keeper, which was a child of an engine; its sandbox would keep it from
    /// what it needs for that.
    @Test func theEngineIsKilledBeforeAnotherKeeperIs() throws {
        for mode in [Self.modes[0], Self.modes[4]] {
            let scene = try Scene(mode, sandbox: "off")
            let daemon = scene.daemon.daemon
            let before = score(getpid())
            let expectScores = {
                let status = try daemon.ctl.status()
                #expect(self.score(status.pid) == before)
                #expect(self.score(status.enginePid) == before + 100)
            }
            try expectScores()
            let replacement = try daemon.killKeeper()
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            _ = try daemon.nextEngine(after: engine)
            #expect(try daemon.ctl.status().pid == replacement)
            try expectScores()
            kill(replacement, SIGTERM)
            try eventually("all of it has ended") { daemon.process.group.isEmpty }
        }
    }

    /// A worker of a busy machine may take longer to stop than one of a service may.
    private func upgrade(_ daemon: Daemon) throws {
        try eventually("an upgrade; limpetd said: \(daemon.log)") { try daemon.ctl.run("upgrade").status == 0 }
    }

    // MARK: What there is to expect

    private func expectMode(_ mode: Mode, _ daemon: Daemon) throws {
        let own = ProcessFacts(pid: getpid())
        let user = mode.uid
        var expected: [String: String] = ["NoNewPrivs": "1", "Umask": "0077"]
        expected["Uid"] = Array(repeating: "\(user)", count: 4).joined(separator: "\t")
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] { expected[set] = Self.hexadecimal(mode.capabilities) }
        expected["CapBnd"] = mode.bounding.map(Self.hexadecimal) ?? own.field("CapBnd", thread: getpid())
        for facts in [ProcessFacts(pid: try daemon.ctl.status().pid), try daemon.engine] {
            // It serves before all of its threads are there, and some are there for one task.
            try eventually("the engine's threads are there") {
                facts.threadIDs.count >= (facts.pid == daemon.pid ? 1 : 4)
            }
            for thread in facts.threadIDs {
                let found = expected.keys.map { ($0, facts.field($0, thread: thread)) }
                guard facts.threadIDs.contains(thread) else { continue }
                for (name, value) in found {
                    #expect(
                        value == expected[name], "\(mode.testDescription): \(name) of \(facts.name), thread \(thread)")
                }
            }
            // Nobody of the same user may look into it.
            var entry = stat()
            #expect(stat("/proc/\(facts.pid)/mem", &entry) == 0 && entry.st_uid == 0, "\(mode.testDescription)")
            let limits = contents(ofKernelFile: "/proc/\(facts.pid)/limits")
            let core = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
            #expect(core?.split(separator: " ").dropFirst(4).prefix(2) == ["0", "0"])
        }
    }

    private static func hexadecimal(_ mask: UInt64) -> String {
        let digits = String(mask, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private func score(_ pid: pid_t) -> Int {
        Int(contents(ofKernelFile: "/proc/\(pid)/oom_score_adj").trimmingCharacters(in: .whitespacesAndNewlines))
            ?? -9999
    }
}

private func check(_ outcome: Outcome) throws {
    if outcome.status != 0 { throw SocketFailure(call: outcome.stderr, code: EIO) }
}
