/// Durations as people write them: a whole number and one unit, `500ms`, `5s`, `10m` or `2h`.
public enum DurationText {
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
    ]

    /// - Returns: nil where the text is not a number and a unit, or is longer than 100 years.
    public static func parse(_ text: String) -> Duration? {
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }),
            let number = wholeNumber(text.dropLast(unit.suffix.count))
        else { return nil }
        let (milliseconds, overflow) = Int64(number).multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflow, milliseconds <= 100 * 8760 * 3_600_000 else { return nil }
        return .milliseconds(milliseconds)
    }

    /// The same duration in the largest unit that shows it exactly; what is finer than a millisecond is cut off.
    public static func render(_ duration: Duration) -> String {
        let parts = duration.components
        let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
        if milliseconds == 0 { return "0s" }
        for unit in ["h", "m", "s"] {
            let size = units.first { $0.suffix == unit }!.milliseconds
            if milliseconds % size == 0 { return "\(milliseconds / size)\(unit)" }
        }
        return "\(milliseconds)ms"
    }
}

/// Sizes of buffers: bytes, or a whole number of KiB or MiB.
enum SizeText {
    static func parse(_ text: String) -> Int? {
        for (suffix, factor) in [("KiB", 1024), ("MiB", 1024 * 1024)] where text.hasSuffix(suffix) {
            guard let number = wholeNumber(text.dropLast(3)) else { return nil }
            let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
            return overflow ? nil : bytes
        }
        return wholeNumber(text[...])
    }

    static func render(_ bytes: Int) -> String {
        if bytes % (1024 * 1024) == 0 { return "\(bytes / (1024 * 1024))MiB" }
        return bytes % 1024 == 0 ? "\(bytes / 1024)KiB" : "\(bytes)"
    }
}

/// ASCII digits alone, no sign: `Int` would take `+5` as well.
func wholeNumber(_ digits: Substring) -> Int? {
    digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(digits) : nil
}
