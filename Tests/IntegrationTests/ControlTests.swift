import Foundation
import Testing

/// The verbs of limpetctl, what they print, and with which status they end.
@Suite(.ownThread, .fence)
struct ControlTests {
    @Test func statusSaysWhatIsTrue() throws {
        let lane = try Lane(["--workers", "3", "--max-connections", "77"])
        let pair = try lane.open()
        let status = try lane.daemon.ctl.status()
        #expect(status.schema == 1)
        #expect(status.pid == lane.daemon.pid && status.enginePid != status.pid && status.engineGeneration == 1)
        #expect(status.ready && status.workers == 3 && status.connections == 1 && status.maxConnections == 77)
        #expect(status.uptimeSeconds >= 0 && !status.configHash.isEmpty)
        #expect(status.services.map(\.name) == ["default"])
        #expect(try lane.daemon.ctl.expect("status").contains(String(lane.daemon.pid)))
        pair.close()
        try lane.finish()
    }

    /// Every field is there in every object, null where there is nothing.
    @Test func fieldsAreNeverLeftOut() throws {
        let lane = try Lane()
        let hanging = try HangingListener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: hanging.address)]
        let dialling = try Daemon(setup)
        let pair = try lane.open()
        let waiting = try dialling.connect()
        _ = try dialling.connections(1)
        let expected = [
            "status": ["last_death", "services", "config_hash", "engine_generation", "differences", "unsaved"],
            "listeners": ["service", "address", "connections", "state", "reason"],
            "backends": [
                "since", "away", "weight_configured", "fallbacks", "intent_since", "closes_at", "weight_since", "ramp",
            ],
            "connections": ["backend_local", "peer", "home", "idle_seconds", "worker"],
        ]
        for (verb, fields) in expected {
            for daemon in [lane.daemon, dialling] {
                let text = try daemon.ctl.expect("--json", verb)
                let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
                for field in ["schema", "version", "time"] { #expect(object[field] != nil, "\(verb): \(field)") }
                let row = (object[verb] as? [[String: Any]]).map(\.first) ?? object
                for field in fields { #expect(row?[field] != nil, "\(verb): \(field) in \(text)") }
            }
        }
        waiting.reset()
        try dialling.waitUntilIdle()
        try dialling.stop()
        pair.close()
        try lane.finish()
    }

    @Test func plainOutputIsTabSeparatedWithoutAHeader() throws {
        let lane = try Lane()
        let pair = try lane.open()
        for (verb, first) in [("backends", "default"), ("connections", ""), ("listeners", "default")] {
            let lines = try lane.daemon.ctl.expect("--plain", verb).split(separator: "\n")
            #expect(lines.count == 1, "\(verb): \(lines)")
            #expect(lines.first?.contains("\t") == true)
            #expect(lines.first?.hasPrefix(first) == true)
            // A header would bring the number of columns out of step with itself; the table has one.
            #expect(try lane.daemon.ctl.expect(verb).split(separator: "\n").count >= 2)
        }
        pair.close()
        try lane.finish()
    }

    @Test func tablesFitIntoEightyColumnsUnlessWide() throws {
        let lane = try Lane()
        let pair = try lane.open()
        for verb in ["backends", "connections", "listeners", "status"] {
            let lines = try lane.daemon.ctl.expect(verb).split(separator: "\n")
            #expect(lines.allSatisfy { $0.count <= 80 }, "\(lines.joined(separator: "\n"))")
            #expect(!lines.joined().contains("\u{1b}"), "colour although this is no terminal")
        }
        let (narrow, wide) = (
            try lane.daemon.ctl.expect("connections"), try lane.daemon.ctl.expect("connections", "--wide")
        )
        #expect(wide.split(separator: "\n")[0].count > narrow.split(separator: "\n")[0].count)
        #expect(wide.contains(pair.client.local.description))
        pair.close()
        try lane.finish()
    }

    @Test func exitStatusesAndSuggestions() throws {
        let backends = try (0..<3).map { _ in try BackendServer(.echo) }
        var setup = Daemon.Setup()
        setup.backends = backends.enumerated().map {
            Daemon.Backend(name: "ws\($0.offset + 1)", address: $0.element.address)
        }
        let daemon = try Daemon(setup)
        let ctl = daemon.ctl
        let unknown = try ctl.run("drain", "sw1")
        #expect(
            unknown.status == 4 && unknown.stderr.contains("did you mean") && unknown.stderr.contains("ws1"),
            "\(unknown)")
        let far = try ctl.run("drain", "quite-something-else")
        #expect(far.status == 4 && !far.stderr.contains("did you mean"), "\(far)")
        #expect(try ctl.run("drain", "default/ws9").status == 4)
        #expect(try ctl.run("drain", "chat/ws1").status == 4)
        #expect(try ctl.run("connections", "--backend", "nobody").status == 4)
        for arguments in [
            ["frobnicate"], ["drain"], ["where", "not-an-address"], ["close"], ["close", "xyz"],
            ["connections", "--client", "x"],
            ["connections", "--state", "asleep"], ["connections", "--sort", "taste"], ["--json", "--plain", "status"],
            ["drain", "ws1", "--deadline", "soon"],
        ] {
            let outcome = try ctl.run(arguments)
            #expect(outcome.status == 2, "\(arguments): \(outcome)")
            #expect(outcome.stdout == "" && outcome.stderr.contains("limpetctl"), "\(arguments): \(outcome)")
        }
        let nowhere = Ctl(control: "\(daemon.directory)/nothing.sock")
        for verb in [["status"], ["ready", "-q"], ["drain", "ws1"]] {
            #expect(try nowhere.run(verb).status == 3, "\(verb)")
        }
        #expect(try nowhere.run("status").stderr.contains("\(daemon.directory)/nothing.sock"))
        #expect(try nowhere.run("ready", "-q").stderr == "")
        // No such connection any more, or never.
        #expect(try ctl.run("close", "ffffff").status == 4)
        // Nothing of all that has changed anything.
        #expect(try ctl.backends().allSatisfy { $0.intent == "ready" && $0.state == "up" })
        try daemon.stop()
    }

    @Test func theControlSocketMayBeNamedByTheEnvironment() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let outcome = try run([Programs.limpetctl, "ready"], environment: ["LIMPET_CONTROL": daemon.ctl.control])
        #expect(outcome.status == 0, "\(outcome)")
        // Options are taken after the verb as well.
        #expect(try run([Programs.limpetctl, "status", "--control", daemon.ctl.control, "--json"]).status == 0)
        try daemon.stop()
    }

    @Test func versionOfBothSides() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let text = try daemon.ctl.expect("version")
        let own = try run([Programs.limpetd, "--version"]).stdout.trimmingCharacters(in: .whitespacesAndNewlines)
        let number = try #require(own.split(separator: " ").last)
        #expect(text.contains(number), "\(text)")
        #expect(try daemon.ctl.status().version == number)
        try daemon.stop()
    }

    /// One document per line, until it is told to stop.
    @Test func watchPrintsOneDocumentPerLine() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let watch = try ChildProcess(
            [Programs.limpetctl, "--control", daemon.ctl.control, "--json", "--watch=1", "backends"])
        try eventually("three documents; stderr: \(watch.stderr)") { watch.stdout.split(separator: "\n").count >= 3 }
        watch.signal(SIGTERM)
        _ = try watch.wait()
        let complete = watch.stdout.split(separator: "\n").prefix(3).map(String.init)
        for line in complete { #expect(try Ctl.decode(BackendsDocument.self, line).backends.count == 1) }
        try daemon.stop()
    }

    @Test func drainWaitsUntilTheLastHasGone() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let source = try daemon.source(preferring: "b1")
        let clients = try (0..<3).map { _ in try daemon.connect(from: source) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b1")) }
        let drain = try ChildProcess([Programs.limpetctl, "--control", daemon.ctl.control, "drain", "b1", "--wait"])
        try eventually("b1 drains") { try daemon.ctl.backend("b1").state == "draining" }
        for client in clients {
            #expect(drain.poll() == nil, "it did not wait: \(drain.stdout) \(drain.stderr)")
            client.close()
        }
        #expect(try drain.wait() == .exit(0))
        #expect(try daemon.ctl.backend("b1").state == "drained")
        try daemon.stop()
    }

    @Test func aWaitMayRunOut() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let client = try daemon.connect(from: daemon.source(preferring: "b1"))
        _ = try client.receiveLine()
        let outcome = try daemon.ctl.run("drain", "b1", "--wait", "--timeout", "500ms")
        #expect(outcome.status == 6 && outcome.stderr.contains("b1"), "\(outcome)")
        // The drain itself stands.
        #expect(try daemon.ctl.backend("b1").state == "draining")
        #expect(client.isQuiet)
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Who waits for a daemon that dies is told.
    @Test func aWaitEndsWithTheDaemon() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let client = try daemon.connect(from: daemon.source(preferring: "b1"))
        _ = try client.receiveLine()
        let drain = try ChildProcess([Programs.limpetctl, "--control", daemon.ctl.control, "drain", "b1", "--wait"])
        try eventually("b1 drains") { try daemon.ctl.backend("b1").state == "draining" }
        try daemon.kill()
        #expect(try drain.wait() == .exit(3), "\(drain.stdout) \(drain.stderr)")
        #expect(drain.stderr.contains(daemon.ctl.control))
    }

    @Test func aDrainsDeadlineClosesWhatIsLeftAndNothingElse() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let (one, other) = (try daemon.source(preferring: "b1"), try daemon.source(preferring: "b2"))
        let staying = try daemon.connect(from: other)
        let leaving = try (0..<5).map { _ in try daemon.connect(from: one) }
        for client in leaving + [staying] { _ = try client.receiveLine() }
        try daemon.ctl.expect("drain", "b1", "--deadline", "500ms")
        for client in leaving { #expect(try client.receiveToEnd() == ([], .fin)) }
        #expect(staying.isQuiet)
        for each in leaving { each.close() }
        try eventually("b1 is drained") { try daemon.ctl.backend("b1").state == "drained" }
        #expect(daemon.logLines(containing: "control: drain default/b1 --deadline 500ms").count == 1)
        #expect(try daemon.ctl.locate(one).preference.first?.reason == "draining")
        // An undrain before the deadline takes it back.
        try daemon.ctl.expect("undrain", "b1")
        let again = try daemon.connect(from: one)
        #expect(try again.receiveLine().hasPrefix("b1"))
        try daemon.ctl.expect("drain", "b1", "--deadline", "5s")
        try daemon.ctl.expect("undrain", "b1")
        // Nor does it come back with the next drain, which has none.
        try daemon.ctl.expect("drain", "b1")
        #expect(holds(for: .seconds(7)) { again.isQuiet })
        again.close()
        staying.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func theLastBackendIsDrainedOnlyByForce() throws {
        let (first, second) = (try BackendServer(.echo), try BackendServer(.echo))
        let daemon = try Daemon([first.address, second.address])
        try daemon.ctl.expect("drain", "b1")
        let refused = try daemon.ctl.run("drain", "b2")
        #expect(refused.status == 8 && refused.stderr.contains("--force"), "\(refused)")
        #expect(try daemon.ctl.backend("b2").intent == "ready")
        try daemon.ctl.expect("drain", "b2", "--force")
        #expect(try daemon.ctl.locate("127.0.0.1").chosen == nil)
        #expect(try daemon.connect().receiveToEnd() == ([], .reset))
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
