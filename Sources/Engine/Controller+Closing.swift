import Backends
import CLayout
import Forwarding
import Linux
import Logging
import NIOCore

/// The times at which what drained or disabled backends have left is closed. They lie in the shared region: an engine that
/// takes over finds them there, and carries out at once what came due meanwhile.
extension Controller {
    /// What is left is closed in so many steps at least …
    private static let closingSteps = 10
    /// … of so many connections at most, where they are very many …
    private static let closingBatch = 100
    /// … this far apart, so that the survivors are not met by all at once.
    private static let closingStep = TimeAmount.milliseconds(100)
    /// A deadline that waits comes again after this time, in ns.
    private static let postponement: UInt64 = 1_000_000_000

    /// What is planned for a backend.
    struct Closing {
        var tasks: [Scheduled<Void>]
        /// Whether the time has come and the steps are under way.
        var hasBegun: Bool
    }

    /// Plans the closing of a backend, where the region has a time for it.
    func armClosing(_ slot: Int) {
        armDrain(slot)
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
        // A connect that was under way when the drain began may have come through since.
        for slot in topology.backends.indices where closings[slot]?.hasBegun != true { armDrain(slot) }
    }

    /// The intent changes: the time that was set counts no more, even where its closing has begun, and nobody is shed.
    func forgetClosing(_ slot: Int) {
        if drains.running.removeValue(forKey: slot) != nil, intent(slot) == .ready { tellDrain(slot, "ended") }
        for task in closings.removeValue(forKey: slot)?.tasks ?? [] { task.cancel() }
    }

    /// The time has come: what is left gets FIN, in random order over a second, or longer where there are very many. Unless
    /// the time has been put off, or has to be now, as there is nowhere that the clients could go.
    private func closeLeft(_ slot: Int) {
        let now = Clock.now()
        if drains.running[slot]?.hindrance != nil, !region.drainPace(slot).isForced {
            region.moveClosingTime(to: now + Controller.postponement, slot)
        }
        guard let time = region.closingTime(slot), time <= now else { return armClosing(slot) }
        var left: [ConnectionSnapshot] = []
        forEachConnection { if Int($0.record.backend) == slot { left.append($0) } }
        if !left.isEmpty {
            tellDrain(slot, "deadline", cause: "closing what is left of a backend", connections: left.count)
        }
        let reason: EndReason = intent(slot) == .maintenance ? .disable : .drain
        left.shuffle()
        let steps = max(Controller.closingSteps, left.count / Controller.closingBatch)
        let perStep = max(1, (left.count + steps - 1) / steps)
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
