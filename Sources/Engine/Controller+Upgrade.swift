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
        let path = try path(request)
        forgetVersionBefore()
        var upgrade = limpet_upgrade()
        upgrade.id = continuity.pointee.upgrade.id + 1
        upgrade.no_rollback = request.noRollback ? 1 : 0
        upgrade.asked = Clock.now()
        upgrade.old_layout = Layouts.own
        limpet_upgrade_set_old_version(&upgrade, runningVersion)
        continuity.pointee.upgrade = upgrade
        limpet_publish32(&continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_CANARY))
        ask(path, needsWayBack: !request.noRollback, id: upgrade.id)
    }

    private func path(_ request: UpgradeRequest) throws(UpgradeRefusal) -> String {
        guard let path = request.path ?? active.program.path else {
            throw UpgradeRefusal("limpetd could not tell where it was started from; name the executable")
        }
        guard path.utf8.count < MemoryLayout.size(ofValue: limpet_look().path) else {
            throw UpgradeRefusal("\(path): the path is too long")
        }
        guard !path.utf8.contains(0) else { throw UpgradeRefusal("the path holds a NUL") }
        return path
    }

    // MARK: The keeper's part

    /// How long the keeper may take to answer: longer than whatever it asks may take.
    private static let keepersTime = TimeAmount.seconds(30)

    /// Has the keeper look at the executable, and ask it: what is found is the keeper's to know, and nothing that runs here
    /// could start a program.
    private func ask(_ path: String, needsWayBack: Bool, id: UInt64) {
        let look = region.sandbox.pointer(to: \.look)!
        limpet_text_set(limpet_look_path(look), UInt(MemoryLayout.size(ofValue: look.pointee.path)), path)
        look.pointee.needs_way_back = needsWayBack ? 1 : 0
        limpet_publish32(&look.pointee.asked, UInt32(truncatingIfNeeded: id))
        let keeper = region.continuity.pointee.keeper
        guard keeper > 0, Signals.handOn(Int32(LIMPET_LOOK_ASKED), to: keeper) == nil else {
            return refuseUpgrade(UpgradeRefusal("there is no keeper to look at the executable; try again"))
        }
        eventLoop.scheduleTask(in: Controller.keepersTime) { [self] in
            guard region.continuity.pointee.upgrade.id == id,
                limpet_load32(&region.continuity.pointee.upgrade.state) == UInt32(LIMPET_UPGRADE_CANARY)
            else { return }
            refuseUpgrade(UpgradeRefusal("the keeper has not looked at the executable; try again"))
        }
    }

    /// The keeper has an answer.
    func lookedAt() {
        let upgrade = region.continuity.pointer(to: \.upgrade)!
        let look = region.sandbox.pointer(to: \.look)!
        guard limpet_load32(&upgrade.pointee.state) == UInt32(LIMPET_UPGRADE_CANARY),
            limpet_load32(&look.pointee.answered) == UInt32(truncatingIfNeeded: upgrade.pointee.id)
        else { return }
        guard look.pointee.is_good != 0 else {
            return refuseUpgrade(UpgradeRefusal(String(cString: limpet_look_reason(look))))
        }
        makeWayOnceWritten(for: String(cString: limpet_look_version(look)))
    }

    /// Looks at the writing of the state file so many times before an upgrade is refused for it …
    private static let writingLooks = 100
    /// … this far apart.
    private static let writingInterval = TimeAmount.milliseconds(10)

    /// The executable has been looked at. An engine cannot end before the disk has let go of it: with the workers parked that
    /// would be a standstill, so what is being written is waited for first.
    private func makeWayOnceWritten(for version: String, patience: Int = Controller.writingLooks) {
        guard isServing else { return refuseUpgrade(UpgradeRefusal("limpetd is shutting down")) }
        if intents.isWriting {
            guard patience > 0 else {
                return refuseUpgrade(UpgradeRefusal("the state file is still being written; look at the disk"))
            }
            eventLoop.scheduleTask(in: Controller.writingInterval) { [self] in
                makeWayOnceWritten(for: version, patience: patience - 1)
            }
            return
        }
        makeWay(for: version)
    }

    private func makeWay(for version: String) {
        let continuity = region.continuity
        limpet_upgrade_set_new_version(&continuity.pointee.upgrade, version)
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
            let look = region.sandbox.pointer(to: \.look)!
            let isOfThis = look.pointee.answered == UInt32(truncatingIfNeeded: report.id)
            let digest = isOfThis ? String(cString: limpet_look_digest(look)) : ""
            log.notice(
                "upgraded",
                metadata: [
                    "from": "\(report.oldVersion)", "to": "\(report.newVersion ?? runningVersion)",
                    "connections": "\(report.connections ?? 0)", "pause_ms": "\(report.pauseMilliseconds ?? 0)",
                ].merging(digest.isEmpty ? [:] : ["sha256": "\(digest)"]) { $1 })
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
