import Stickiness
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// The arithmetic must come to the same bits everywhere, in debug and in release.
@Suite struct ScoreTests {
    /// n, and −ln(1 − (n + ½)/2^53) to the bit.
    static let golden: [(Int64, Double)] = [
        (0, 0x1.0p-54), (1, 0x1.8000000000002p-53), (1_048_576, 0x1.000008004p-33),
        (123_456_789_012_345, 0x1.c43d573d8aff8p-7), (2_637_981_338_587_649, 0x1.62dd584c3654p-2),
        (2_638_000_000_000_000, 0x1.62de1cec3bf0ap-2), (4_503_599_627_370_495, 0x1.62e42fefa39eep-1),
        (4_503_599_627_370_496, 0x1.62e42fefa39efp-1), (6_755_399_441_055_744, 0x1.62e42fefa39efp+0),
        (8_000_000_000_000_000, 0x1.186dcbccf9868p+1), (9_007_199_254_740_990, 0x1.205966f2b4f12p+5),
        (9_007_199_254_740_991, .infinity),
    ]

    @Test func logarithmHasItsGoldenBits() {
        for (n, expected) in ScoreTests.golden {
            let e = Score.uniform(UInt64(n) << 11)
            #expect(Score.negativeLogOfComplement(e).bitPattern == expected.bitPattern, "\(n)")
        }
    }

    /// The whole path for one client and three backends, as the reference computes it.
    @Test func evenNumbersAgreeWithTheReference() {
        let sourceKey: UInt64 = 0xc44c_be1d_70dd_dfbc
        let seeds: [(UInt64, Double)] = [
            (0xb3e1_8da8_0d12_fd71, 0x1.5c3dfbf4c1682p-1), (0xd155_9cd8_7ced_5c7f, 0x1.ab572514441cap-1),
            (0xa7dd_3aea_abb2_8154, 0x1.66c98ab8abfb6p-3),
        ]
        for (seed, expected) in seeds { #expect(Score.uniform(Score.mix64(sourceKey ^ seed)) == expected) }
    }

    /// 0xe220a8397b1dcdaf is the first number that SplitMix64 gives from seed 0.
    @Test func mixerIsSplitMix64() {
        #expect(Score.mix64(0x9e37_79b9_7f4a_7c15) == 0xe220_a839_7b1d_cdaf)
        #expect(Score.mix64(0) == 0)
        #expect(Score.mix64(0xcf9a_04af_fa6b_adc0) == .max)
    }

    /// The low eleven bits of a hash play no part, and the sum is rounded to nearest even.
    @Test func evenNumberTakesTheUpper53Bits() {
        #expect(Score.uniform(0) == 0x1p-54)
        #expect(Score.uniform(0x7ff) == 0x1p-54)
        #expect(Score.uniform(0x800) == 0x1.8p-53)
        #expect(Score.uniform(.max) == 1)
        #expect(Score.uniform(.max - 0x800) == 0x1.ffffffffffffep-1)
    }

    /// Over every magnitude: never below e, and within two units in the last place of the C library's.
    @Test func logarithmIsAccurateAndNotBelowItsArgument() {
        var random = Generator(seed: 2)
        for round in 0..<20_000 {
            // Hashes with few bits make small e, their complements make e near 1.
            let few = random.next() >> UInt64(round % 53)
            for hash in [few, ~few] where Score.uniform(hash) < 1 {
                let e = Score.uniform(hash)
                let ours = Score.negativeLogOfComplement(e)
                let theirs = -log1p(-e)
                guard ours >= e, (ours - theirs).magnitude <= 2 * theirs.ulp else {
                    Issue.record("−ln(1 − \(e)) came out as \(ours), not \(theirs)")
                    return
                }
            }
        }
    }
}
