import Foundation
import Testing

/// What operators set at run time: what it means, and that it outlives the daemon.
@Suite(.ownThread, .fence)
struct IntentTests {
    // MARK: What the verbs mean

    @Test func whatMakesNoSenseIsRefusedAndChangesNothing() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let ctl = daemon.ctl
        for verb in [["disable"], ["enable"], ["weight", "5"], ["drain"], ["undrain"]] {
            let arguments = verb.count == 1 ? [verb[0], "sw1"] : [verb[0], "sw1", verb[1]]
            let unknown = try ctl.run(arguments)
            #expect(unknown.status == 4 && unknown.stderr.contains("did you mean ws1?"), "\(arguments): \(unknown)")
        }
        for arguments in [
            ["weight", "ws1"], ["weight", "ws1", "0"], ["weight", "ws1", "257"], ["weight", "ws1", "2.5"],
            ["weight", "ws1", "fiel"], ["disable"], ["disable", "ws1", "--over", "5s"], ["enable", "ws1", "--force"],
        ] {
            let outcome = try ctl.run(arguments)
            #expect(outcome.status == 2 && outcome.stdout == "", "\(arguments): \(outcome)")
        }
        #expect(try ctl.backends().allSatisfy { $0.intent == "ready" && $0.weight == 1 && $0.state == "up" })
        #expect(try ctl.status().differences == [])
        try daemon.stop()
    }

    @Test func eachVerbUndoesItsOwn() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let ctl = daemon.ctl
        #expect(try ctl.expect("disable", "ws1") == "chat/ws1: maintenance\n")
        let undrain = try ctl.run("undrain", "ws1")
        #expect(undrain.status == 1 && undrain.stderr.contains("enable"), "\(undrain)")
        #expect(try ctl.backend("ws1").state == "maintenance")
        #expect(try ctl.expect("enable", "ws1") == "chat/ws1: up\n")
        // Again is no harm.
        #expect(try ctl.expect("enable", "ws1") == "chat/ws1: up\n")
        #expect(try ctl.expect("undrain", "ws1") == "chat/ws1: up\n")
        try ctl.expect("drain", "ws2")
        let enable = try ctl.run("enable", "ws2")
        #expect(enable.status == 1 && enable.stderr.contains("undrain"), "\(enable)")
        #expect(try ctl.backend("ws2").state == "drained")
        // From one to the other and back.
        try ctl.expect("disable", "ws2")
        #expect(try ctl.backend("ws2").state == "maintenance")
        try ctl.expect("drain", "ws2", "--deadline", "1h")
        #expect(try ctl.backend("ws2").state == "drained")
        #expect(try ctl.backend("ws2").closesAt != nil)
        // Maintenance keeps what is there: the time of the drain goes.
        try ctl.expect("disable", "ws2")
        #expect(try ctl.backend("ws2").closesAt == nil)
        try ctl.expect("enable", "ws2")
        #expect(try ctl.backends().allSatisfy { $0.state == "up" && $0.intentSince == nil && $0.closesAt == nil })
        for command in ["disable chat/ws1", "enable chat/ws1", "drain chat/ws2 --deadline 3600s"] {
            #expect(!daemon.logLines(containing: "control: \(command)").isEmpty, "\(command)")
        }
        try daemon.stop()
    }

    @Test func maintenanceTakesNoNewConnectionsAndKeepsTheOld() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let ctl = daemon.ctl
        let (mine, other) = (try daemon.source(preferring: "ws1"), try daemon.source(preferring: "ws2"))
        let staying = try daemon.connect(from: mine)
        let stranger = try daemon.connect(from: other)
        #expect(try staying.receiveLine().hasPrefix("ws1") && stranger.receiveLine().hasPrefix("ws2"))
        #expect(try ctl.expect("disable", "ws1") == "chat/ws1: maintenance, 1 connection kept\n")
        #expect(try ctl.locate(mine).preference.first?.reason == "maintenance")
        let second = try daemon.connect(from: mine)
        let landed = try second.receiveLine()
        #expect(!landed.hasPrefix("ws1"))
        try staying.send("still")
        #expect(try staying.receiveText(5) == "still")
        // Closing those that are there wants force, and says how many they are.
        let refused = try ctl.run("disable", "ws1", "--close")
        #expect(refused.status == 8 && refused.stderr.contains("close 1 connection"), "\(refused)")
        #expect(staying.isQuiet)
        try ctl.expect("disable", "ws1", "--close", "--force")
        #expect(try staying.receiveToEnd() == ([], .fin))
        #expect(second.isQuiet && stranger.isQuiet)
        staying.close()
        try eventually("the time of the closing has gone") { try ctl.backend("ws1").closesAt == nil }
        #expect(try ctl.backend("ws1").state == "maintenance")
        try ctl.expect("enable", "ws1")
        let home = try daemon.connect(from: mine)
        #expect(try home.receiveLine().hasPrefix("ws1"))
        for client in [second, stranger, home] { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func theLastBackendIsDisabledOnlyByForce() throws {
        let scene = try Restartable(backends: 2)
        let daemon = try scene.start()
        let ctl = daemon.ctl
        try ctl.expect("drain", "ws1")
        let refused = try ctl.run("disable", "ws2")
        #expect(refused.status == 8 && refused.stderr.contains("service chat") && refused.stderr.contains("--force"))
        #expect(try ctl.backend("ws2").state == "up")
        // One that takes nobody anyway leaves nobody worse off.
        try ctl.expect("disable", "ws1")
        try ctl.expect("disable", "ws2", "--force")
        #expect(try daemon.connect().receiveToEnd() == ([], .reset))
        try daemon.stop()
    }

    // MARK: Weights

    @Test func aWeightChangesTheMappingAtOnceAsIfItWereConfigured() throws {
        let scene = try Restartable()
        let (daemon, reference) = (try scene.start(), try Restartable())
        reference.weights = ["ws1": 16]
        let model = try reference.start()
        let hash = { (daemon: Daemon) in try daemon.ctl.status().services[0].mappingHash }
        let before = try hash(daemon)
        #expect(try hash(model) != before)
        // One whose home changes by it, and one whose home does not.
        let mover = try (0..<200).map(clientHost).first { host in
            try daemon.ctl.locate(host).chosen == "ws2" && model.ctl.locate(host).chosen == "ws1"
        }
        let stayer = try (0..<400).map(clientHost).first { try model.ctl.locate($0).chosen == "ws3" }
        let (host, other) = (try #require(mover), try #require(stayer))
        let old = try daemon.connect(from: host)
        #expect(try old.receiveLine().hasPrefix("ws2"))
        #expect(try daemon.ctl.expect("weight", "ws1", "16") == "chat/ws1: weight 16, configured 1\n")
        #expect(try hash(daemon) == hash(model))
        let row = try daemon.ctl.backend("ws1")
        #expect(row.weight == 16 && row.weightConfigured == 1 && row.weightSince != nil)
        // All workers know: with as many connections as it takes to meet each.
        for _ in 0..<8 {
            let (new, same) = (try daemon.connect(from: host), try daemon.connect(from: other))
            #expect(try new.receiveLine().hasPrefix("ws1") && same.receiveLine().hasPrefix("ws3"))
            new.close()
            same.close()
        }
        // What is there stays where it is.
        #expect(old.isQuiet)
        #expect(try daemon.ctl.expect("weight", "ws1", "file") == "chat/ws1: weight 1, as configured\n")
        #expect(try hash(daemon) == before)
        let again = try daemon.connect(from: host)
        #expect(try again.receiveLine().hasPrefix("ws2"))
        for client in [old, again] { client.close() }
        for each in [daemon, model] {
            try each.waitUntilIdle()
            try each.stop()
        }
    }

    @Test func theConfiguredWeightIsNoDifference() throws {
        let scene = try Restartable()
        scene.weights = ["ws1": 3]
        let daemon = try scene.start()
        try daemon.ctl.expect("weight", "ws1", "4")
        #expect(try daemon.ctl.status().differences.map(\.value) == ["4"])
        try daemon.ctl.expect("weight", "ws1", "3")
        #expect(try daemon.ctl.status().differences == [])
        #expect(try daemon.ctl.backend("ws1").weightSince == nil)
        try daemon.stop()
    }

    @Test func aWeightThatChangesInTheFileBeatsAnOlderOne() throws {
        let scene = try Restartable()
        var daemon = try scene.start()
        try daemon.ctl.expect("weight", "ws1", "5")
        try daemon.ctl.expect("drain", "ws1")
        try daemon.stop()
        // The file says the same as then: what was set holds.
        daemon = try scene.start()
        #expect(try daemon.ctl.backend("ws1").weight == 5)
        try daemon.stop()
        scene.weights = ["ws1": 3]
        daemon = try scene.start()
        let row = try daemon.ctl.backend("ws1")
        #expect(row.weight == 3 && row.weightConfigured == 3 && row.weightSince == nil)
        #expect(row.intent == "drain")
        #expect(daemon.logLines(containing: "gives way to the configuration's", "chat/ws1").count == 1)
        try daemon.stop()
        // Gone for good.
        scene.weights = [:]
        daemon = try scene.start()
        #expect(try daemon.ctl.backend("ws1").weight == 1)
        try daemon.stop()
    }
}
