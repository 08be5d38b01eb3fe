import CLayout
import Continuity
import Forwarding
import Linux

/// What of an upgrade takes its time: looking at the executable, asking it, stopping the workers. Runs on a thread of its
/// own, off the control event loop, which answers meanwhile.
struct UpgradeAttempt: Sendable {
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

    let path: String
    /// Users whose executables are trusted.
    let trusted: Set<UInt32>
    /// The text of the active configuration.
    let document: [UInt8]
    let needsWayBack: Bool

    /// What was found.
    struct Candidate: Sendable {
        /// For execveat(2), inherited by an exec. Whoever gets it closes it.
        let executable: Int32
        let version: String
    }

    /// Looks at the executable and asks it.
    func candidate() throws(UpgradeRefusal) -> Candidate {
        let executable = try UpgradePath.open(path, trusted: trusted)
        do throws(UpgradeRefusal) {
            let answer = try Canary.ask(executable, document: document)
            try UpgradeDecision.judge(answer, layout: Layouts.own, needsWayBack: needsWayBack)
            if let error = Descriptor.keepOverExec(executable) { throw UpgradeRefusal("\(error)") }
            return Candidate(executable: executable, version: answer.version)
        } catch {
            Descriptor.close(executable)
            throw UpgradeRefusal("\(path): \(error)")
        }
    }

    /// Stops the workers for good and ends this process, for the keeper to execute what `executable_next` names.
    /// - Returns: only where a worker did not stop in time; all serve on then.
    static func makeWay(_ region: SharedRegion, _ workers: WorkerPool) {
        region.continuity.pointee.upgrade.parked = Clock.now()
        guard workers.park(within: parking) else { return }
        limpet_publish32(&region.continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_PARKED))
        Processes.endAtOnce(0)
    }
}
