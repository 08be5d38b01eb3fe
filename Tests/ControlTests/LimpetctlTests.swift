import Control
import Foundation
import Testing

/// The program itself, against the real server.
@Suite struct LimpetctlTests {
    /// It lies beside the test bundle.
    static let program: String = {
        let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("limpetctl").path
    }()

    func ctl(
        _ daemon: TestDaemon?, _ arguments: String..., environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String, error: String) {
        var environment = environment
        if let daemon { environment["LIMPET_CONTROL"] = daemon.path }
        return try run(LimpetctlTests.program, arguments, environment: environment)
    }

    func object(_ text: String) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test(arguments: [
        [], ["--jsno", "status"], ["statsu"], ["status", "extra"], ["status", "--json", "--plain"],
        ["--watch=0", "status"], ["connections", "--older", "5"], ["connections", "--limit", "0"], ["close"],
        ["close", "xyz"], ["close", "1", "--backend", "ws1"], ["drain"], ["drain", "ws1", "--timeout", "5s"],
        ["drain", "ws1", "--watch"], ["where"], ["--control"], ["--control", "", "status"],
        ["--backend", "ws1", "connections"],
        ["weight"], ["weight", "ws1"], ["weight", "ws1", "0"], ["weight", "ws1", "257"], ["weight", "ws1", "1.5"],
        ["weight", "ws1", "File"], ["weight", "5", "ws1"], ["disable"], ["disable", "ws1", "ws2"], ["enable"],
        ["enable", "ws1", "--force"], ["drain", "ws1", "--deadline", "-1s"], ["shutdown", "--drain", "1w"],
    ])
    func `A usage error is 2, says what is wrong and asks nobody`(arguments: [String]) throws {
        let result = try run(LimpetctlTests.program, arguments, environment: ["LIMPET_CONTROL": "/nonexistent/s"])
        #expect(result.status == 2, "\(arguments): \(result.error)")
        #expect(result.error.hasPrefix("limpetctl: "))
        #expect(result.error.split(separator: "\n").count == 1, "\(result.error)")
        #expect(result.output.isEmpty)
    }

    @Test func `A usage error names the cure`() throws {
        let none = "/nonexistent/s"
        #expect(
            try ctl(nil, "--jsno", "status").error.contains(
                "--jsno: no such option before a verb (did you mean --json?)"))
        #expect(try ctl(nil, "status", "--jsno").error.contains("Did you mean '--json'? (limpetctl status --help)"))
        #expect(
            try ctl(nil, "connections", "--older", "5", "--control", none).error.contains(
                "such as 500ms, 5s, 10m, 2h or 3d"))
        #expect(try ctl(nil, "--watch=0", "status").error.contains("a number of seconds from 0.1 to 86400"))
    }

    @Test func `A stdout that is closed is an error and not another descriptor`() throws {
        try TestDaemon.run { (daemon) throws in
            let result = try run(
                "/bin/bash", ["-c", "$0 status <&- >&-; echo $? >&2", LimpetctlTests.program],
                environment: ["LIMPET_CONTROL": daemon.path])
            #expect(result.error == "limpetctl: stdout: Bad file descriptor (EBADF)\n1\n")
        }
    }

    @Test func `A misspelt verb is met with the right one`() throws {
        let result = try ctl(nil, "lisseners")
        #expect(result.error.contains("lisseners: no such verb (did you mean listeners?)"))
    }

    @Test func `No daemon is 3 and names the path`() throws {
        let result = try ctl(nil, "--control", "/nonexistent/control.sock", "status")
        #expect(result.status == 3)
        #expect(result.error == "limpetctl: limpetd is not running (no socket at /nonexistent/control.sock)\n")
        let directory = try makeTemporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let stale = try ControlSocket.prepare(path: directory + "/s", owner: nil)
        stale.close()
        let refused = try ctl(nil, "status", "--control=\(directory)/s")
        #expect(refused.status == 3)
        #expect(refused.error.contains("\(directory)/s"))
    }

    @Test(.enabled(if: getuid() == 0)) func `A user who may not is told so, with 5`() throws {
        try TestDaemon.run { (daemon) throws in
            let stranger = ["--reuid", "65530", "--regid", "65530", "--clear-groups", LimpetctlTests.program]
            let file = try run(
                "/usr/bin/setpriv", stranger + ["--control", daemon.path, "status"], environment: [:])
            #expect(file.status == 5)
            #expect(file.error.contains(daemon.path))
            chmod(daemon.path, 0o666)
            let policy = try run(
                "/usr/bin/setpriv", stranger + ["--control", daemon.path, "drain", "ws1"], environment: [:])
            #expect(policy.status == 5)
            #expect(policy.error.contains("user 65530"))
            let homeless = try run("/usr/bin/setpriv", stranger + ["status"], environment: [:])
            #expect(homeless.status == 2)
            #expect(homeless.error.contains("XDG_RUNTIME_DIR is not set"))
        }
    }

    @Test func `An unknown name is 4, with what was meant`() throws {
        try TestDaemon.run { (daemon) throws in
            let drain = try ctl(daemon, "drain", "chat/ws9")
            #expect(drain.status == 4)
            #expect(drain.error == "limpetctl: chat/ws9: no such backend (did you mean chat/ws1?)\n")
            #expect(try ctl(daemon, "connections", "--backend", "brokre").status == 4)
            #expect(try ctl(daemon, "backends", "--service", "chta").error.contains("(did you mean chat?)"))
            let close = try ctl(daemon, "close", "1", "77")
            #expect(close.status == 4)
            #expect(close.output == "closed 1 connection\n")
            #expect(close.error == "limpetctl: 77: no such connection\n")
        }
    }

    @Test func `Rehome names its service and its rate`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "rehome").output == "3 connections will be closed, 10 a second\n")
            #expect(try ctl(daemon, "rehome", "chat", "--rate", "20/s").status == 0)
            #expect(try ctl(daemon, "rehome", "--rate", "0").output == "no connection is closed any more\n")
            #expect(try ctl(daemon, "rehome", "chta").error.contains("(did you mean chat?)"))
            #expect(daemon.plane.with { $0.changes } == ["rehome all -", "rehome chat 20", "rehome all 0"])
        }
    }

    /// As when xargs hands over a whole table: more than one request may hold.
    @Test func `Any number of connections can be closed by number`() throws {
        try TestDaemon.run { (daemon) throws in
            let ids = (0x100001...0x102328).map { String($0, radix: 16) }
            let result = try run(
                LimpetctlTests.program, ["--plain", "close", "--force", "1"] + ids,
                environment: ["LIMPET_CONTROL": daemon.path])
            #expect(result.status == 4)
            #expect(result.output == (["1"] + ids).joined(separator: "\t") + "\n")
            let refused = try run(
                LimpetctlTests.program, ["close", "1"] + ids, environment: ["LIMPET_CONTROL": daemon.path])
            #expect(refused.status == 8 && refused.output.isEmpty)
        }
    }

    @Test func `What needs force is 8 and changes nothing`() throws {
        var state = FakePlane.State()
        state.changeError = ControlError(.needsForce, "chat would be left without an eligible backend")
        try TestDaemon.run(FakePlane(state)) { (daemon) throws in
            for arguments in [
                ["close", "--backend", "ws1"], ["shutdown"], ["drain", "ws1"], ["shutdown", "--drain", "5s"],
            ] {
                let result = try run(
                    LimpetctlTests.program, arguments, environment: ["LIMPET_CONTROL": daemon.path])
                #expect(result.status == 8, "\(arguments)")
                #expect(result.error.contains("refused; --force would"))
            }
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            #expect(
                try ctl(daemon, "close", "--client", "203.0.113.0/24", "--reset", "--force").output
                    == "closed 2 connections\n")
            #expect(
                try ctl(daemon, "shutdown", "--drain", "5s", "--force").output
                    == "limpetd is ending: 3 connections, to be closed over 5s after shutdown-delay\n")
            #expect(
                daemon.plane.with { $0.changes } == [
                    "close --client 203.0.113.0/24 reset true", "shutdown drain 5.0",
                ])
        }
    }

    @Test func `Ready answers by its exit status`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "ready").output == "ready\n")
            daemon.plane.with { $0.isReady = false }
            let not = try ctl(daemon, "ready")
            #expect(not.status == 1 && not.output == "not ready: it is ending\n" && not.error.isEmpty)
            let quiet = try ctl(daemon, "ready", "-q")
            #expect(quiet.status == 1 && quiet.output.isEmpty && quiet.error.isEmpty)
            let absent = try ctl(nil, "ready", "-q", "--control", "/nonexistent/s")
            #expect(absent.status == 3 && absent.output.isEmpty && absent.error.isEmpty)
        }
    }
}
