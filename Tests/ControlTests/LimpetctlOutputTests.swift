import Control
import Foundation
import Testing

/// What limpetctl prints, in each form, and for whom.
extension LimpetctlTests {
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
                    "chat\tws1\t127.0.0.1:9001\tup\tready\tup\t1\t1\t2\t0\t0\t17\t1288490189\t999\t3\t2\t2023-11-14T22:13:20.000Z\t-\t-\t-\toff\t-\t-\t-\t-\t-\t-\t-\t-\t-\n"
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

    @Test func `Capabilities are named, but for those of a root that stays root`() throws {
        try TestDaemon.run { (daemon) throws in
            let names = (1...40).map { "CAP_\($0)" }
            func shown() throws -> String? {
                try ctl(daemon, "status").output.split(separator: "\n").first { $0.hasPrefix("capabilities") }.map(
                    String.init)
            }
            #expect(try shown() == "capabilities   CAP_NET_BIND_SERVICE")
            daemon.plane.with { $0.capabilities = [] }
            #expect(try shown() == "capabilities   none")
            daemon.plane.with { $0.capabilities = Array(names.prefix(5)) }
            #expect(try shown() == "capabilities   CAP_1 CAP_2 CAP_3 CAP_4 CAP_5")
            daemon.plane.with { ($0.user, $0.capabilities) = ("root", names) }
            #expect(try shown() == "capabilities   all (40)")
            #expect(try ctl(daemon, "--json", "status").output.contains("CAP_40"))
        }
    }

    @Test func `The sandbox is one line, which says what is missing`() throws {
        try TestDaemon.run { (daemon) throws in
            func shown() throws -> String? {
                try ctl(daemon, "status").output.split(separator: "\n").first { $0.hasPrefix("sandbox") }.map(
                    String.init)
            }
            #expect(try shown() == "sandbox        system calls, files (Landlock ABI 2)")
            daemon.plane.with { ($0.sandbox.landlockABI, $0.sandbox.missing) = (nil, "no Landlock") }
            #expect(try shown() == "sandbox        system calls; no Landlock")
            daemon.plane.with { $0.sandbox.violations = 3 }
            #expect(try shown()?.hasSuffix("no Landlock; 3 calls refused (limpetd's log names them)") == true)
            daemon.plane.with { $0.sandbox.wanted = .off }
            #expect(try shown() == "sandbox        off")
            daemon.plane.with { $0.sandbox.wanted = .undecided }
            #expect(try shown()?.hasSuffix("restart it") == true)
            #expect(try ctl(daemon, "--plain", "status").output.contains("\nsandbox\toff: "))
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
            #expect(try ctl(daemon, "--plain", "listeners").output.hasSuffix("paused\tno descriptor is left\t-\n"))
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

    @Test func `A table of any length comes whole`() throws {
        try TestDaemon.run(FakePlane(FakePlane.many(20_000))) { (daemon) throws in
            #expect(try ctl(daemon, "connections", "--plain").output.split(separator: "\n").count == 20_000)
            #expect(try ctl(daemon, "connections").output.split(separator: "\n").count == 20_001)
            let json = try object(try ctl(daemon, "connections", "--json").output)
            #expect((json["connections"] as? [Any])?.count == 20_000)
        }
    }
}
