import Foundation
import Testing

/// Upgrades that are refused: the reason is said, and nothing has changed.
@Suite(.ownThread, .fence)
struct UpgradeRefusalTests {
    /// Checks that the daemon is what it was before, and that the refusal is in the log.
    private func expectNoChange(_ lane: UpgradeLane, _ talk: Talk, _ before: StatusDocument, _ text: String) throws {
        let after = try lane.daemon.ctl.status()
        #expect(after.pid == before.pid && after.enginePid == before.enginePid && after.version == before.version)
        #expect(after.engineGeneration == before.engineGeneration && after.ready)
        try talk.exchange()
        try eventually("the log says so") {
            lane.daemon.log.contains("error upgrade refused, and nothing has changed: \(text)")
        }
        // What was opened for it is closed again, and what was started has ended.
        #expect(lane.daemon.process.group.count == 2)
    }

    /// Each kind of file in the place of the executable.
    enum Obstacle: String, CaseIterable, CustomTestStringConvertible {
        case missing, directory, notExecutable, script, text, empty, otherProgram, silentProgram, writableByOthers
        case directoryWritableByOthers, loop

        var testDescription: String { rawValue }

        func place(at path: String) throws {
            try? FileManager.default.removeItem(atPath: path)
            switch self {
            case .missing: break
            case .directory: mkdir(path, 0o755)
            case .notExecutable: try write("x", path, 0o644)
            case .script: try write("#!/bin/sh\necho limpet-canary 1\n", path, 0o755)
            case .text: try write("hello\n", path, 0o755)
            case .empty: try write("", path, 0o755)
            case .otherProgram: symlink("/bin/cp", path)
            case .silentProgram: symlink("/bin/true", path)
            case .writableByOthers: try write("x", path, 0o757)
            case .directoryWritableByOthers:
                let directory = "\(path)-open"
                mkdir(directory, 0o755)
                try write("x", "\(directory)/limpetd", 0o755)
                chmod(directory, 0o757)
                symlink("\(directory)/limpetd", path)
            case .loop: symlink(path, path)
            }
        }

        private func write(_ contents: String, _ path: String, _ mode: mode_t) throws {
            try contents.write(toFile: path, atomically: false, encoding: .utf8)
            chmod(path, mode)
        }

        var reason: String {
            switch self {
            case .missing: "there is no such file"
            case .directory: "it is no regular file"
            case .notExecutable: "it is not executable (chmod a+x)"
            case .script: "it is a script"
            case .text, .empty: "it is no program for this machine"
            case .otherProgram: "it is no limpetd that can take over: it said \""
            case .silentProgram: "it is no limpetd that can take over: it said nothing and exited with status 0"
            case .writableByOthers, .directoryWritableByOthers: "everybody may write to it"
            case .loop: "too many symbolic links"
            }
        }
    }

    @Test(arguments: Obstacle.allCases) func whatIsNoExecutableToTrust(_ obstacle: Obstacle) throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try talk.exchange()
        let before = try lane.daemon.ctl.status()
        try obstacle.place(at: lane.image.path)
        let text = try lane.refusal()
        let prefix = "the upgrade was refused, and nothing has changed: "
        #expect(text.hasPrefix(prefix) && text.contains(obstacle.reason), "\(text)")
        try expectNoChange(lane, talk, before, String(text.dropFirst(prefix.count)))
        // And once it is a limpetd, it is taken.
        try? FileManager.default.removeItem(atPath: lane.image.path)
        try lane.image.replace("")
        #expect(try lane.upgrade().id == 2)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// What limpetd itself may say when it is asked.
    static let answers: [(words: String, reason: String)] = [
        (
            "canary=dies version=0.9.9",
            "it is no limpetd that can take over: it said nothing and exited with status 3"
        ),
        (
            "refuses=no-such-key version=0.9.9",
            "the active configuration is invalid under version 0.9.9: no-such-key"
        ),
        (
            "layouts=foreign version=0.9.9",
            "version 0.9.9 cannot take the connections over: they are kept in layout 2, and it reads 99"
        ),
        ("layouts=one-way version=0.9.9", "version 0.9.9 could not give the connections back, should it fail"),
    ]

    @Test(.enabled(if: Programs.isDebug, "only debug builds say such things"), arguments: answers.indices)
    func whatSaysThatItCannot(_ index: Int) throws {
        let (words, reason) = UpgradeRefusalTests.answers[index]
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace(words)
        let text = try lane.refusal()
        #expect(text.contains(reason), "\(text)")
        try expectNoChange(lane, talk, before, "\(lane.image.path): \(reason)")
        try talk.close()
        try lane.finish()
    }

    @Test(.enabled(if: Programs.isDebug, "only debug builds say such things"))
    func withoutAWayBackItMustBeAskedFor() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try lane.image.replace("layouts=one-way", "version=0.9.9")
        #expect(try lane.upgrade("--no-rollback").newVersion == "0.9.9")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// It is ended when its time is over. Meanwhile everything goes on, and a second one is not begun.
    @Test(.enabled(if: Programs.isDebug, "only debug builds hang when they are asked"))
    func whatDoesNotAnswer() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let before = try lane.daemon.ctl.status()
        try lane.image.replace("canary=hangs")
        let ctl = lane.daemon.ctl
        let first = Background("limpetctl upgrade") { try ctl.run("upgrade") }
        // Keeper, engine, who looks for the keeper and by whom, and the canary.
        try eventually("the executable is being asked") { lane.daemon.process.group.count == 5 }
        #expect(try lane.refusal().hasSuffix("nothing has changed: upgrade 1 is under way"))
        try talk.exchange()
        try lane.daemon.ctl.expect("drain", "b1", "--force")
        let outcome = try first.value()
        #expect(outcome.status == 1)
        #expect(outcome.stderr.contains("it said nothing within 5000 ms, and was ended"), "\(outcome)")
        try expectNoChange(lane, talk, before, "\(lane.image.path): it is no limpetd that can take over")
        try talk.close()
        try lane.finish()
    }

    @Test(.enabled(if: Programs.isDebug, "only debug builds hang when they are asked"))
    func aStopDoesNotWaitForAnAnswer() throws {
        let lane = try UpgradeLane()
        try lane.image.replace("canary=hangs")
        lane.daemon.process.signal(SIGUSR2)
        try eventually("the executable is being asked") { lane.daemon.process.group.count == 5 }
        lane.daemon.process.signal(SIGTERM)
        try lane.daemon.ended()
        try eventually("nobody is left") { lane.daemon.process.group.isEmpty }
    }

    /// The engine dies while the executable is being asked: the next one knows of no upgrade, and another can be begun.
    @Test(.enabled(if: Programs.isDebug, "only debug builds hang when they are asked"))
    func anEngineThatDiesHasGivenUpItsUpgrade() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try lane.image.replace("canary=hangs")
        let ctl = lane.daemon.ctl
        let asked = Background("limpetctl upgrade") { try ctl.run("upgrade") }
        try eventually("the executable is being asked") { lane.daemon.process.group.count == 5 }
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        _ = try lane.daemon.nextEngine(after: engine)
        let outcome = try asked.value()
        #expect(outcome.status == 1)
        #expect(outcome.stderr.contains("the engine died while it was being prepared"), "\(outcome)")
        // Whoever was being asked has ended with the engine.
        try eventually("nobody else is left") { lane.daemon.process.group.count == 2 }
        try talk.exchange()
        try lane.image.replace("")
        #expect(try lane.upgrade().id == 2)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    @Test func whoeverIsEndingDoesNotBegin() throws {
        let lane = try UpgradeLane { $0.arguments = ["--shutdown-drain", "60s"] }
        let talk = try lane.talk()
        try talk.exchange()
        lane.daemon.process.signal(SIGTERM)
        try eventually("it is shutting down") { try lane.daemon.ctl.run("ready", "-q").status == 1 }
        #expect(try lane.refusal().hasSuffix("nothing has changed: limpetd is shutting down"))
        try talk.exchange()
        try talk.close()
        try lane.daemon.ended()
    }

    @Test(.enabled(if: isRoot, "only root may name an executable")) func aPathThatRootNames() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        #expect(try lane.refusal("/nonexistent/limpetd").hasSuffix("/nonexistent: there is no such file"))
        #expect(try lane.refusal("/bin/false").contains("it said nothing and exited with status 1"))
        let other = try lane.other("version=0.9.9")
        try lane.upgrade(other)
        // Without a name it is the one that it was started from, not the one that runs.
        try lane.image.replace("version=0.9.8")
        let report = try lane.upgrade()
        if Programs.isDebug { #expect(report.oldVersion == "0.9.9" && report.newVersion == "0.9.8") }
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }
}
