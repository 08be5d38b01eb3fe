import CLayout
import Forwarding
import Linux
import Logging
import NIOCore

/// The connections of what a reload has removed, and the time that was left to them. It lies in the shared region: an
/// engine that takes over goes by it.
extension Controller {
    /// What is left is closed in so many steps …
    private static let steps = 10
    /// … this far apart, so that the survivors are not met by all at once.
    private static let step = TimeAmount.milliseconds(100)

    /// Closes what has had its time. Called after a reload and once a second.
    func noteRemoved() {
        let now = Clock.now()
        let backends = topology.backends.indices.filter { slot in
            let state = region.backend(slot)
            return state.pointee.used == UInt8(LIMPET_SLOT_RETIRED) && isDue(state.pointee.removed_deadline, now)
                && limpet_load64(&state.pointee.load) > 0
        }
        let listeners = topology.tables.listeners.indices.filter { slot in
            let state = region.listener(slot)
            return state.pointee.used == UInt8(LIMPET_SLOT_RETIRED) && isDue(state.pointee.removed_deadline, now)
                && (0..<region.workerCount).contains {
                    limpet_load64(&region.counters($0, listener: slot).pointee.open) > 0
                }
        }
        guard !backends.isEmpty || !listeners.isEmpty else { return }
        var left: [ConnectionSnapshot] = []
        forEachConnection { snapshot in
            let record = snapshot.record
            guard backends.contains(Int(record.backend)) || listeners.contains(Int(record.listener)) else { return }
            // Those that were told already have their seconds.
            if Int(record.state) != LIMPET_CLOSING { left.append(snapshot) }
        }
        guard !left.isEmpty else { return }
        log.notice(
            "removed-deadline: closing what is left",
            metadata: [
                "backends": "\(backends.map(topology.fullName).joined(separator: " "))",
                "listeners": "\(listeners.map { topology.tables.listeners[$0].address }.joined(separator: " "))",
                "connections": "\(left.count)",
            ])
        left.shuffle()
        let perStep = (left.count + Controller.steps - 1) / Controller.steps
        for (number, start) in stride(from: 0, to: left.count, by: perStep).enumerated() {
            let part = Array(left[start..<min(start + perStep, left.count)])
            eventLoop.scheduleTask(in: Controller.step * number) { [self] in post(part, .orderly, .removed) }
        }
    }

    private func isDue(_ deadline: UInt64, _ now: UInt64) -> Bool { deadline != 0 && now >= deadline }
}
