import CLayout
import Testing

@testable import Continuity

struct BackoffTests {
    private static let second: UInt64 = 1_000_000_000
    private static let millisecond: UInt64 = 1_000_000

    /// What each of the deaths, at these seconds, is followed by.
    private func steps(_ seconds: [UInt64]) -> [Backoff.Step] {
        let continuity = UnsafeMutablePointer<limpet_continuity>.allocate(capacity: 1)
        continuity.initialize(to: limpet_continuity())
        defer { continuity.deallocate() }
        return seconds.map { Backoff(isOff: false).note(continuity, now: 1_000_000 * Self.second + $0 * Self.second) }
    }

    @Test func twoInAMinuteAreFree() {
        #expect(steps([0, 1]) == [.wait(0), .wait(0)])
        #expect(steps([0, 59, 61, 120, 122]) == Array(repeating: .wait(0), count: 5))
    }

    @Test func thenTheWaitsGrowFourfold() {
        #expect(
            steps([0, 1, 2, 3]) == [.wait(0), .wait(0), .wait(10 * Self.millisecond), .wait(40 * Self.millisecond)])
    }

    @Test func theFifthMakesANewImageAndTheWaitsGoOn() {
        let all = steps(Array(0..<12))
        #expect(all[4] == .newImage)
        #expect(all[5] == .wait(640 * Self.millisecond) && all[6] == .wait(2560 * Self.millisecond))
        // Never longer than five seconds; and a new image again when it has seen five deaths itself.
        #expect(all[7] == .wait(5 * Self.second) && all[8] == .wait(5 * Self.second) && all[9] == .newImage)
        #expect(all[10] == .wait(5 * Self.second))
    }

    @Test func aQuietMinuteForgetsThem() {
        #expect(
            Array(steps([0, 1, 2, 3, 4, 5, 6, 70, 71, 72]).suffix(3)) == [
                .wait(0), .wait(0), .wait(10 * Self.millisecond),
            ])
    }
}
