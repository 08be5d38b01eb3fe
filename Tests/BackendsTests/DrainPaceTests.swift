import Backends
import Testing

@Suite struct DrainPaceTests {
    static let second: UInt64 = 1_000_000_000

    @Test(arguments: [
        DrainPace.Speed.none, .rate(1), .rate(100_000), .rate(0.37), .over(0.1), .over(20), .over(3600),
        .over(315_360_000),
    ]) func aWordSaysItAll(_ speed: DrainPace.Speed) {
        for order in Shedder.Order.allCases {
            for (isForced, begins) in [(false, 0), (true, 1_000_000_000), (true, 86_400_000 * DrainPaceTests.second)]
                as [(Bool, UInt64)]
            {
                let pace = DrainPace(speed: speed, order: order, isForced: isForced, begins: begins)
                let back = DrainPace(word: pace.word)
                #expect(
                    back.order == order && back.isForced == isForced
                        && back.begins == min(begins, 214_748_364_700_000_000))
                switch (speed, back.speed) {
                case (.none, .none): break
                case (.rate(let one), .rate(let other)), (.over(let one), .over(let other)):
                    #expect(abs(one - other) <= one * 2e-6, "\(one) \(other)")
                default: Issue.record("\(speed) became \(back.speed)")
                }
                #expect(back.word == pace.word)
            }
        }
    }

    @Test func nothingIsNothing() {
        #expect(DrainPace(word: 0) == DrainPace(speed: .none))
        #expect(DrainPace(speed: .none).word == 0)
    }

    /// Whatever lies there, nothing of it makes a rate that cannot be worked with.
    @Test func garbageIsNoSpeed() {
        let words: [UInt64] = [
            .max, 1 << 3, 2 << 3, 3 << 3, 0xf_ffff_fff8, 1 << 3 | (0x7f7f_ffff >> 3) << 5, 2 << 3 | 1 << 5,
            (0x7f80_0000 >> 3) << 5 | 1 << 3,
        ]
        for word in words {
            let pace = DrainPace(word: word)
            switch pace.speed {
            case .none: break
            case .rate(let value), .over(let value): #expect(value > 0 && value.isFinite)
            }
            guard let rate = pace.rate(for: 1_000_000) else { continue }
            let candidate = Shedder.Candidate(position: 0, id: 1, opened: 0, active: 0)
            var shedder = Shedder([candidate], order: pace.order, rate: rate, now: 0)
            #expect(shedder.step(now: .max) { _ in 0 }.count <= 1)
        }
    }

    @Test func sheddingNeverBeginsTooEarly() {
        #expect(DrainPace(speed: .rate(1), begins: 1).begins == 100_000_000)
        #expect(DrainPace(speed: .rate(1), begins: 200_000_000).begins == 200_000_000)
    }

    @Test func howLongItTakes() {
        let kept = DrainPace(speed: .none)
        #expect(kept.secondsLeft(connections: 5, now: 0, deadline: nil) == nil)
        #expect(kept.secondsLeft(connections: 5, now: 0, deadline: 3 * DrainPaceTests.second) == 3)
        #expect(kept.secondsLeft(connections: 0, now: 0, deadline: nil) == 0)
        let pace = DrainPace(speed: .rate(10), begins: 5 * DrainPaceTests.second)
        #expect(pace.secondsLeft(connections: 100, now: 0, deadline: nil) == 15)
        #expect(pace.secondsLeft(connections: 100, now: 8 * DrainPaceTests.second, deadline: nil) == 10)
        #expect(pace.secondsLeft(connections: 100, now: 0, deadline: 12 * DrainPaceTests.second) == 12)
        let spread = DrainPace(speed: .over(20))
        #expect(spread.secondsLeft(connections: 7, now: 0, deadline: nil) == 20)
        #expect(spread.rate(for: 100) == 5 && spread.rate(for: 0) == 0.05)
    }

    // MARK: The others

    private func survivor(_ slot: Int, _ reason: AwayReason? = nil, failures: UInt64 = 0) -> DrainWatch.Survivor {
        DrainWatch.Survivor(slot: slot, name: "b\(slot)", ineligible: reason, failures: failures)
    }

    @Test func nobodyIsSentWhereNobodyTakesThem() {
        var watch = DrainWatch()
        #expect(watch.look([], now: 0) == .nobody)
        #expect(watch.look([survivor(1, .down), survivor(2, .drain)], now: 0) == .nobody)
        #expect(watch.look([survivor(1), survivor(2, .drain)], now: 0) == nil)
    }

    @Test(arguments: [AwayReason.down, .full]) func oneThatWasWellAndIsNotAnyMoreCounts(_ reason: AwayReason) {
        var watch = DrainWatch()
        // It was out of order before anybody was shed: that is known.
        #expect(watch.look([survivor(1), survivor(2), survivor(3, reason)], now: 0) == nil)
        #expect(
            watch.look([survivor(1), survivor(2, reason), survivor(3, reason)], now: 1)
                == (reason == .down ? .down("b2") : .full("b2")))
        #expect(watch.look([survivor(1), survivor(2), survivor(3, reason)], now: 2) == nil)
        // Once it was well it counts as well.
        #expect(watch.look([survivor(1), survivor(2), survivor(3)], now: 3) == nil)
        #expect(watch.look([survivor(1), survivor(2), survivor(3, reason)], now: 4) != nil)
    }

    @Test func oneThatAnOperatorTakesOutDoesNotCount() {
        var watch = DrainWatch()
        #expect(watch.look([survivor(1), survivor(2)], now: 0) == nil)
        #expect(watch.look([survivor(1), survivor(2, .maintenance)], now: 1) == nil)
        #expect(watch.look([survivor(1), survivor(2, .down)], now: 2) == nil)
    }

    @Test func failedConnectsCountForAWhile() {
        var watch = DrainWatch()
        // What had failed before is nothing.
        #expect(watch.look([survivor(1, failures: 7), survivor(2)], now: DrainPaceTests.second) == nil)
        #expect(
            watch.look([survivor(1, failures: 8), survivor(2)], now: 2 * DrainPaceTests.second) == .failing("b1"))
        #expect(
            watch.look([survivor(1, failures: 8), survivor(2)], now: 4 * DrainPaceTests.second) == .failing("b1"))
        #expect(watch.look([survivor(1, failures: 8), survivor(2)], now: 5 * DrainPaceTests.second) == nil)
    }
}
