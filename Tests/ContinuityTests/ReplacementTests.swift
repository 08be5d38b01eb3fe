import CContinuity
import Testing

struct ReplacementTests {
    /// However many keepers have died under an engine before: without one, the engine's death is the end.
    @Test func aKeeperThatHasLivedIsReplacedAtOnce() {
        var pause: UInt64 = 0
        for _ in 0..<100 {
            pause = limpet_replacement_pause(pause, 1000)
            #expect(pause == 0)
        }
    }

    @Test func thoseThatDieAtOnceDoNotFollowEachOtherAtOnce() {
        var pauses: [UInt64] = [0]
        for _ in 0..<6 { pauses.append(limpet_replacement_pause(pauses.last!, 3)) }
        #expect(pauses == [0, 10, 20, 40, 80, 100, 100])
        #expect(limpet_replacement_pause(100, 5000) == 0)
    }
}
