import CContinuity
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

    /// What the sandbox is there to refuse, for tests: in a debug build, `LIMPET_TRY` in the environment names what the
    /// first engine is to try once it serves, or `try=` in the executable what each one is.
    /// * `call`: a system call that nobody here needs;
    /// * `file:PATH`: to make a file there;
    /// * `swap:PATH`: puts that file in the place of the descriptors of executables that the keeper is to execute.
    static func tryForbidden(_ region: SharedRegion) {
        #if DEBUG
            let continuity = region.continuity
            let once = continuity.pointee.generation == 1 ? Environment.value("LIMPET_TRY") : nil
            guard let text = once ?? TestImage.value("try") else { return }
            if text == "call" { _ = limpet_sandbox_try_call() }
            if text.hasPrefix("file:") { _ = limpet_sandbox_try_file(String(text.dropFirst(5))) }
            if text.hasPrefix("swap:") {
                limpet_sandbox_try_swap(continuity, String(text.dropFirst(5)))
            }
        #endif
    }
}
