import Foundation
import Testing

/// Another version in the place of the running one, and whoever is connected does not notice.
@Suite(.ownThread, .fence)
struct UpgradeTests {
    // MARK: It works

    @Test(.enabled(if: Programs.isDebug, "only a debug build can say that it is another version"))
    func theNewVersionGoesOnWithEveryConnection() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try talk.exchange()
        let before = try lane.daemon.connections(1)[0]
        let old = try lane.daemon.ctl.status()

        try lane.image.replace("version=0.9.9")
        let outcome = try lane.daemon.ctl.run("upgrade")
        #expect(outcome.status == 0 && outcome.stderr.isEmpty)
        let sentence = #/\d+\.\d+\.\d+ → 0\.9\.9, 1 connection kept, pause \d+\.\d ms\n/#
        #expect(try sentence.wholeMatch(in: outcome.stdout) != nil, "\(outcome)")

        let new = try lane.daemon.ctl.status()
        #expect(new.version == "0.9.9" && new.ready)
        #expect(new.pid == old.pid && new.enginePid != old.enginePid)
        #expect(new.engineGeneration == old.engineGeneration + 1 && new.uptimeSeconds >= old.uptimeSeconds)
        #expect(new.lastDeath == nil)
        try talk.exchange()
        let after = try lane.daemon.connections(1)[0]
        #expect(after.id == before.id && after.ageSeconds >= before.ageSeconds && after.bytesIn > before.bytesIn)
        // Keeper and engine, and nobody else.
        try eventually("nobody else is left") { lane.daemon.process.group.count == 2 }
        #expect(ProcessFacts(pid: new.pid).name == "limpetd" && ProcessFacts(pid: new.pid).threadIDs.count == 1)
        #expect(ProcessFacts(pid: new.enginePid).name == "limpetd-engine")
        #expect(lane.daemon.logLines(containing: "notice upgraded", "to=0.9.9", "connections=1").count == 1)

        let other = try lane.talk()
        try other.exchange()
        try other.close()
        try talk.close()
        try lane.finish()
    }

    @Test func theSameVersionMayTakeItsOwnPlace() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        for id in 1...5 {
            let report = try lane.upgrade()
            #expect(report.id == id && report.state == "serving" && report.connections == 1)
            #expect(report.newVersion == report.oldVersion && report.version == report.newVersion)
            #expect(report.pauseMs ?? 0 > 0 && report.reason == nil)
            try talk.exchange()
        }
        try talk.close()
        try lane.finish()
    }

    @Test func upgradesLeaveNoDescriptorsBehind() throws {
        let lane = try UpgradeLane()
        var counts: [Int] = []
        for _ in 1...6 {
            try lane.upgrade()
            counts.append(ProcessFacts(pid: lane.daemon.pid).descriptorCount)
        }
        #expect(counts.last! <= counts[1] + 2, "\(counts)")
        try lane.finish()
    }

    @Test func aSignalDoesTheSameAndTheLogSaysWhatCameOfIt() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try lane.image.replace(Programs.isDebug ? "version=0.9.9" : "")
        lane.daemon.process.signal(SIGUSR2)
        try eventually("the log tells of the upgrade") { lane.daemon.log.contains("notice upgraded") }
        try talk.exchange()
        if Programs.isDebug { #expect(try lane.daemon.ctl.status().version == "0.9.9") }

        try FileManager.default.removeItem(atPath: lane.image.path)
        lane.daemon.process.signal(SIGUSR2)
        try eventually("the log tells why it was refused") {
            lane.daemon.log.contains(
                "error upgrade refused, and nothing has changed: \(lane.image.path): there is no such file")
        }
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// Bytes are on their way, both ways and more than fit anywhere, whenever it happens.
    @Test func notAByteIsLostOnTheWay() throws {
        let lane = try UpgradeLane()
        let count = 60 << 20
        let pairs = try (0..<4).map { _ in
            Pair(client: try lane.daemon.connect(), backend: try lane.listener.accept())
        }
        let (up, down) = (Pattern(seed: 31), Pattern(seed: 32))
        let done = Flag()
        let work = pairs.flatMap { pair in
            [
                Background("clients send") {
                    try pair.client.send(up, count: count)
                    try pair.client.finish()
                    return count
                },
                Background("backends send") {
                    try pair.backend.send(down, count: count)
                    try pair.backend.finish()
                    return count
                },
                Background("backends receive") { try pair.backend.receive(up) },
                Background("clients receive") { try pair.client.receive(down) },
            ]
        }
        var upgrades = 0
        while !work.allSatisfy(\.isDone) || upgrades == 0 {
            try lane.upgrade()
            upgrades += 1
        }
        done.set()
        for one in work { #expect(try one.value() == count) }
        for pair in pairs { pair.close() }
        try lane.finish()
    }

    @Test func whatAnOperatorHasSetStays() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        try lane.daemon.ctl.expect("drain", "b1", "--force", "--deadline", "1h")
        try lane.daemon.ctl.expect("weight", "b1", "7")
        let configuration = try lane.daemon.ctl.expect("config")
        try lane.upgrade()
        let row = try lane.daemon.ctl.backends()[0]
        #expect(row.intent == "drain" && row.weight == 7 && row.connections == 1)
        #expect(try lane.daemon.ctl.expect("config") == configuration)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// The user that the daemon has become keeps what it kept, and root's executable may take its place.
    @Test(.enabled(if: isRoot)) func withoutRootsRights() throws {
        let lane = try UpgradeLane { $0.user = "nobody" }
        let talk = try lane.talk()
        for _ in 1...2 { try lane.upgrade() }
        let status = try lane.daemon.ctl.status()
        #expect(status.pid == lane.daemon.pid)
        for pid in [status.pid, status.enginePid] {
            let facts = ProcessFacts(pid: pid)
            #expect(facts.field("CapPrm", thread: pid) == "0000000000000400")
            #expect(facts.field("NoNewPrivs", thread: pid) == "1")
            #expect(facts.field("Uid", thread: pid)?.hasPrefix("65534") == true)
        }
        // That user's own files are not trusted: root has started the daemon.
        chown(lane.image.path, 65534, 65534)
        #expect(try lane.refusal().contains("it belongs to user nobody and not to root"))
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// Whoever is no root has a daemon of his own, with an executable of his own.
    @Test(.enabled(if: isRoot)) func anOrdinaryUsersOwnDaemon() throws {
        let lane = try UpgradeLane { setup in
            setup.wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
            setup.user = nil
            let directory = URL(fileURLWithPath: setup.limpetd).deletingLastPathComponent().path
            chown(directory, 65534, 65534)
            chown(setup.limpetd, 65534, 65534)
        }
        let talk = try lane.talk()
        try lane.upgrade()
        try talk.exchange()
        #expect(ProcessFacts(pid: lane.daemon.pid).field("Uid", thread: lane.daemon.pid)?.hasPrefix("65534") == true)
        let socket = lane.daemon.ctl.control
        let own = try run([
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", Programs.limpetctl, "--control", socket,
            "upgrade", lane.image.path,
        ])
        #expect(own.status == 5 && own.stderr.contains("only root may name the executable"), "\(own)")
        try lane.upgrade(lane.image.path)
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }
}
