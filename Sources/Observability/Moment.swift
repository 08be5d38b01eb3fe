internal import Glibc
internal import Linux

/// Wall-clock time as logs print it.
enum Moment {
    /// RFC 3339 in UTC with milliseconds: `2026-11-23T11:42:22.017Z`.
    static var now: String { text(Clock.wall()) }

    /// - Parameter wall: ns since 1970.
    static func text(_ wall: UInt64) -> String {
        var seconds = time_t(wall / 1_000_000_000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ value: some BinaryInteger, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return digits(parts.tm_year + 1900, 4) + "-" + digits(parts.tm_mon + 1, 2) + "-" + digits(parts.tm_mday, 2)
            + "T"
            + digits(parts.tm_hour, 2) + ":" + digits(parts.tm_min, 2) + ":" + digits(parts.tm_sec, 2) + "."
            + digits(wall / 1_000_000 % 1000, 3) + "Z"
    }
}
