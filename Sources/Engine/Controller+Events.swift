import CLayout
import Continuity
import Control
import Forwarding

/// What an engine has to tell when it begins.
extension Controller {
    /// That the daemon has started, or that an engine has died and this one goes on. An upgrade is told of with its outcome.
    func tellStart() {
        let continuity = region.continuity.pointee
        let death = DeathReport(region)
        if events.total == 0, continuity.deaths == 0, continuity.upgrade.id == 0 {
            events.post(ControlEvent(.start, new: runningVersion))
        }
        guard death.time != 0, continuity.died > continuity.upgrade.parked, !hasTold(death.time) else { return }
        events.post(
            ControlEvent(.crash, new: "\(continuity.generation)", cause: death.reason, count: region.open))
    }

    /// Whether a death has been told of: engines end for other reasons, too.
    private func hasTold(_ death: UInt64) -> Bool {
        events.recent(EventHub.capacity).contains { $0.event.event == .crash && $0.time.nanoseconds >= death }
    }
}
