import Testing

@testable import Engine

/// Who asks over and over for what is refused does not fill the log.
@Suite struct RefusalsTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func aBurstIsToldAndThenOneInASecond() {
        var refusals = Controller.Refusals()
        let start = 1000 * Self.second
        var told = 0
        for number in 0..<UInt64(1000) where refusals.admit(now: start + number) { told += 1 }
        #expect(told == Controller.Refusals.burst)
        #expect(refusals.untold == 980)
        let after = [-1, 1000, 2000].map { refusals.admit(now: UInt64(Int(start + Self.second) + $0)) }
        #expect(after == [false, true, false])
        let untold = refusals.takeUntold()
        #expect(untold == 982)
        #expect(refusals.untold == 0)
    }

    @Test func whoWasQuietHasTheWholeBurstAgain() {
        var refusals = Controller.Refusals()
        while refusals.admit(now: 5 * Self.second) {}
        let later = 3600 * Self.second
        var told = 0
        for _ in 0..<50 where refusals.admit(now: later) { told += 1 }
        #expect(told == Controller.Refusals.burst)
        // A clock that seems to go back gives nothing away.
        let back = refusals.admit(now: later - Self.second)
        #expect(!back)
    }
}
