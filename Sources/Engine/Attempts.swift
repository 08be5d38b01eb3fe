import Backends
import CLayout
import Forwarding

/// Connections that are to be closed at a quiet moment, and that something came through at the last instant: they have
/// another turn, for a time.
struct Attempts: Sendable {
    private static let patience: UInt64 = 10_000_000_000

    /// By number, when the first was made, in ns of ``Clock``.
    private var first: [UInt64: UInt64] = [:]

    /// Whether a connection whose turn has come is closed now, whatever comes through: its moment is not quiet anyway, or
    /// quiet ones have been missed for long enough.
    mutating func insists(_ connection: ConnectionSnapshot, _ now: UInt64) -> Bool {
        if !connection.isQuiet(now) { return true }
        if let begun = first[connection.id] { return now - min(now, begun) >= Attempts.patience }
        first[connection.id] = now
        return false
    }
}

extension ConnectionSnapshot {
    /// Whether nothing has come through it for a while, and nothing is on its way in a pipe.
    fileprivate func isQuiet(_ now: UInt64) -> Bool {
        record.direction.0.pipe_bytes == 0 && record.direction.1.pipe_bytes == 0
            && now - min(now, record.active) >= Shedder.quiet
    }
}
