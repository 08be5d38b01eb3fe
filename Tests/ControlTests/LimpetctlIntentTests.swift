import Control
import Foundation
import Testing

/// What operators set, and how it shows.
extension LimpetctlTests {
    @Test func `Drain and undrain`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(
                try ctl(daemon, "drain", "ws1", "--deadline", "10m").output
                    == "chat/ws1: draining, 2 connections left\n")
            #expect(try ctl(daemon, "undrain", "chat/ws1").output == "chat/ws1: up\n")
            #expect(try ctl(daemon, "drain", "chat/ws2").output == "chat/ws2: drained\n")
            #expect(
                daemon.plane.with { $0.changes } == [
                    "drain chat/ws1 deadline 600.0", "undrain chat/ws1", "drain chat/ws2",
                ])
        }
    }

    @Test func `A drain at a pace`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "drain", "ws1", "--rate", "20/s").status == 0)
            let long = try ctl(
                daemon, "drain", "ws1", "--over", "10m", "--grace", "60s", "--order", "idle", "--deadline", "30m",
                "--force")
            #expect(long.status == 0, "\(long)")
            #expect(
                daemon.plane.with { $0.changes } == [
                    "drain chat/ws1 rate(20.0) random grace 0.0",
                    "drain chat/ws1 over(600.0) idle grace 60.0 deadline 1800.0 force",
                ])
        }
    }

    @Test func `A drain shows where it stands`() throws {
        try TestDaemon.run { (daemon) throws in
            daemon.plane.with { state in
                state.backends[0].intent = .drain
                state.backends[0].state = .draining
                state.backends[0].drain = DrainRow(
                    phase: .paused, reason: "ws2 is full", rate: 0.35, order: "random", secondsLeft: nil)
            }
            #expect(try ctl(daemon, "--wide", "backends").output.contains("  paused: ws2 is full  "))
            let table = try ctl(daemon, "backends").output
            #expect(table.hasSuffix("\n\nchat/ws1: its drain is paused: ws2 is full\n"), "\(table)")
            let waited = try ctl(daemon, "wait", "ws1", "drained", "--timeout", "0s")
            #expect(waited.status == 6 && waited.output.contains(", paused: ws2 is full\n"), "\(waited)")
            #expect(waited.error == "limpetctl: chat/ws1: 2 connections left after 0s; it stays draining\n")
            daemon.plane.with { $0.backends[0].drain?.phase = .shedding }
            daemon.plane.with { $0.backends[0].drain?.secondsLeft = 150 }
            #expect(try ctl(daemon, "--wide", "backends").output.contains("  shedding 0.35/s, 3 min left  "))
            let step = try object(try ctl(daemon, "--json", "wait", "ws1", "drained", "--timeout", "0s").output)
            #expect(step["phase"] as? String == "shedding" && step["seconds_left"] as? Double == 150)
        }
    }

    @Test func `A plan`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(
                try ctl(daemon, "plan", "disable", "ws1").output == """
                    disable of chat/ws1: nothing has changed

                    chat: 120 of 340 connections would move
                    BACKEND  CONNS  LEAVING  ARRIVING   SHARE  AFTER  LIMIT
                    ws1        120      120         0     0 %      0      -
                    ws2        220        0       118  98.3 %    338    338
                    fullest backend over the average: 1.02 now
                    ws2 would be full, with 338: 5 of its heirs would go on to their next choice
                    2 connections would find no backend
                    it would leave service chat without a backend that takes new connections

                    """)
            #expect(
                try ctl(daemon, "--plain", "plan", "weight", "ws1", "9").output == """
                    ws1\t120\t120\t0\t0.0\t0\t-\t0
                    ws2\t220\t0\t118\t0.9833\t338\t338\t5

                    """)
            #expect(try object(try ctl(daemon, "--json", "plan", "weight", "ws1", "9").output)["weight"] as? Int == 9)
        }
    }

    @Test func `Waiting for a backend that is up`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "wait", "ws1", "up").output == "chat/ws1: up\n")
            daemon.plane.with { $0.backends[0].state = .down }
            let waited = try ctl(daemon, "wait", "ws1", "up", "--timeout", "0s")
            #expect(waited.status == 6 && waited.error == "limpetctl: chat/ws1: still down after 0s\n", "\(waited)")
        }
    }

    @Test func `Disable and enable`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "disable", "ws1").output == "chat/ws1: maintenance, 2 connections kept\n")
            #expect(
                try ctl(daemon, "disable", "ws1", "--close", "--force").output
                    == "chat/ws1: maintenance, 2 connections closing\n")
            #expect(try ctl(daemon, "enable", "chat/ws1").output == "chat/ws1: up\n")
            #expect(try ctl(daemon, "disable", "chat/ws2").output == "chat/ws2: maintenance\n")
            daemon.plane.with { $0.changeError = ControlError(.needsForce, "service chat would be empty") }
            let refused = try ctl(daemon, "disable", "chat/ws2")
            #expect(refused.status == 8 && refused.output.isEmpty)
            #expect(refused.error == "limpetctl: service chat would be empty; refused; --force would\n")
            #expect(try ctl(daemon, "disable", "chat/ws2", "--force").status == 0)
            #expect(
                daemon.plane.with { $0.changes } == [
                    "disable chat/ws1", "disable chat/ws1 close force", "enable chat/ws1", "disable chat/ws2",
                    "disable chat/ws2 force",
                ])
        }
    }

    @Test func `Weights are set and given back`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ctl(daemon, "weight", "ws1", "256").output == "chat/ws1: weight 256, configured 1\n")
            #expect(try ctl(daemon, "weight", "chat/ws1", "file").output == "chat/ws1: weight 1, as configured\n")
            let row = try object(try ctl(daemon, "--json", "weight", "ws1", "7").output)
            #expect((row["backends"] as? [[String: Any]])?.first?["weight"] as? Int == 7)
            #expect(row["unsaved"] is NSNull)
            #expect(
                daemon.plane.with { $0.changes } == [
                    "weight chat/ws1 256", "weight chat/ws1 file", "weight chat/ws1 7",
                ])
        }
    }

    @Test func `A weight that is not the configured one can be told in the table`() throws {
        try TestDaemon.run { (daemon) throws in
            daemon.plane.with { state in
                state.backends[0].weight = 16
                state.backends[0].weightSince = .now
                state.backends[0].closesAt = Timestamp(milliseconds: Timestamp.now.milliseconds + 7_200_500)
            }
            let rows = try ctl(daemon, "backends").output.split(separator: "\n")
            #expect(rows[1].contains("  16 (1)  ") && rows[2].contains("       1  "), "\(rows)")
            #expect(rows.allSatisfy { $0.count <= 80 })
            let wide = try ctl(daemon, "backends", "--wide").output.split(separator: "\n")
            #expect(
                wide[0].contains("  CLOSES-IN  ") && wide[1].contains("      2h00m  ") && !wide[2].contains("2h00m"))
        }
    }

    /// It is done, so the status is 0; but a restart would undo it, so somebody must hear of it.
    @Test(arguments: [
        ["drain", "ws1"], ["undrain", "ws1"], ["disable", "ws1"], ["enable", "ws1"], ["weight", "ws1", "3"],
        ["drain", "chat/ws2", "--wait"],
    ])
    func `What a restart would forget is said on stderr`(arguments: [String]) throws {
        var state = FakePlane.State()
        state.unsaved = "cannot write /var/lib/limpet/intent.json.new: No space left"
        try TestDaemon.run(FakePlane(state)) { (daemon) throws in
            let environment = ["LIMPET_CONTROL": daemon.path]
            let result = try run(LimpetctlTests.program, arguments, environment: environment)
            #expect(result.status == 0)
            #expect(!result.output.isEmpty && !result.output.contains("No space left"))
            #expect(
                result.error == """
                    limpetctl: warning: done, but a restart would forget it: cannot write \
                    /var/lib/limpet/intent.json.new: No space left

                    """)
            if arguments.contains("--wait") { return }
            let json = try object(
                try run(LimpetctlTests.program, arguments + ["--json"], environment: environment).output)
            #expect((json["unsaved"] as? String)?.contains("No space left") == true)
        }
    }

    @Test func `Status says what differs from the configuration`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(!(try ctl(daemon, "status").output.contains("differ")))
            #expect(try ctl(daemon, "--plain", "status").output.contains("\nunsaved\t-\n"))
            let since = Timestamp(milliseconds: 1_700_000_000_000)
            daemon.plane.with { state in
                state.differences = [
                    Difference(
                        service: "chat", backend: "ws1", field: .intent, value: "drain", configured: "ready",
                        since: since),
                    Difference(
                        service: "mqtt", backend: "broker", field: .weight, value: "5", configured: "1", since: since),
                ]
                state.unsaved = "cannot write: No space left"
            }
            #expect(
                try ctl(daemon, "status").output.contains(
                    """

                    2 values differ from the configuration:
                      chat/ws1 drain since 2023-11-14T22:13:20.000Z
                      mqtt/broker weight 5 in place of 1 since 2023-11-14T22:13:20.000Z
                    a restart would forget what operators have set:
                      cannot write: No space left

                    """))
            #expect(
                try ctl(daemon, "--plain", "status").output.hasSuffix(
                    """
                    intent/chat/ws1\tdrain ready 2023-11-14T22:13:20.000Z
                    weight/mqtt/broker\t5 1 2023-11-14T22:13:20.000Z

                    """))
            let many = (1...30).map {
                Difference(
                    service: "chat", backend: "b\($0)", field: .intent, value: "drain", configured: "ready",
                    since: since)
            }
            daemon.plane.with { $0.differences = many }
            let long = try ctl(daemon, "status").output
            #expect(long.contains("30 values differ") && long.contains("chat/b10 ") && !long.contains("chat/b11 "))
            #expect(long.contains("  and 20 more (limpetctl status --plain has all)"))
            #expect(long.split(separator: "\n").allSatisfy { $0.count <= 80 })
        }
    }
}
