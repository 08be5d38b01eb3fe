import CLayout
import Linux
import Testing

@testable import Forwarding

/// Times that ran when an engine died.
@Suite(.timeLimit(.minutes(1))) struct RecoveredTimersTests {
    @Test func anIdleTimeoutThatHasPassedMeanwhile() throws {
        let scene = try Scene()
        scene.idleTimeout = 1_000_000_000
        scene.record.pointee.active = Clock.now() - 2_000_000_000
        // What is left of the dead worker's wheel must not be followed.
        scene.record.pointee.timer_slot = 77
        scene.record.pointee.timer_next = 12
        scene.record.pointee.timer_previous = 13
        try scene.revive()
        for peer in [scene.client, scene.server] {
            #expect(peer.receiveToEnd() == ([], .fin))
            peer.shutdown()
        }
        scene.expectGone()
        scene.end()
    }

    @Test func aTimeoutThatHasNotPassedWaits() throws {
        let scene = try Scene()
        scene.idleTimeout = 3_600_000_000_000
        try scene.revive()
        scene.expectCarries()
        #expect(scene.record.pointee.timer_slot != 0)
        scene.end()
    }

    @Test func aConnectThatHasTakenTooLong() throws {
        let scene = try Scene()
        scene.makeConnecting()
        scene.record.pointee.deadline = Clock.now() - 1
        // Its backend does not answer: as far as epoll can tell.
        scene.unwatch(1)
        try scene.revive()
        // There is no other backend.
        #expect(scene.server.receiveToEnd().end != .none)
        #expect(scene.client.receiveToEnd() == ([], .reset))
        scene.expectGone()
        #expect(
            limpet_backend_failures(scene.region.counters(0, backend: 0), Int32(LIMPET_FAILURE_TIMEOUT)).pointee == 1)
        scene.end()
    }

    @Test func aClosingThatHasTakenTooLong() throws {
        let scene = try Scene()
        scene.record.pointee.state = UInt8(LIMPET_CLOSING)
        for direction in 0...1 { scene.way(direction).pointee.flags |= UInt16(LIMPET_DIRECTION_DISCARD.rawValue) }
        scene.record.pointee.deadline = Clock.now() - 1
        try scene.revive()
        scene.expectGone()
        scene.end()
    }
}
