import Foundation
import Testing

/// New versions that fail once the old one has made way: it comes back, with every connection.
@Suite(
    .ownThread, .fence, .enabled(if: Programs.isDebug, "only debug builds fail on purpose"))
struct UpgradeFailureTests {
    /// Checks that the version before serves again, in whichever process.
    private func expectOldVersion(_ lane: UpgradeLane, _ talk: Talk, _ before: StatusDocument) throws {
        try talk.exchange()
        let after = try lane.daemon.ctl.status()
        #expect(after.version == before.version && after.ready && after.connections == 1)
        let other = try lane.talk()
        try other.exchange()
        try other.close()
        try eventually("keeper and engine, and nobody else") { lane.daemon.process.group.count == 2 }
        // It can be upgraded like any other.
        try lane.image.replace("version=0.9.8")
        #expect(try lane.upgrade().newVersion == "0.9.8")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    @Test(arguments: ["dies", "exits"]) func whatEndsBeforeItIsSafe(_ how: String) throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("image=\(how)", "version=0.9.9")
        let text = try lane.refusal()
        let version = before.version
        #expect(
            text
                == "\(version) → 0.9.9, rolled back: the new version ended before it had taken over; "
                + "version \(version) serves, with all connections")
        #expect(lane.daemon.logLines(containing: "the upgrade was rolled back", "ended before").count == 1)
        // The guard has become the keeper.
        #expect(try lane.daemon.ctl.status().pid != before.pid)
        try expectOldVersion(lane, talk, before)
    }

    /// The old version is back a quarter of a second after the workers were told to stop.
    @Test func whatHangsBeforeItIsSafe() throws {
        let lane = try UpgradeLane(isPatient: false)
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("image=hangs", "version=0.9.9")
        let text = try lane.refusal()
        let limit = try #require(try #/did not take over within (\d+) ms/#.firstMatch(in: text)?.1, "\(text)")
        #expect(Int(limit)! <= 230)
        try talk.exchange()
        #expect(try lane.daemon.ctl.status().version == before.version)
        #expect(lane.daemon.logLines(containing: "the upgrade was rolled back", "did not take over").count == 1)
        try talk.close()
        try lane.finish()
    }

    /// The keeper of the new version dies as soon as the guard has gone: its engine finds another.
    @Test func aKeeperThatDiesAtOnce() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try lane.image.replace("keeper=dies", "version=0.9.9")
        #expect(try lane.upgrade().newVersion == "0.9.9")
        try talk.exchange()
        #expect(try lane.daemon.ctl.status().pid != lane.daemon.pid)
        // It is a keeper that knows nothing but to execute, and that is enough for another upgrade.
        try lane.image.replace("version=0.9.8")
        #expect(try lane.upgrade().newVersion == "0.9.8")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    @Test func anEngineThatDiesOnceOrTwice() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try lane.image.replace("engine=starting:dies:2", "version=0.9.9")
        #expect(try lane.upgrade().newVersion == "0.9.9")
        try talk.exchange()
        let status = try lane.daemon.ctl.status()
        #expect(status.version == "0.9.9" && status.pid == lane.daemon.pid)
        #expect(status.lastDeath?.reason.contains("SIGSEGV") == true)
        try talk.close()
        try lane.finish()
    }

    @Test(arguments: ["starting", "serving"]) func whatDiesAgainAndAgainIsRolledBack(_ point: String) throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("engine=\(point):dies:9", "version=0.9.9")
        let outcome = try lane.daemon.ctl.run("upgrade")
        if point == "starting" {
            #expect(outcome.status == 1)
            #expect(
                outcome.stderr.contains(
                    "rolled back: the new version died 3 times at once, the last time: killed by SIGSEGV"), "\(outcome)"
            )
        }
        try eventually("the log says so; limpetd said: \(lane.daemon.log)") {
            lane.daemon.logLines(containing: "the upgrade was rolled back", "died 3 times at once", "SIGSEGV").count
                == 1
        }
        // By an exec: the process is the same.
        #expect(try lane.daemon.ctl.status().pid == before.pid)
        try expectOldVersion(lane, talk, before)
    }

    @Test func whatDoesNotBeginToServeIsRolledBack() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("engine=starting:hangs:9", "version=0.9.9")
        #expect(try lane.refusal().contains("rolled back: the new version did not serve within 3 s"))
        #expect(try lane.daemon.ctl.status().pid == before.pid)
        try expectOldVersion(lane, talk, before)
    }

    /// Whoever wants no way back gets none.
    @Test func withoutAWayBackTheNewVersionGoesOn() throws {
        let lane = try UpgradeLane(environment: ["LIMPET_BACKOFF": "off"])
        let talk = try lane.talk()
        try lane.image.replace("engine=starting:dies:4", "version=0.9.9")
        #expect(try lane.upgrade("--no-rollback").newVersion == "0.9.9")
        try talk.exchange()
        #expect(try lane.daemon.ctl.status().engineGeneration == 6)
        #expect(lane.daemon.logLines(containing: "rolled back").isEmpty)
        try talk.close()
        try lane.finish()
    }

    /// Something has happened to the file between the question and the exec.
    @Test func whatCannotBeExecuted() throws {
        let lane = try UpgradeLane("exec=fails")
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("version=0.9.9")
        let text = try lane.refusal()
        #expect(
            text.contains("the upgrade was refused, and nothing has changed: cannot execute the new version: "),
            "\(text)")
        try talk.exchange()
        let after = try lane.daemon.ctl.status()
        #expect(after.version == before.version && after.pid == before.pid)
        #expect(after.engineGeneration == before.engineGeneration + 1)
        #expect(lane.daemon.logLines(containing: "upgrade refused, and nothing has changed").count == 1)
        try talk.close()
        try lane.finish()
    }

    /// The keeper has died and was replaced, and then there is an upgrade.
    @Test func whenTheKeeperIsAReplacement() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let replacement = try lane.daemon.killKeeper()
        try lane.image.replace("version=0.9.9")
        #expect(try lane.upgrade().newVersion == "0.9.9")
        let status = try lane.daemon.ctl.status()
        #expect(status.pid == replacement && status.lastDeath == nil)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// … to a version that fails.
    @Test func whenTheKeeperIsAReplacementAndTheVersionFails() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        _ = try lane.daemon.killKeeper()
        try lane.image.replace("image=dies", "version=0.9.9")
        #expect(try lane.refusal().contains("rolled back: the new version ended before it had taken over"))
        try expectOldVersion(lane, talk, before)
    }
}
