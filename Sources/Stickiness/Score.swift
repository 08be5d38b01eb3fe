/// The arithmetic of a score: `−ln(1 − e) / weight`, the lowest wins.
///
/// Every instance of a fleet must come to the same bits, whatever its processor and C library. Therefore the
/// logarithm is built here from IEEE 754 binary64 `+ − × ÷` alone, each rounded to nearest, in the order written.
/// Swift never fuses a product and a sum by itself (fused multiply-add has to be asked for by name), and it has no mode
/// that reorders floating-point operations; golden bit patterns in the tests would show it if that changed.
package enum Score {
    /// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    @inline(__always)
    package static func mix64(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z &>> 31
    }

    /// The even number of a client and a backend: `((h >> 11) + 0.5) / 2^53`, above 0 and at most 1. (The sum is rounded
    /// to nearest even, so that the largest `h >> 11` gives 1 itself.)
    @inline(__always)
    package static func uniform(_ hash: UInt64) -> Double {
        (Double(Int64(truncatingIfNeeded: hash &>> 11)) + 0.5) * 0x1p-53
    }

    /// `−ln(1 − e)` for 0 < e ≤ 1, accurate to about two units in the last place also where `e` is tiny; +infinity for 1.
    /// Never less than `e`, as the true value is not: pruning relies on that, so the last step makes it a certainty.
    package static func negativeLogOfComplement(_ e: Double) -> Double {
        // 1 − e, and what rounding took from it: 1 − rounded is exact, so rounded + lost is exactly 1 − e.
        let rounded = 1 - e
        guard rounded > 0 else { return .infinity }
        let lost = (1 - rounded) - e

        // rounded = 2^exponent × m with m in (√½, √2]. It is at least 2^−53, so it is never subnormal.
        var exponent = Double(Int(rounded.bitPattern >> 52) - 1023)
        var m = Double(bitPattern: rounded.bitPattern & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000)
        if m > 0x1.6a09e667f3bcdp+0 {
            m *= 0.5
            exponent += 1
        }

        // ln m = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …) with s = (m − 1)/(m + 1), |s| < 0.1716. What is cut off, from
        // s²³/23 on, is less than 2^−57 of the sum.
        let s = (m - 1) / (m + 1)
        let z = s * s
        var series = 1.0 / 21
        series = series * z + 1.0 / 19
        series = series * z + 1.0 / 17
        series = series * z + 1.0 / 15
        series = series * z + 1.0 / 13
        series = series * z + 1.0 / 11
        series = series * z + 1.0 / 9
        series = series * z + 1.0 / 7
        series = series * z + 1.0 / 5
        series = series * z + 1.0 / 3
        let twice = s + s
        let logarithm = (twice * z * series + lost / rounded + twice) + exponent * 0x1.62e42fefa39efp-1
        return max(-logarithm, e)
    }
}
