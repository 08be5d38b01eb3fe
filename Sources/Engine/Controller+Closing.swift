import Backends
import CLayout
import Forwarding
import Linux
import Logging
import NIOCore

/// The times at which what drained or disabled backends have left is closed. They lie in the shared region: an engine that
/// takes over finds them there, and carries out at once what came due meanwhile.
extension Controller {
    /// What is left is closed in so many steps …
    private static let closingSteps = 10
    /// … this far apart, so that the survivors are not met by all at once.
    private static let closingStep = TimeAmount.milliseconds(100)

    /// What is planned for a backend.
    struct Closing {
        var tasks: [Scheduled<Void>]
        /// Whether the time has come and the steps are under way.
        var hasBegun: Bool
    }

    /// Plans the closing of a backend, where the region has a time for it.
    func armClosing(_ slot: Int) {
        guard let time = region.closingTime(slot) else { return }
        let now = Clock.now()
        let wait = TimeAmount.nanoseconds(time > now ? Int64(clamping: time - now) : 0)
        closings[slot] = Closing(
            tasks: [eventLoop.scheduleTask(in: wait) { [self] in closeLeft(slot) }], hasBegun: false)
    }

    /// Begins what is due although its timer has not run: timers stand still while the machine sleeps. Called once a
    /// second.
    func noteClosings() {
        let now = Clock.now()
        for (slot, closing) in closings where !closing.hasBegun {
            guard let time = region.closingTime(slot), time <= now else { continue }
            for task in closing.tasks { task.cancel() }
            closeLeft(slot)
        }
    }

    /// The intent changes: the time that was set counts no more, even where its closing has begun.
    func forgetClosing(_ slot: Int) {
        for task in closings.removeValue(forKey: slot)?.tasks ?? [] { task.cancel() }
    }

    /// The time has come: what is left gets FIN, in random order over a second.
    private func closeLeft(_ slot: Int) {
        var left: [ConnectionSnapshot] = []
        forEachConnection { if Int($0.record.backend) == slot { left.append($0) } }
        if !left.isEmpty {
            log.notice(
                "closing what is left of a backend",
                metadata: ["backend": "\(topology.fullName(slot))", "connections": "\(left.count)"])
        }
        let reason: EndReason = intent(slot) == .maintenance ? .disable : .drain
        left.shuffle()
        let perStep = max(1, (left.count + Controller.closingSteps - 1) / Controller.closingSteps)
        var closing = Closing(tasks: [], hasBegun: true)
        var step: Int32 = 0
        for start in stride(from: 0, to: left.count, by: perStep) {
            let part = Array(left[start..<min(start + perStep, left.count)])
            closing.tasks.append(
                eventLoop.scheduleTask(in: Controller.closingStep * Int(step)) { [self] in post(part, .orderly, reason)
                })
            step += 1
        }
        // Not before the last step: an engine that takes over in between begins again.
        closing.tasks.append(
            eventLoop.scheduleTask(in: Controller.closingStep * Int(max(0, step - 1))) { [self] in
                closings[slot] = nil
                region.forgetClosingTime(slot)
                save()
            })
        closings[slot] = closing
    }
}
