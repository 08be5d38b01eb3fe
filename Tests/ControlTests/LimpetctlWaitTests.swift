import Control
import Foundation
import Testing

/// limpetctl where it takes its time: while it waits, and on a terminal.
extension LimpetctlTests {
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
}
