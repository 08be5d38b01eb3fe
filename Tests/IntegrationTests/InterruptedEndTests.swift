import Foundation
import Testing

/// The daemon was told to end, and its engine dies before it has: the next one goes on with the end.
@Suite(.ownThread, .fence)
struct InterruptedEndTests {
    /// Whoever waits for the drain to end waits on, and no new client is let in meanwhile.
    @Test func aDrainThatWasAskedForByLimpetctlGoesOn() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try talk.exchange()
        try lane.daemon.ctl.expect("shutdown", "--drain", "60s", "--force")
        try eventually("the drain has begun") { try !lane.daemon.ctl.status().ready }
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        try talk.exchange()
        _ = try lane.daemon.nextEngine(after: engine)
        #expect((try? lane.daemon.connect()) == nil)
        try talk.exchange()
        try talk.close()
        try lane.daemon.ended()
    }

    /// The time that was given counts from when it was given.
    @Test func aDrainEndsAtItsDeadlineAlsoAfterADeath() throws {
        let lane = try Lane()
        let talk = try Talk(lane)
        try lane.daemon.ctl.expect("shutdown", "--drain", "3s", "--force")
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        _ = try lane.daemon.nextEngine(after: engine)
        #expect(try talk.pair.client.receiveToEnd() == ([], .fin))
        talk.pair.close()
        try lane.daemon.ended()
    }

    /// The keeper that was told is gone as well.
    @Test func whatAKeeperWasToldOutlivesIt() throws {
        let lane = try Lane(["--shutdown-drain", "60s"])
        let talk = try Talk(lane)
        kill(lane.daemon.pid, SIGTERM)
        try eventually("the drain has begun") { try !lane.daemon.ctl.status().ready }
        _ = try lane.daemon.killKeeper()
        let engine = try lane.daemon.enginePID
        kill(engine, SIGKILL)
        _ = try lane.daemon.nextEngine(after: engine)
        try talk.exchange()
        try talk.close()
        try eventually("all of it has ended") { lane.daemon.process.group.isEmpty }
        #expect(!FileManager.default.fileExists(atPath: lane.daemon.ctl.control))
    }
}
