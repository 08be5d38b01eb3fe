import CLayout
import Continuity
import Forwarding
import Glibc
import Linux

/// Engines that fail, for tests of the upgrade: a copy of a debug build can be told where (``TestImage``).
enum Rehearsal {
    enum Point: String {
        /// Nothing has been done yet.
        case starting
        /// Clients are served, and the control socket is.
        case serving
    }

    /// Fails where the executable says `engine=POINT:HOW:TIMES`: `dies` or `hangs` there in the first so many engines of a
    /// new version.
    static func pass(_ point: Point, _ region: SharedRegion) {
        guard let parts = TestImage.value("engine")?.split(separator: ":"), parts.count == 3,
            parts[0] == point.rawValue, let times = UInt32(parts[2]),
            region.continuity.pointee.upgrade.deaths < times
        else { return }
        if parts[1] == "hangs" { while true { pause() } }
        Signals.send(SIGSEGV, to: Processes.own)
        while true { pause() }
    }
}
