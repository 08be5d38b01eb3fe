import Backends
import Configuration
import Control
import Health
import Linux
import NIOCore

/// What a change would move, without making it.
extension Controller {
    /// Plans that are reckoned at once: each walks over all connections on a thread of its own, beside the workers.
    private static let mostPlans = 2

    func plan(_ request: PlanRequest) throws(ControlError) -> EventLoopFuture<PlanReport> {
        guard plansUnderWay < Controller.mostPlans else {
            throw ControlError(.busy, "\(plansUnderWay) other plans are being reckoned: try again")
        }
        let slot = try find(request.backend)
        guard let service = topology.backends[slot].service else {
            throw ControlError(.noSuchObject, "\(request.backend): no such backend")
        }
        let configured = topology.backends[slot].configuration.weight
        var change = ServicePlanner.Change(slot: slot, weight: nil)
        let (action, weight): (String, Int?)
        switch request.action {
        case .drain: (action, weight) = ("drain", nil)
        case .disable: (action, weight) = ("disable", nil)
        case .weight(let asked):
            let whole = region.standing(slot).weight(asked ?? configured)
            change.weight =
                Double(whole) * Double(region.slowStart(slot)?.tenths ?? SlowStart.full)
                / Double(SlowStart.full)
            (action, weight) = ("weight", whole)
        }
        let needsForce = weight == nil && intent(slot) == .ready && isLastEligible(slot)
        let planner = ServicePlanner(region: region, topology: topology)
        let key = self.request.configuration.hashKey
        let promise = eventLoop.makePromise(of: PlanReport.self)
        plansUnderWay += 1
        promise.futureResult.assumeIsolated().whenComplete { _ in self.plansUnderWay -= 1 }
        do throws(SystemError) {
            try Threads.startDetached("plan") { [change] in
                promise.succeed(
                    PlanReport(
                        action: action, backend: request.backend.backend, weight: weight, needsForce: needsForce,
                        plan: planner.plan(service, change, key: key)))
            }
        } catch {
            promise.fail(ControlError(.failed, "\(error)"))
        }
        return promise.futureResult
    }
}
