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

    /// What answers on the socket need not be limpetd, and who asks may be root.
    @Test func `A name cannot write to the terminal`() throws {
        try TestDaemon.run { (daemon) throws in
            daemon.plane.with { state in
                state.backends[0].name = "x\u{1B}]0;y\u{07}\u{9B}2J\nz"
                state.rows[0].backend = "x\u{1B}]0;y\u{07}\u{9B}2J\nz"
                state.changeError = ControlError(.refused, "no\u{1B}[2J\nlimpetctl: done")
            }
            for verb in ["backends", "connections"] {
                for form in [[], ["--plain"], ["--json"]] {
                    let result = try run(
                        LimpetctlTests.program, [verb] + form, environment: ["LIMPET_CONTROL": daemon.path])
                    #expect(result.status == 0 && result.output.contains("]0;y"), "\(result)")
                    let unsafe = result.output.unicodeScalars.filter {
                        $0.properties.generalCategory == .control && $0 != "\n" && $0 != "\t"
                    }
                    #expect(unsafe.isEmpty, "\(result.output.debugDescription)")
                    #expect(!result.output.contains("\nz"))
                }
            }
            let refused = try ctl(daemon, "drain", "mqtt/broker")
            #expect(refused.error == "limpetctl: no\\u001b[2J\\u000alimpetctl: done\n")
        }
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

    @Test func `Options are taken before the verb and after it`() throws {
        try TestDaemon.run { (daemon) throws in
            let path = daemon.path
            let all = [
                try ctl(nil, "--control", path, "--plain", "backends"),
                try ctl(nil, "backends", "--plain", "--control", path),
                try ctl(nil, "--plain", "backends", "--control=\(path)"), try ctl(daemon, "backends", "--plain"),
            ]
            #expect(Set(all.map(\.output)).count == 1)
            #expect(all.allSatisfy { $0.status == 0 })
            #expect(
                all[0].output.hasPrefix(
                    "chat\tws1\t127.0.0.1:9001\tup\tready\tup\t1\t1\t2\t0\t0\t17\t1288490189\t999\t3\t2\t2023-11-14T22:13:20.000Z\t-\t-\t-\toff\t-\t-\t-\t-\t-\t-\n"
                ))
        }
    }

    @Test func `Tables`() throws {
        try TestDaemon.run { (daemon) throws in
            daemon.plane.with { state in
                for index in state.backends.indices { state.backends[index].since = .now }
            }
            #expect(
                try ctl(daemon, "connections").output == """
                    ID    CLIENT              BACKEND      STATE           AGE    IDLE    BYTES
                    1     203.0.113.7:40000   chat/ws1     open          6d01h      3s  1.0 KiB
                    2     203.0.113.8:40001   chat/ws1     half_closed  12m05s  12m05s  2.0 KiB
                    1a2f  [2001:db8::7]:5222  mqtt/broker  open            47s      0s  6.4 MiB

                    """)
            #expect(
                try ctl(daemon, "listeners").output == """
                    SERVICE  ADDRESS     STATE      CONNS  ACCEPTED  REFUSED  REASON
                    chat     0.0.0.0:80  accepting      2        40        1  -
                    mqtt     [::]:1883   paused         1         7        0  no descriptor is left

                    """)
            #expect(
                try ctl(daemon, "where", "203.0.113.7", "--service", "chat").output == """
                    203.0.113.7 goes to chat/ws2: first of its order
                    key 203.0.113.7

                    ORDER  BACKEND  ELIGIBLE  REASON
                        1  ws2      yes       chosen
                        2  ws1      yes       -

                    """)
            let status = try ctl(daemon, "status").output
            #expect(status.hasPrefix("limpetd 9.8.7, ready, up 6d01h\nconnections    3 of at most 524128\n"))
            for verb in ["backends", "connections", "listeners", "status"] {
                let output = try ctl(daemon, verb).output
                #expect(output.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(verb)")
                #expect(!output.contains("\u{1B}"))
            }
            let wide = try ctl(daemon, "connections", "--wide").output
            #expect(wide.contains("BACKEND-LOCAL") && wide.contains("192.0.2.1:80"))
        }
    }

    @Test func `Plain has a field for everything and a dash for nothing`() throws {
        try TestDaemon.run { (daemon) throws in
            let lines = try ctl(daemon, "--plain", "connections").output.split(separator: "\n")
            #expect(
                lines[1].split(separator: "\t").map(String.init) == [
                    "2", "chat", "0.0.0.0:80", "ws1", "ws1", "203.0.113.8:40001", "203.0.113.8:40001", "192.0.2.1:80",
                    "127.0.0.1:9001", "-", "half_closed", "725.000", "725.000", "2000", "24", "0", "-", "-", "-", "-",
                    "-",
                    "-", "-", "-", "-", "-", "-",
                ])
            let wide = try ctl(daemon, "--plain", "connections", "--wide", "--limit", "2").output.split(separator: "\n")
            #expect(
                wide.map { $0.split(separator: "\t").suffix(10).map(String.init) } == [
                    ["0.012500", "3", "999", "7", "0.012500", "3", "999", "7", "65536", "0"],
                    ["0.012500", "3", "999", "7", "-", "-", "-", "-", "65536", "0"],
                ])
            // Of the rows that are sent, and of no others.
            #expect(daemon.plane.with { $0.kernelLooks } == 2)
            #expect(try ctl(daemon, "--plain", "listeners").output.hasSuffix("paused\tno descriptor is left\n"))
            #expect(try ctl(daemon, "--plain", "status").output.contains("\nlast_death\t-\n"))
        }
    }

    @Test func `JSON is one object with schema, version and time`() throws {
        try TestDaemon.run { (daemon) throws in
            for verb in ["status", "backends", "connections", "listeners", "config", "ready", "version"] {
                let json = try object(try ctl(daemon, "--json", verb).output)
                #expect(json["schema"] as? Int == 1, "\(verb)")
                #expect(json["version"] as? String == "9.8.7")
                #expect(json["time"] is String)
            }
            let rows = try object(try ctl(daemon, "connections", "--json").output)["connections"] as? [[String: Any]]
            #expect(rows?.count == 3)
            #expect(rows?[1]["backend_local"] is NSNull)
            let none = try object(try ctl(daemon, "connections", "--json", "--client", "10.0.0.1").output)
            #expect((none["connections"] as? [Any])?.isEmpty == true)
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

    @Test func `Versions`() throws {
        try TestDaemon.run { (daemon) throws in
            for arguments in ["version", "--version"] {
                #expect(try ctl(daemon, arguments).output == "limpetctl \(limpetVersion)\nlimpetd 9.8.7\n")
            }
        }
        let alone = try ctl(nil, "--version", "--control", "/nonexistent/s")
        #expect(alone.status == 0 && alone.output.hasPrefix("limpetctl \(limpetVersion)\n"))
        #expect(try ctl(nil, "version", "--control", "/nonexistent/s").status == 3)
    }

    @Test func `A wait that runs out is 6, and the backend stays draining`() throws {
        try TestDaemon.run { (daemon) throws in
            let result = try ctl(daemon, "drain", "ws1", "--wait", "--timeout", "0s")
            #expect(result.status == 6)
            #expect(result.output == "2 connections, oldest 6d01h\n")
            #expect(result.error == "limpetctl: chat/ws1: 2 connections left after 0s; it stays draining\n")
            let json = try ctl(daemon, "--json", "drain", "ws1", "--wait", "--timeout", "0s")
            let step = try object(json.output)
            #expect(step["connections"] as? Int == 2)
            #expect(step["oldest_seconds"] as? Double == 522_000)
        }
    }

    @Test func `A wait ends with the last connection, and when somebody undrains`() throws {
        try TestDaemon.run { (daemon) throws in
            let done = try waiting(daemon) { state in
                state.rows = []
                state.backends[0].connections = 0
                state.backends[0].state = .drained
            }
            #expect(done.status == 0)
            #expect(done.output == "2 connections, oldest 6d01h\n2 → 0 connections\nchat/ws1: drained\n")
        }
        try TestDaemon.run { (daemon) throws in
            let undone = try waiting(daemon) { state in
                state.backends[0].intent = .ready
                state.backends[0].state = .up
            }
            #expect(undone.status == 1)
            #expect(undone.error.contains("no longer draining"))
        }
    }

    /// Runs `drain ws1 --wait`, and changes the plane once the drain has begun and been looked at.
    private func waiting(
        _ daemon: TestDaemon, _ change: @escaping @Sendable (inout FakePlane.State) -> Void
    ) throws -> (status: Int32, output: String, error: String) {
        let thread = Thread {
            // The walk is the first look's search for the oldest connection.
            while daemon.plane.with({ $0.slotsSeen }) == 0 { usleep(1000) }
            daemon.plane.with { change(&$0) }
        }
        thread.start()
        return try ctl(daemon, "drain", "ws1", "--wait")
    }

    @Test func `Nobody reading ends it quietly`() throws {
        try TestDaemon.run(FakePlane(FakePlane.many(20_000))) { (daemon) throws in
            let result = try run(
                "/bin/bash",
                ["-c", "\"$0\" connections | head -n 1; echo ${PIPESTATUS[0]}", LimpetctlTests.program],
                environment: ["LIMPET_CONTROL": daemon.path, "PATH": "/usr/bin:/bin"])
            #expect(result.error.isEmpty)
            let lines = result.output.split(separator: "\n")
            #expect(lines.first?.hasPrefix("ID") == true)
            #expect(lines.last == "0")
        }
    }

    @Test(.enabled(if: access("/usr/bin/script", X_OK) == 0)) func `On a terminal it asks, and only a yes counts`()
        throws
    {
        try TestDaemon.run { (daemon) throws in
            func answering(_ answer: String) throws -> String {
                try run(
                    "/bin/bash",
                    [
                        "-c",
                        "echo \(answer) | script -qec \"$0 close --backend ws1\" /dev/null; echo ${PIPESTATUS[1]}",
                        LimpetctlTests.program,
                    ], environment: ["LIMPET_CONTROL": daemon.path, "PATH": "/usr/bin:/bin", "TERM": "dumb"]
                ).output.replacing("\r\n", with: "\n")
            }
            let no = try answering("n")
            #expect(no.contains("2 connections would be closed. Go on? [y/N]") && no.contains("nothing was done"))
            #expect(no.hasSuffix("\n1\n"))
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            let yes = try answering("y")
            #expect(yes.contains("closed 2 connections") && yes.hasSuffix("\n0\n"))
        }
    }

    @Test func `Watching prints one object after the other`() throws {
        try TestDaemon.run { (daemon) throws in
            let result = try run(
                "/bin/bash",
                [
                    "-c", "$0 --watch=0.1 --json ready; $0 --watch=0.1 --json backends | head -n 3",
                    LimpetctlTests.program,
                ],
                environment: ["LIMPET_CONTROL": daemon.path, "PATH": "/usr/bin:/bin"])
            #expect(result.error.contains("--watch does not go with ready"))
            let lines = result.output.split(separator: "\n")
            #expect(lines.count == 3)
            #expect(try lines.allSatisfy { try object(String($0))["backends"] is [Any] })
        }
    }

    @Test(
        .enabled(if: access("/usr/bin/script", X_OK) == 0), arguments: ["--watch=0.1 connections", "drain ws1 --wait"])
    func `A daemon that goes away leaves a terminal readable`(verb: String) throws {
        let daemon = try TestDaemon()
        let thread = Thread {
            while daemon.plane.with({ $0.slotsSeen }) == 0 { usleep(1000) }
            try? daemon.stop()
        }
        thread.start()
        let output = try run(
            "/bin/bash",
            ["-c", "script -qec \"$0 \(verb)\" /dev/null < /dev/null; exit ${PIPESTATUS[0]}", LimpetctlTests.program],
            environment: ["LIMPET_CONTROL": daemon.path, "PATH": "/usr/bin:/bin", "TERM": "xterm"]
        )
        #expect(output.status == 3)
        let error = try #require(output.output.range(of: "limpetctl: limpetd is not running"))
        let before = output.output[..<error.lowerBound]
        if verb.hasPrefix("drain") {
            // The line of progress has been cleared.
            #expect(before.hasSuffix("\r\u{1B}[K"))
        } else {
            // The last table is still there, and the message stands below it.
            let page = try #require(before.range(of: "\u{1B}[2J", options: .backwards))
            #expect(before[page.upperBound...].contains("203.0.113.7:40000") && before.hasSuffix("\r\n"))
        }
    }

    @Test func `A table of any length comes whole`() throws {
        try TestDaemon.run(FakePlane(FakePlane.many(20_000))) { (daemon) throws in
            #expect(try ctl(daemon, "connections", "--plain").output.split(separator: "\n").count == 20_000)
            #expect(try ctl(daemon, "connections").output.split(separator: "\n").count == 20_001)
            let json = try object(try ctl(daemon, "connections", "--json").output)
            #expect((json["connections"] as? [Any])?.count == 20_000)
        }
    }
}
