internal import CLayout
internal import Linux

/// How long the keeper waits before the next engine, and when it starts itself anew. Works on what the region remembers
/// of deaths, so that a new image of the keeper goes on counting.
struct Backoff {
    /// Deaths this far apart have nothing to do with each other, in ns.
    private static let window: UInt64 = 60_000_000_000
    /// As many in a window are followed by the next engine at once.
    private static let free = 2
    private static let first: UInt64 = 10_000_000
    private static let longest: UInt64 = 5_000_000_000
    /// Debug builds can be told not to wait, for tests that kill engines by the hundred.
    private let isOff: Bool

    init() {
        #if DEBUG
            self.init(isOff: Environment.value("LIMPET_BACKOFF") == "off")
        #else
            self.init(isOff: false)
        #endif
    }

    init(isOff: Bool) {
        self.isOff = isOff
    }

    /// What is to be done before the next engine.
    enum Step: Equatable {
        /// Nanoseconds; 0: nothing.
        case wait(UInt64)
        /// The keeper is to execute itself anew: what is wrong may lie in how this image lies in memory.
        case newImage
    }

    /// Notes a death.
    /// - Parameter now: of ``Clock/now()``.
    func note(_ continuity: UnsafeMutablePointer<limpet_continuity>, now: UInt64) -> Step {
        var recent = continuity.pointee.recent_death
        recent = (now, recent.0, recent.1, recent.2, recent.3)
        continuity.pointee.recent_death = recent
        let count = [recent.0, recent.1, recent.2, recent.3, recent.4].count { $0 != 0 && now - $0 < Backoff.window }
        if count <= Backoff.free {
            continuity.pointee.backoff = 0
            return .wait(0)
        }
        let level = min(continuity.pointee.backoff, 16)
        continuity.pointee.backoff = level + 1
        // Five in a window, all of them this image's.
        if recent.4 > continuity.pointee.reexecuted, count == 5 {
            continuity.pointee.reexecuted = now
            return .newImage
        }
        return .wait(isOff ? 0 : min(Backoff.first << (2 * UInt64(level)), Backoff.longest))
    }
}
