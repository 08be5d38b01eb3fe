import Configuration
import Control
import Health
import Logging
import NIOCore

/// Checks that operators ask for.
extension Controller {
    /// Weights that change one after the other have one table together.
    private static let weightPause = TimeAmount.milliseconds(200)

    /// Agents have changed weights.
    func planRebuild() {
        guard !isRebuildPlanned else { return }
        isRebuildPlanned = true
        eventLoop.scheduleTask(in: Controller.weightPause) { [self] in
            isRebuildPlanned = false
            do throws(StartError) {
                try rebuild {}
            } catch {
                log.error("the weights that agents ask for cannot be brought into force: \(error)")
            }
        }
    }

    /// Whether the table has weights that are not in force.
    var hasStaleWeights: Bool {
        topology.liveServices.map { topology.services[$0] }.contains { service in
            zip(service.slots, zip(service.configuration.backends, service.weights)).contains { slot, member in
                region.effectiveWeight(slot, configured: member.0.weight) != member.1
            }
        }
    }

    var events: EventHub { healthKeeper.events }

    func check(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<CheckReport> {
        let slot = try find(request.backend)
        guard let result = healthKeeper.check(slot) else {
            throw ControlError(
                .refused, "\(request.backend) has no check: its \"health\" is off in the configuration")
        }
        log.info(
            "control: check \(request.backend)", metadata: ["uid": "\(caller.uid)", "pid": "\(caller.pid)"])
        return result.map { [self] result in
            let outcome: CheckReport.Outcome =
                switch result.verdict {
                case .passed: .passed
                case .failed: .failed
                case .impossible: .impossible
                }
            return CheckReport(
                backend: row(slot), outcome: outcome, result: result.text,
                seconds: Double(result.duration / 1000) / 1e6)
        }
    }
}
