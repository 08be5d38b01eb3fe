import Foundation
import Testing

/// An upgrade from a build that keeps its connections in the layout before the last change, and the way back.
///
/// LIMPET_PREVIOUS names that build's limpetd: `make upgrade-layouts` makes it.
@Suite(
    .ownThread, .fence,
    .enabled(
        if: previousLayout != nil, "LIMPET_PREVIOUS names no limpetd of the layout before"))
struct UpgradeFromPreviousLayoutTests {
    private func lane() throws -> UpgradeLane {
        let lane = try UpgradeLane(of: try #require(previousLayout), "version=0.0.9")
        #expect(try lane.daemon.ctl.status().version == "0.0.9")
        return lane
    }

    /// All that a record says of a connection is said afterwards, too.
    private func expectSame(_ before: ConnectionRow, _ after: ConnectionRow) {
        #expect(after.id == before.id && after.service == before.service && after.listener == before.listener)
        #expect(after.backend == before.backend && after.home == before.home && after.client == before.client)
        #expect(after.clientLocal == before.clientLocal && after.backendAddress == before.backendAddress)
        #expect(after.backendLocal == before.backendLocal && after.state == before.state)
        #expect(after.worker == before.worker && after.ageSeconds >= before.ageSeconds)
        #expect(after.bytesIn >= before.bytesIn && after.bytesOut >= before.bytesOut)
    }

    @Test func everyConnectionComesAlong() throws {
        let lane = try lane()
        let talks = try (0..<200).map { _ in try lane.talk() }
        for talk in talks { try talk.exchange() }
        // Some slots are free again, and one direction is shut.
        for talk in talks[..<20] { try talk.close() }
        try talks[20].pair.client.finish()
        #expect(try talks[20].pair.backend.receiveToEnd() == ([], .fin))
        let before = try lane.daemon.connections(180).sorted { $0.id < $1.id }
        try lane.image.replace("version=0.9.9")
        let report = try lane.upgrade()
        #expect(report.oldVersion == "0.0.9" && report.newVersion == "0.9.9" && report.connections == 180)
        let after = try lane.daemon.connections(180).sorted { $0.id < $1.id }
        for (one, other) in zip(before, after) { expectSame(one, other) }
        for talk in talks[21...] { try talk.exchange() }
        let other = try lane.talk()
        try other.exchange()
        // And on in the new layout.
        kill(try lane.daemon.enginePID, SIGKILL)
        for talk in talks[21...] { try talk.exchange() }
        try talks[20].pair.backend.finish()
        #expect(try talks[20].pair.client.receiveToEnd() == ([], .fin))
        for talk in talks[21...] + [other] { try talk.close() }
        try lane.finish()
    }

    @Test func notAByteIsLostOnTheWay() throws {
        let lane = try lane()
        let count = 60 << 20
        let pair = Pair(client: try lane.daemon.connect(), backend: try lane.listener.accept())
        let (up, down) = (Pattern(seed: 41), Pattern(seed: 42))
        let work = [
            Background("the client sends") {
                try pair.client.send(up, count: count)
                return count
            },
            Background("the backend sends") {
                try pair.backend.send(down, count: count)
                return count
            },
            Background("the backend receives") { try pair.backend.receive(up, upTo: count) },
            Background("the client receives") { try pair.client.receive(down, upTo: count) },
        ]
        try lane.image.replace("version=0.9.9")
        try lane.upgrade()
        for one in work { #expect(try one.value() == count) }
        pair.close()
        try lane.finish()
    }

    /// The new version dies again and again: the connections go back into the layout that they came from.
    @Test(arguments: ["starting", "serving"]) func rolledBack(_ point: String) throws {
        let lane = try lane()
        let talks = try (0..<50).map { _ in try lane.talk() }
        for talk in talks { try talk.exchange() }
        let before = try lane.daemon.connections(50).sorted { $0.id < $1.id }
        try lane.image.replace("engine=\(point):dies:9", "version=0.9.9")
        _ = try lane.daemon.ctl.run("upgrade")
        try eventually("the log says so; limpetd said: \(lane.daemon.log)") {
            lane.daemon.log.contains("the upgrade was rolled back: the new version died 3 times at once")
        }
        #expect(try lane.daemon.ctl.status().version == "0.0.9")
        let after = try lane.daemon.connections(50).sorted { $0.id < $1.id }
        for (one, other) in zip(before, after) { expectSame(one, other) }
        for talk in talks { try talk.exchange() }
        for talk in talks { try talk.close() }
        try lane.finish()
    }

    /// The new version dies before it is safe: what it had converted was a copy.
    @Test func comesBackBeforeItIsSafe() throws {
        let lane = try lane()
        let talk = try lane.talk()
        try talk.exchange()
        try lane.image.replace("adopted=dies", "version=0.9.9")
        #expect(try lane.refusal().contains("rolled back: the new version ended before it had taken over"))
        #expect(try lane.daemon.ctl.status().version == "0.0.9")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// An older build knows nothing of a newer layout, and says so.
    @Test func whatIsNewerIsRefused() throws {
        let lane = try UpgradeLane()
        let talk = try lane.talk()
        let old = try #require(previousLayout)
        try lane.image.replace(of: old, "version=0.0.9")
        #expect(
            try lane.refusal().contains(
                "version 0.0.9 cannot take the connections over: they are kept in layout 2, and it reads 1"))
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }
}

private let previousLayout = ProcessInfo.processInfo.environment["LIMPET_PREVIOUS"]
