import Foundation
import Testing

/// What the sandbox leaves to the next version, and what the keeper executes.
@Suite(.ownThread, .fence, .enabled(if: Programs.isDebug, "only debug builds say and do such things"))
struct SandboxUpgradeTests {
    @Test func aVersionThatNeedsWhatIsDeniedIsRefused() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("calls=io_uring_setup", "version=0.9.9")
        let text = try lane.refusal()
        #expect(
            text.hasSuffix(
                "version 0.9.9 needs what the sandbox keeps from all that limpetd executes, for as long as this daemon"
                    + " lives: io_uring_setup; restart limpetd to change over"), "\(text)")
        #expect(try lane.daemon.ctl.status().enginePid == before.enginePid)
        try talk.exchange()
        // What the engine alone may not do is none of the next version's business.
        try lane.image.replace("calls=getitimer", "version=0.9.8")
        #expect(try lane.upgrade().newVersion == "0.9.8")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    @Test func withoutASandboxNothingIsDenied() throws {
        let lane = try UpgradeLane { $0.arguments = ["--sandbox", "off"] }
        try lane.image.replace("calls=io_uring_setup", "version=0.9.9")
        #expect(try lane.upgrade().newVersion == "0.9.9")
        #expect(try lane.daemon.ctl.status().sandbox.wanted == "off")
        try lane.finish()
    }

    /// A keeper that was an engine's clone is bound as an engine is.
    @Test func aReplacementLeavesLess() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        _ = try lane.daemon.killKeeper()
        try lane.image.replace("calls=getitimer", "version=0.9.9")
        #expect(try lane.refusal().contains("for as long as this daemon lives: getitimer; restart"))
        try lane.image.replace("version=0.9.8")
        #expect(try lane.upgrade().newVersion == "0.9.8")
        let status = try lane.daemon.ctl.status()
        #expect(status.sandbox.wanted == "on" && status.sandbox.systemCalls && status.sandbox.missing == nil)
        try talk.exchange()
        // And once more: the canary and all else run under it.
        try lane.image.replace("version=0.9.7")
        #expect(try lane.upgrade().newVersion == "0.9.7")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    @Test func theNextVersionIsBoundAsTheOneBefore() throws {
        let lane = try UpgradeLane()
        let own = ProcessFacts(pid: getpid()).field("Seccomp_filters", thread: getpid()).flatMap { Int($0) } ?? 0
        for version in ["0.9.7", "0.9.8", "0.9.9"] {
            try lane.image.replace("version=\(version)")
            #expect(try lane.upgrade().newVersion == version)
            let status = try lane.daemon.ctl.status()
            #expect(ProcessFacts(pid: status.pid).field("Seccomp_filters", thread: status.pid) == "\(own + 1)")
            #expect(status.sandbox.systemCalls && status.sandbox.violations == 0)
        }
        let digest = try #require(lane.daemon.logLines(containing: "notice upgraded", "sha256=").last)
        let sum = try run(["sha256sum", lane.image.path]).stdout.prefix(64)
        #expect(digest.contains("sha256=\(sum)"))
        try lane.finish()
    }

    // MARK: Descriptors that the engine shares, and has exchanged

    /// The keeper executes the file that it runs from, whatever the number means by now.
    @Test func whatRunsIsFoundWithoutTheDescriptor() throws {
        let lane = try UpgradeLane(environment: ["LIMPET_TRY": "swap:/bin/true"])
        let talk = try lane.talk()
        for _ in 1...5 {
            let engine = try lane.daemon.enginePID
            kill(engine, SIGKILL)
            _ = try lane.daemon.nextEngine(after: engine)
            try talk.exchange()
        }
        #expect(lane.daemon.logLines(containing: "starts itself anew").count == 1)
        #expect(lane.daemon.logLines(containing: "descriptor of the executable that runs was another file").count == 1)
        #expect(try lane.daemon.ctl.status().pid == lane.daemon.pid)
        try talk.close()
        try lane.finish()
    }

    @Test func anUpgradeGoesByWhatTheKeeperHasSeen() throws {
        let lane = try UpgradeLane(environment: ["LIMPET_TRY": "swap:/bin/true"])
        let talk = try lane.talk()
        try lane.image.replace("version=0.9.9")
        #expect(try lane.upgrade().newVersion == "0.9.9")
        #expect(try lane.daemon.ctl.status().pid == lane.daemon.pid)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// A version on probation that has put something else in the place of the one before: nobody goes back to that.
    @Test func anotherFileIsNoWayBack() throws {
        let lane = try UpgradeLane(environment: ["LIMPET_BACKOFF": "off"])
        let talk = try lane.talk()
        try lane.image.replace("engine=serving:dies:4", "try=swap:/bin/true", "version=0.9.9")
        _ = try lane.daemon.ctl.run("upgrade")
        try eventually("it was tried; limpetd said: \(lane.daemon.log)") {
            lane.daemon.logLines(containing: "there is no way back", "it is not the file that was looked at").count == 1
        }
        try talk.exchange()
        try eventually("the last of those that die has died") {
            lane.daemon.logLines(containing: "the engine died").count == 4
        }
        try eventually("the new version serves on") { (try? lane.daemon.ctl.status().version) == "0.9.9" }
        #expect(try lane.daemon.ctl.status().pid == lane.daemon.pid)
        try talk.close()
        try lane.finish()
    }

    /// An engine that names another file once its own was found good.
    @Test func anotherPathIsRefused() throws {
        let lane = try UpgradeLane("exec=exchanged")
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("version=0.9.9")
        let text = try lane.refusal()
        #expect(
            text.contains("cannot execute the new version: it is not the file that was looked at"), "\(text)")
        #expect(try lane.daemon.ctl.status().pid == before.pid)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }
}
