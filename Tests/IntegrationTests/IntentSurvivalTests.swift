import Foundation
import Testing

/// What survives restarts, deaths, upgrades and reloads.
extension IntentTests {
    @Test func everythingHoldsOverARestart() throws {
        let scene = try Restartable(backends: 4)
        var daemon = try scene.start()
        let source = try daemon.source(preferring: "ws1")
        let (rows, status) = try setIntents(daemon.ctl)
        #expect(
            status.differences.map { "\($0.backend) \($0.value) \($0.configured)" } == [
                "ws1 drain ready", "ws2 maintenance ready", "ws3 7 1",
            ])
        let text = try daemon.ctl.expect("status")
        #expect(text.contains("3 values differ from the configuration:\n  chat/ws1 drain since 20"), "\(text)")
        for ending in ["orderly", "by SIGKILL"] {
            if ending == "orderly" { try daemon.stop() } else { try daemon.kill() }
            daemon = try scene.start()
            let now = try daemon.ctl.backends()
            #expect(now.map(\.intent) == ["drain", "maintenance", "ready", "ready"], "\(ending)")
            #expect(now.map(\.state) == ["drained", "maintenance", "up", "up"])
            #expect(now.map(\.weight) == [1, 1, 7, 1])
            #expect(now.map(\.intentSince) == rows.map(\.intentSince))
            #expect(now.map(\.weightSince) == rows.map(\.weightSince))
            #expect(now[0].closesAt != nil && now[1].closesAt == nil)
            // Maintenance has lasted since it was asked for.
            #expect(now[1].since == rows[1].intentSince)
            let after = try daemon.ctl.status()
            #expect(after.differences == status.differences)
            #expect(after.services.map(\.mappingHash) == status.services.map(\.mappingHash))
            #expect(daemon.logLines(containing: "in force as an operator had set it").count == 3)
            let client = try daemon.connect(from: source)
            #expect(!(try client.receiveLine().hasPrefix("ws1")))
            client.close()
        }
        try daemon.ctl.expect("undrain", "ws1")
        try daemon.ctl.expect("enable", "ws2")
        try daemon.ctl.expect("weight", "ws3", "file")
        #expect(try daemon.ctl.status().differences == [])
        try daemon.kill()
        daemon = try scene.start()
        #expect(try daemon.ctl.backends().allSatisfy { $0.intent == "ready" && $0.weight == 1 })
        try daemon.stop()
    }

    @Test func aRemovedBackendIsForgotten() throws {
        let scene = try Restartable()
        var daemon = try scene.start()
        try daemon.ctl.expect("drain", "ws1")
        try daemon.ctl.expect("drain", "ws2")
        try daemon.stop()
        scene.without = ["ws2"]
        daemon = try scene.start()
        #expect(try daemon.ctl.backends().map(\.intent) == ["drain", "ready"])
        #expect(daemon.logLines(containing: "is forgotten", "chat/ws2").count == 1)
        try eventually("the file forgets it too") { scene.kept?.contains("ws2") == false }
        try daemon.stop()
        scene.without = []
        daemon = try scene.start()
        #expect(try daemon.ctl.backends().map(\.intent) == ["drain", "ready", "ready"])
        try daemon.stop()
    }

    @Test func everythingHoldsOverTheDeathOfAnEngine() throws {
        let scene = try Restartable(backends: 4)
        let daemon = try scene.start()
        let ctl = daemon.ctl
        let (rows, status) = try setIntents(ctl)
        // The region counts, not the file.
        try "damaged".write(toFile: scene.file, atomically: false, encoding: .utf8)
        try killEngine(daemon)
        let now = try ctl.backends()
        #expect(now.map(\.state) == rows.map(\.state) && now.map(\.weight) == [1, 1, 7, 1])
        #expect(now.map(\.intentSince) == rows.map(\.intentSince))
        #expect(now.map(\.weightSince) == rows.map(\.weightSince))
        #expect(now.map(\.since) == rows.map(\.since), "the age of a state goes on")
        #expect(now[0].closesAt != nil)
        let after = try ctl.status()
        #expect(after.differences == status.differences && after.engineGeneration == 2)
        #expect(after.services.map(\.mappingHash) == status.services.map(\.mappingHash))
        try eventually("what may not have been written is written again") {
            scene.kept?.contains("\"ws1\"") == true
        }
        #expect(scene.aside == [])
        try daemon.stop()
    }

    @Test func aTimeThatIsSetGoesOnOverTheDeathOfAnEngine() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        try daemon.ctl.expect("drain", "ws1", "--deadline", "2s")
        try killEngine(daemon)
        #expect(try daemon.ctl.backend("ws1").state == "drained")
        // It comes, and is carried out.
        try eventually("the time has come") { try daemon.ctl.backend("ws1").closesAt == nil }
        #expect(try daemon.ctl.backend("ws1").intent == "drain")
        try daemon.stop()
    }

    @Test func everythingHoldsOverAnUpgrade() throws {
        let scene = try Restartable(backends: 4)
        let daemon = try scene.start()
        let ctl = daemon.ctl
        let (rows, status) = try setIntents(ctl)
        try ctl.expect("upgrade")
        let (now, after) = (try ctl.backends(), try ctl.status())
        #expect(after.enginePid != status.enginePid)
        #expect(now.map(\.state) == rows.map(\.state) && now.map(\.weight) == [1, 1, 7, 1])
        #expect(now.map(\.intentSince) == rows.map(\.intentSince) && now.map(\.since) == rows.map(\.since))
        #expect(now[0].closesAt != nil)
        #expect(after.differences == status.differences)
        #expect(after.services.map(\.mappingHash) == status.services.map(\.mappingHash))
        try daemon.stop()
    }

    /// What a reload leaves alone holds; a weight that it changes is newer; a backend that it removes is forgotten.
    @Test func aReloadKeepsWhatItDoesNotTouch() throws {
        let scene = try Restartable(backends: 4)
        var daemon = try scene.start()
        let ctl = daemon.ctl
        try ctl.expect("drain", "ws1", "--deadline", "1h")
        try ctl.expect("weight", "ws2", "5")
        try ctl.expect("weight", "ws3", "7")
        try ctl.expect("disable", "ws4")
        let rows = try ctl.backends()
        scene.weights = ["ws1": 2, "ws3": 3]
        scene.without = ["ws4"]
        try scene.reload(daemon)
        let now = try ctl.backends()
        #expect(now.map(\.name) == ["ws1", "ws2", "ws3"])
        #expect(now.map(\.intent) == ["drain", "ready", "ready"] && now.map(\.weight) == [2, 5, 3])
        #expect(now[0].intentSince == rows[0].intentSince && now[0].closesAt != nil)
        #expect(now[1].weightSince == rows[1].weightSince && now[2].weightSince == nil)
        #expect(daemon.logLines(containing: "gives way to the configuration's", "chat/ws3").count == 1)
        // Back again, it begins anew; and so does what the file says of it.
        scene.without = []
        try scene.reload(daemon)
        #expect(try ctl.backend("ws4").intent == "ready")
        try eventually("the file knows") { scene.kept.map { !$0.contains("ws4") && !$0.contains("ws3") } ?? false }
        try daemon.kill()
        daemon = try scene.start()
        #expect(try daemon.ctl.backends().map(\.intent) == ["drain", "ready", "ready", "ready"])
        #expect(try daemon.ctl.backends().map(\.weight) == [2, 5, 3, 1])
        try daemon.stop()
    }

    /// The connections are those from before, and they are closed when it was said that they would be.
    @Test func whatIsLeftIsClosedByAnEngineThatTookOver() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let (mine, other) = (try daemon.source(preferring: "ws1"), try daemon.source(preferring: "ws2"))
        let leaving = try (0..<20).map { _ in try daemon.connect(from: mine) }
        let staying = try daemon.connect(from: other)
        for client in leaving + [staying] { _ = try client.receiveLine() }
        try daemon.ctl.expect("drain", "ws1", "--deadline", "3s")
        let closesAt = try daemon.ctl.backend("ws1").closesAt
        try killEngine(daemon)
        for client in leaving { #expect(try client.receiveToEnd() == ([], .fin)) }
        let now = try daemon.ctl.status().time
        #expect(closesAt.map { now >= $0 } == true, "\(now), and not before \(closesAt ?? "")")
        for client in leaving { client.close() }
        #expect(staying.isQuiet)
        try eventually("all is done") { try daemon.ctl.backend("ws1").closesAt == nil }
        #expect(try daemon.ctl.backend("ws1").state == "drained")
        staying.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Closing takes a second: a death in the middle of it leaves nobody behind.
    @Test func aClosingThatADeathInterruptsGoesOn() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let mine = try daemon.source(preferring: "ws1")
        let clients = try (0..<30).map { _ in try daemon.connect(from: mine) }
        for client in clients { _ = try client.receiveLine() }
        let engine = try daemon.enginePID
        try daemon.ctl.expect("disable", "ws1", "--close", "--force")
        kill(engine, SIGKILL)
        for client in clients {
            #expect(try client.receiveToEnd() == ([], .fin))
            client.close()
        }
        try eventually("all is done") {
            try daemon.ctl.run("ready", "-q").status == 0 && daemon.ctl.backend("ws1").closesAt == nil
        }
        #expect(try daemon.ctl.backend("ws1").state == "maintenance")
        #expect(try daemon.ctl.status().engineGeneration == 2)
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func aTimeThatPassedWhileNobodyRanIsCarriedOut() throws {
        let scene = try Restartable()
        var daemon = try scene.start()
        try daemon.ctl.expect("drain", "ws1", "--deadline", "1s")
        let due = Date() + 1
        try daemon.kill()
        #expect(scene.kept?.contains("closes_at") == true)
        try eventually("the time has passed") { Date() > due }
        daemon = try scene.start()
        try eventually("the time has gone") { try daemon.ctl.backend("ws1").closesAt == nil }
        #expect(try daemon.ctl.backend("ws1").intent == "drain")
        try eventually("from the file too") { scene.kept?.contains("closes_at") == false }
        try daemon.stop()
    }

    /// Whatever was answered holds, whenever both processes are killed; and the file is whole.
    @Test func noMomentToDieLosesWhatWasAnswered() throws {
        let scene = try Restartable()
        var answered = 1
        for round in 0..<8 {
            let daemon = try scene.start()
            let weight = try daemon.ctl.backend("ws1").weight
            #expect(weight == answered || weight == answered % 200 + 2, "round \(round)")
            let ctl = daemon.ctl
            let first = weight
            let work = Background("weights until the daemon has gone") {
                var last = first
                while true {
                    let next = last % 200 + 2
                    if try ctl.run("weight", "ws1", "\(next)").status != 0 { return last }
                    last = next
                }
            }
            // Some time into it, at a point that differs from round to round.
            try eventually("some are done") { try daemon.ctl.backend("ws1").weight != first }
            usleep(UInt32.random(in: 0..<20_000))
            try daemon.kill()
            answered = try work.value()
        }
        #expect(scene.aside == [])
    }

    /// One backend of each intent and one of another weight, and what is shown then.
    private func setIntents(_ ctl: Ctl) throws -> (rows: [BackendRow], status: StatusDocument) {
        try ctl.expect("drain", "ws1", "--deadline", "1h")
        try ctl.expect("disable", "ws2")
        try ctl.expect("weight", "ws3", "7")
        return (try ctl.backends(), try ctl.status())
    }

    private func killEngine(_ daemon: Daemon) throws {
        let before = try daemon.ctl.status()
        kill(before.enginePid, SIGKILL)
        try eventually("the next engine answers") {
            let outcome = try daemon.ctl.run("--json", "status")
            guard outcome.status == 0 else { return false }
            return try Ctl.decode(StatusDocument.self, outcome.stdout).enginePid != before.enginePid
        }
    }

    @Test func manyAtOnceAreAllWrittenDown() throws {
        let scene = try Restartable(backends: 8)
        var daemon = try scene.start()
        let ctl = daemon.ctl
        let done = (1...8).map { number in
            Background("weight \(number)") { try ctl.run("weight", "ws\(number)", "\(number + 1)") }
        }
        for each in done { #expect(try each.value().status == 0) }
        try daemon.kill()
        daemon = try scene.start()
        #expect(try daemon.ctl.backends().map(\.weight) == Array(2...9))
        try daemon.stop()
    }
}
