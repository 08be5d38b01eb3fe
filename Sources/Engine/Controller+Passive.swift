import Backends
import CLayout
import Configuration
import Forwarding
import Linux
import Logging
import NIOCore

/// Backends that no check looks at, and to which connects fail: after so many in a row one is taken out at once, and comes
/// back after a time. Never the last that is eligible: a service keeps a place to go to.
///
/// That it is out lies in the region, for the workers and for the next engine, which begins with the first time out again.
extension Controller {
    /// What is known of a backend that was taken out at least once.
    struct Passive {
        var backoff = PassiveBackoff()
        /// Connects that had succeeded when it came back last.
        var worked: UInt64 = 0
        /// Brings it back; nil: it is not out.
        var comeback: Scheduled<Void>?
    }

    /// What workers could not do: for the log, and for the backends' health.
    func take(_ found: [Incident: UInt64]) {
        incidents.take(found)
        for incident in found.keys {
            switch incident.kind {
            case .connect: noteFailures(Int(incident.slot), incident.errno)
            case .resetAtOnce: noteReset(Int(incident.slot))
            default: break
            }
        }
    }

    /// Takes up again what an engine before has taken out.
    func beginPassive() {
        for slot in topology.backends.indices
        where topology.backends[slot].isLive && health(slot) == .down && !healthKeeper.isChecked(slot)
            && !topology.isNowhere(slot)
        {
            var state = Passive()
            planComeback(slot, &state, after: state.backoff.takeOut(hasWorked: true))
            passives[slot] = state
        }
    }

    /// Brings back at once what has worked meanwhile: while nothing is up, clients are sent there all the same. Called once
    /// a second.
    func notePassives() {
        for (slot, state) in passives where state.comeback != nil && tally.failuresInARow(slot) == 0 {
            comeBack(slot)
        }
    }

    /// A reload has removed backends, or given their slots to others.
    func forgetPassives() {
        for slot in passives.keys where !topology.backends[slot].isLive {
            passives.removeValue(forKey: slot)?.comeback?.cancel()
            tally.setFailuresInARow(0, slot)
        }
    }

    /// A reset at once asks for a check and decides nothing, or clients that send garbage could take backends out. One a
    /// second is enough.
    private func noteReset(_ slot: Int) {
        guard slot < topology.backends.count, topology.backends[slot].isLive else { return }
        let now = Clock.now()
        guard now - min(now, resetChecks[slot] ?? 0) >= 1_000_000_000 else { return }
        resetChecks[slot] = now
        healthKeeper.checkSoon(slot)
    }

    private func noteFailures(_ slot: Int, _ cause: Errno) {
        guard slot < topology.backends.count, topology.backends[slot].isLive,
            let service = topology.backends[slot].service,
            let limit = topology.services[service].configuration.passiveFall,
            tally.failuresInARow(slot) >= limit, intent(slot) == .ready, health(slot) != .down,
            !isLastEligible(slot)
        else { return }
        if healthKeeper.isChecked(slot) {
            healthKeeper.markedDown(slot, cause: "connects fail (\(cause)), \(tally.failuresInARow(slot)) in a row")
            // Once its checks have taken it up again it has all its tries.
            return tally.setFailuresInARow(0, slot)
        }
        var state = passives[slot] ?? Passive()
        let time = state.backoff.takeOut(hasWorked: totals(slot).total != state.worked)
        planComeback(slot, &state, after: time)
        passives[slot] = state
        healthKeeper.set(.down, slot, cause: "connects fail (\(cause)); it is tried again after \(seconds(time))")
    }

    private func planComeback(_ slot: Int, _ state: inout Passive, after time: Duration) {
        state.comeback = eventLoop.scheduleTask(in: .nanoseconds(Int64(time.nanoseconds))) { [self] in comeBack(slot) }
    }

    /// From now on the backend is eligible again; one more failure takes it out for twice the time, a success makes it what
    /// it was.
    private func comeBack(_ slot: Int) {
        guard var state = passives[slot], state.comeback != nil else { return }
        state.comeback?.cancel()
        state.comeback = nil
        state.worked = totals(slot).total
        passives[slot] = state
        guard health(slot) == .down, !topology.isNowhere(slot) else { return }
        let hasWorked = tally.failuresInARow(slot) == 0
        if !hasWorked, let service = topology.backends[slot].service,
            let limit = topology.services[service].configuration.passiveFall
        {
            tally.setFailuresInARow(limit - 1, slot)
        }
        healthKeeper.set(.unchecked, slot, cause: hasWorked ? "a connect has succeeded" : "it is tried again")
    }
}
