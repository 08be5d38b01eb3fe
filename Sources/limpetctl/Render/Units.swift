import Control

/// Numbers as people read them.
enum Units {
    /// Bytes with a binary unit: `0 B`, `999 B`, `1.2 GiB`. At most 8 characters.
    static func bytes(_ count: UInt64) -> String {
        if count < 1000 { return "\(count) B" }
        var value = Double(count)
        for unit in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
            value /= 1024
            // What would round to four digits goes to the next unit.
            if value < 99.95 { return "\(fixed(value, 1)) \(unit)" }
            if value < 999.5 { return "\(fixed(value, 0)) \(unit)" }
        }
        return "\(fixed(value / 1024, 1)) EiB"
    }

    static func age(_ seconds: Double) -> String { DurationText.age(seconds: seconds) }

    /// Time from one moment to a later one; 0s where clocks disagree.
    static func age(from start: Timestamp, to end: Timestamp) -> String {
        age(Double(end.milliseconds - start.milliseconds) / 1000)
    }

    /// Seconds for machines, to the millisecond.
    static func seconds(_ value: Double) -> String { fixed(value, 3) }

    /// A number with one decimal.
    static func tenths(_ value: Double) -> String { fixed(value, 1) }

    /// Seconds for machines, to the microsecond.
    static func microseconds(_ value: Double) -> String { fixed(value, 6) }

    /// How long something is going to take, roughly: `40 s`, `3 min`, `5 h`, `2 d`.
    static func about(_ seconds: Double) -> String {
        let seconds = max(0, min(seconds, 1e12))
        if seconds < 100 { return "\(Int64(seconds.rounded(.up))) s" }
        if seconds < 100 * 60 { return "\(Int64((seconds / 60).rounded(.up))) min" }
        if seconds < 48 * 3600 { return "\(Int64((seconds / 3600).rounded(.up))) h" }
        return "\(Int64((seconds / 86400).rounded(.up))) d"
    }

    /// A rate, to two digits after the point: `20/s`, `0.35/s`.
    static func rate(_ perSecond: Double) -> String {
        var text = fixed(perSecond, 2)
        while text.hasSuffix("0") { text.removeLast() }
        return (text.hasSuffix(".") ? String(text.dropLast()) : text) + "/s"
    }

    /// A factor, to two digits after the point: `1.04`.
    static func factor(_ value: Double) -> String { fixed(value, 2) }

    /// Milliseconds with one decimal.
    static func milliseconds(_ value: Double) -> String { fixed(value, 1) }

    static func connections(_ count: Int) -> String { count == 1 ? "1 connection" : "\(count) connections" }

    /// A share of 1: `0 %`, `0.01 %`, `12.5 %`; what is there is never 0.
    static func percent(_ share: Double) -> String {
        if share <= 0 { return "0 %" }
        let value = share * 100
        return value < 0.01 ? "less than 0.01 %" : value < 1 ? "\(fixed(value, 2)) %" : "\(fixed(value, 1)) %"
    }

    private static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let fraction = String(scaled % Int64(scale))
        return "\(scaled / Int64(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
