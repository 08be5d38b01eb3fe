import CContinuity
import CLayout
import Continuity
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// Another executable in the place of this one. How it goes is written down in the region: the process that answers
/// afterwards is another.
extension Controller {
    /// How long a new version is on probation once it serves: dies it repeatedly before, the one before comes back.
    private static let probation = TimeAmount.nanoseconds(Int64(RollBack.probation))

    func upgrade(_ request: UpgradeRequest, by caller: Caller) throws(ControlError) -> UpgradeReport {
        audit(
            "upgrade" + (request.path.map { " \($0)" } ?? "") + (request.noRollback ? " --no-rollback" : ""), caller)
        do throws(UpgradeRefusal) {
            try beginUpgrade(request)
        } catch {
            throw ControlError(.refused, "the upgrade was refused, and nothing has changed: \(error)")
        }
        return upgradeReport
    }

    func upgrade(_ id: UInt64) throws(ControlError) -> UpgradeReport {
        guard id != 0, id == region.continuity.pointee.upgrade.id else {
            throw ControlError(.noSuchObject, "\(id): no such upgrade, or another came after it")
        }
        return upgradeReport
    }

    /// SIGUSR2: an upgrade whose outcome is in the log alone.
    func upgradeBySignal() {
        log.notice("SIGUSR2: upgrading")
        do throws(UpgradeRefusal) {
            try beginUpgrade(UpgradeRequest(path: nil, noRollback: false))
        } catch {
            log.error("upgrade refused, and nothing has changed: \(error)")
        }
    }

    /// What came of an upgrade, for the log; once, and by whichever process serves afterwards. Then the version before is
    /// given up, as soon as the new one is past its probation.
    func concludeUpgrade() {
        let continuity = region.continuity
        let report = upgradeReport
        if report.id != 0, report.isOver, continuity.pointee.upgrade.told == 0 {
            continuity.pointee.upgrade.told = 1
            tell(report)
        }
        guard continuity.pointee.executable_previous >= 0 else { return }
        let served = Clock.now() - continuity.pointee.upgrade.serving
        let left = Controller.probation - .nanoseconds(Int64(clamping: served))
        eventLoop.scheduleTask(in: max(left, .nanoseconds(0))) { [self] in forgetVersionBefore() }
    }

    /// An upgrade that was being prepared when the engine before died: nothing of it is left.
    func abandonUpgrade() {
        guard isUpgrading else { return }
        refuseUpgrade(UpgradeRefusal("the engine died while it was being prepared; try again"))
    }

    /// From now on there is no way back to the version before the last upgrade.
    func forgetVersionBefore() {
        let previous = region.continuity.pointee.executable_previous
        guard previous >= 0 else { return }
        region.continuity.pointee.executable_previous = -1
        Descriptor.close(previous)
    }

    var isUpgrading: Bool {
        switch Int(limpet_load32(&region.continuity.pointee.upgrade.state)) {
        case LIMPET_UPGRADE_CANARY, LIMPET_UPGRADE_PARKING, LIMPET_UPGRADE_PARKED: true
        default: false
        }
    }

    // MARK: Steps

    private func beginUpgrade(_ request: UpgradeRequest) throws(UpgradeRefusal) {
        let continuity = region.continuity
        guard isServing else { throw UpgradeRefusal("limpetd is shutting down") }
        guard !reloads.isUnderWay else { throw UpgradeRefusal("a reload is under way; try again") }
        guard !isUpgrading else {
            throw UpgradeRefusal("upgrade \(continuity.pointee.upgrade.id) is under way")
        }
        let attempt = try attempt(request)
        forgetVersionBefore()
        var upgrade = limpet_upgrade()
        upgrade.id = continuity.pointee.upgrade.id + 1
        upgrade.no_rollback = request.noRollback ? 1 : 0
        upgrade.asked = Clock.now()
        upgrade.old_layout = Layouts.own
        limpet_upgrade_set_old_version(&upgrade, runningVersion)
        continuity.pointee.upgrade = upgrade
        limpet_publish32(&continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_CANARY))
        do throws(SystemError) {
            try Threads.startDetached("upgrade") { [self] in
                limpet_fault_thread(-1)
                let found: Result<UpgradeAttempt.Candidate, UpgradeRefusal>
                do throws(UpgradeRefusal) {
                    found = .success(try attempt.candidate())
                } catch {
                    found = .failure(error)
                }
                eventLoop.execute { [self] in asked(found) }
            }
        } catch {
            refuseUpgrade(UpgradeRefusal("\(error)"))
        }
    }

    private func attempt(_ request: UpgradeRequest) throws(UpgradeRefusal) -> UpgradeAttempt {
        let document: [UInt8]
        let program: ActiveConfiguration.Program
        do {
            document = try SharedDocument(region: region).read()
            program = try ActiveConfiguration.decode(document).program
        } catch {
            throw UpgradeRefusal("\(error)")
        }
        guard let path = request.path ?? program.path else {
            throw UpgradeRefusal("limpetd could not tell where it was started from; name the executable")
        }
        return UpgradeAttempt(
            path: path, trusted: [0, program.startedBy], document: document, needsWayBack: !request.noRollback)
    }

    /// Looks at the writing of the state file so many times before an upgrade is refused for it …
    private static let writingLooks = 100
    /// … this far apart.
    private static let writingInterval = TimeAmount.milliseconds(10)

    /// The candidate has been looked at. An engine cannot end before the disk has let go of it: with the workers parked that
    /// would be a standstill, so what is being written is waited for first.
    private func asked(
        _ found: Result<UpgradeAttempt.Candidate, UpgradeRefusal>, patience: Int = Controller.writingLooks
    ) {
        switch found {
        case .failure(let refusal): refuseUpgrade(refusal)
        case .success(let candidate):
            guard isServing else {
                Descriptor.close(candidate.executable)
                return refuseUpgrade(UpgradeRefusal("limpetd is shutting down"))
            }
            if intents.isWriting {
                guard patience > 0 else {
                    Descriptor.close(candidate.executable)
                    return refuseUpgrade(UpgradeRefusal("the state file is still being written; look at the disk"))
                }
                eventLoop.scheduleTask(in: Controller.writingInterval) { [self] in asked(found, patience: patience - 1)
                }
                return
            }
            makeWay(for: candidate)
        }
    }

    private func makeWay(for candidate: UpgradeAttempt.Candidate) {
        let continuity = region.continuity
        continuity.pointee.executable_next = candidate.executable
        limpet_upgrade_set_new_version(&continuity.pointee.upgrade, candidate.version)
        limpet_publish32(&continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_PARKING))
        let late = UpgradeRefusal(
            "a worker did not stop within \(UpgradeAttempt.parking / 1_000_000) ms; try again when there is less to do")
        do throws(SystemError) {
            try Threads.startDetached("upgrade") { [self] in
                limpet_fault_thread(-1)
                UpgradeAttempt.makeWay(region, workers)
                eventLoop.execute { [self] in refuseUpgrade(late) }
            }
        } catch {
            refuseUpgrade(UpgradeRefusal("\(error)"))
        }
    }

    private func refuseUpgrade(_ refusal: UpgradeRefusal) {
        let continuity = region.continuity
        let next = continuity.pointee.executable_next
        continuity.pointee.executable_next = -1
        if next >= 0 { Descriptor.close(next) }
        limpet_upgrade_set_reason(&continuity.pointee.upgrade, refusal.description)
        limpet_publish32(&continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_REFUSED))
        concludeUpgrade()
    }

    // MARK: In words

    private var upgradeReport: UpgradeReport {
        var upgrade = region.continuity.pointee.upgrade
        let isServing = upgrade.state == UInt32(LIMPET_UPGRADE_SERVING)
        let newVersion = String(cString: limpet_upgrade_new_version(&upgrade))
        let reason = String(cString: limpet_upgrade_reason(&upgrade))
        let state: UpgradeReport.State =
            switch Int(upgrade.state) {
            case LIMPET_UPGRADE_CANARY: .checking
            case LIMPET_UPGRADE_PARKING, LIMPET_UPGRADE_PARKED: .parking
            case LIMPET_UPGRADE_STARTED: .starting
            case LIMPET_UPGRADE_SERVING: .serving
            case LIMPET_UPGRADE_ROLLED_BACK: .rolledBack
            default: .refused
            }
        return UpgradeReport(
            id: upgrade.id, state: state, oldVersion: String(cString: limpet_upgrade_old_version(&upgrade)),
            newVersion: newVersion.isEmpty ? nil : newVersion,
            connections: isServing ? Int(clamping: upgrade.connections) : nil,
            pauseMilliseconds: isServing ? Double((upgrade.serving - upgrade.parked) / 1000) / 1000 : nil,
            reason: reason.isEmpty ? nil : reason)
    }

    private func tell(_ report: UpgradeReport) {
        let reason = report.reason ?? "the reason is not known"
        let isDone = report.state == .serving
        events.post(
            ControlEvent(
                .upgrade, old: report.oldVersion, new: isDone ? runningVersion : report.oldVersion,
                cause: isDone ? nil : report.state == .rolledBack ? "rolled back: \(reason)" : "refused: \(reason)",
                count: report.connections))
        switch report.state {
        case .serving:
            counts.noteUpgrade(.served)
            log.notice(
                "upgraded",
                metadata: [
                    "from": "\(report.oldVersion)", "to": "\(report.newVersion ?? runningVersion)",
                    "connections": "\(report.connections ?? 0)", "pause_ms": "\(report.pauseMilliseconds ?? 0)",
                ])
        case .rolledBack:
            counts.noteUpgrade(.rolledBack)
            log.error(
                "the upgrade was rolled back: \(reason)",
                metadata: ["from": "\(report.newVersion ?? "")", "to": "\(report.oldVersion)"])
        default:
            counts.noteUpgrade(.refused)
            log.error("upgrade refused, and nothing has changed: \(reason)")
        }
    }
}
