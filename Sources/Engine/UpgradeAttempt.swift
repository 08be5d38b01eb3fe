import CLayout
import Continuity
import Forwarding
import Linux

/// Making way for another version, once the keeper has looked at it: stopping the workers takes its time. For a thread of
/// its own, off the control event loop, which answers meanwhile.
enum UpgradeAttempt {
    /// How long the workers may take to stop, in ns: for their clients that is a pause already.
    static let parking: UInt64 = {
        #if DEBUG
            // Tests share a machine with others, and most of them are not about time.
            if let text = Environment.value("LIMPET_UPGRADE_PATIENCE"), let number = UInt64(text) {
                return number * 1_000_000
            }
        #endif
        return 150_000_000
    }()

    /// Stops the workers for good and ends this process, for the keeper to execute what it has looked at.
    /// - Returns: only where a worker did not stop in time; all serve on then.
    static func makeWay(_ region: SharedRegion, _ workers: WorkerPool) {
        region.continuity.pointee.upgrade.parked = Clock.now()
        guard workers.park(within: parking) else { return }
        limpet_publish32(&region.continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_PARKED))
        Processes.endAtOnce(0)
    }
}
