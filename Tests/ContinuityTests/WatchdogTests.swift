import Testing

@testable import Continuity

struct WatchdogTests {
    @Test func whatGoesOnIsLeftAlone() {
        var watchdog = Watchdog([0, 5, 9])
        for turn: UInt64 in 1...100 {
            #expect(watchdog.look([turn / 2, 5 + turn, 9 + turn]) == [])
        }
    }

    @Test func oneThatStandsStillIsNamedAtTheTenthLook() {
        var watchdog = Watchdog([7, 7, 7])
        for turn: UInt64 in 1..<10 { #expect(watchdog.look([7 + turn, 7, 7 + turn]) == []) }
        #expect(watchdog.look([17, 7, 17]) == [.worker(1)])
    }

    @Test func itsLastMoveCounts() {
        var watchdog = Watchdog([0, 0])
        for turn: UInt64 in 1...9 { #expect(watchdog.look([0, turn]) == []) }
        #expect(watchdog.look([1, 10]) == [])
        for turn: UInt64 in 11...19 { #expect(watchdog.look([1, turn]) == []) }
        #expect(watchdog.look([1, 20]) == [.worker(0)])
    }

    @Test func theControlLoopIsTheLast() {
        var watchdog = Watchdog([0, 0])
        for turn: UInt64 in 1..<10 { #expect(watchdog.look([turn, 0]) == []) }
        #expect(watchdog.look([10, 0]) == [.control])
    }

    /// All were stopped at one moment; some had moved after the last look before it.
    @Test func whatWasStoppedTogetherIsNamedTogether() {
        var watchdog = Watchdog([0, 0, 0])
        #expect(watchdog.look([0, 0, 1]) == [])
        for _ in 2..<10 { #expect(watchdog.look([0, 0, 1]) == []) }
        #expect(watchdog.look([0, 0, 1]) == [.worker(0), .worker(1), .control])
    }
}
