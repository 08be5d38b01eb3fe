/// Durations as people type and read them.
public enum DurationText {
    /// Reads a number and its unit: `500ms`, `5s`, `10m`, `2h`, `3d`. No sign, no fraction, no space; at most 3650 days.
    public static func parse(_ text: some StringProtocol) -> Duration? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard !digits.isEmpty, let number = Int64(digits) else { return nil }
        let milliseconds: Int64? =
            switch text.dropFirst(digits.count) {
            case "ms": 1
            case "s": 1000
            case "m": 60_000
            case "h": 3_600_000
            case "d": 86_400_000
            default: nil
            }
        guard let milliseconds else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: milliseconds)
        return overflow || product > 3650 * 86_400_000 ? nil : .milliseconds(product)
    }

    /// An age in two units at most: `0s`, `47s`, `12m05s`, `3h20m`, `6d01h`. Fractions of a second are cut off.
    public static func age(seconds: Double) -> String {
        let total = Int64(max(0, min(seconds, 1e12)))
        return switch total {
        case ..<60: "\(total)s"
        case ..<3600: "\(total / 60)m\(twoDigits(total % 60))s"
        case ..<86400: "\(total / 3600)h\(twoDigits(total / 60 % 60))m"
        default: "\(total / 86400)d\(twoDigits(total / 3600 % 24))h"
        }
    }

    private static func twoDigits(_ value: Int64) -> String {
        value < 10 ? "0\(value)" : "\(value)"
    }
}

extension Duration {
    /// The duration in seconds.
    public var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
