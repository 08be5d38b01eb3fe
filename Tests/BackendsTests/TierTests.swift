import Backends
import Testing

@Suite struct TierTests {
    /// What an operator wants and a limit hold even where nothing else is left.
    @Test func neverAgainstTheOperatorOrALimit() {
        for health in Health.allCases {
            for whenAllDown in WhenAllDown.allCases {
                for intent in [Intent.drain, .maintenance] {
                    #expect(
                        Eligibility.tier(intent: intent, health: health, isFull: false, whenAllDown: whenAllDown) == nil
                    )
                }
                #expect(Eligibility.tier(intent: .ready, health: health, isFull: true, whenAllDown: whenAllDown) == nil)
            }
        }
    }

    /// The best tier is what a backend without a reason against it is in, and nothing else is.
    @Test func theBestTierIsEligibility() {
        for intent in Intent.allCases {
            for health in Health.allCases {
                for isFull in [false, true] {
                    let tier = Eligibility.tier(intent: intent, health: health, isFull: isFull, whenAllDown: .any)
                    let reason = Eligibility.reason(intent: intent, health: health, isFull: isFull)
                    #expect((tier == .up) == (reason == nil))
                }
            }
        }
    }

    @Test func downIsTriedWhereTheServiceSaysSo() {
        let tier = { Eligibility.tier(intent: .ready, health: $0, isFull: false, whenAllDown: $1) }
        #expect(tier(.down, .any) == .down)
        #expect(tier(.down, .refuse) == nil)
        #expect(tier(.checking, .any) == .checking)
        #expect(tier(.checking, .refuse) == .checking)
    }
}

@Suite struct PassiveBackoffTests {
    @Test func doublesToItsCapAndBeginsAnewWhereItWorked() {
        var backoff = PassiveBackoff()
        var times: [Duration] = []
        for _ in 0..<8 { times.append(backoff.takeOut(hasWorked: false)) }
        #expect(times == [2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
        #expect(backoff.takeOut(hasWorked: true) == PassiveBackoff.first)
        #expect(backoff.takeOut(hasWorked: false) == .seconds(4))
    }
}
