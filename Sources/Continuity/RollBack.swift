internal import CContinuity
internal import CLayout
public import Forwarding
internal import Linux

/// Gives the daemon back to the version before, where a new one dies as soon as it works. For the keeper, while there is
/// no engine.
///
/// The version before is at hand as a descriptor for as long as the new one is on probation. It gets the region in the
/// layout that it left it in, and goes on.
public enum RollBack {
    /// So many deaths of engines of a new version …
    static let deaths: UInt32 = 3
    /// … before it has served for so long (in ns) are too many.
    public static let probation: UInt64 = 10_000_000_000
    /// How long the first engine of a new version may take to serve, in ns: connections stand still meanwhile.
    static let patience: UInt64 = 3_000_000_000

    /// Writes down that the version that has taken over serves. Any thread of its engine, once.
    public static func noteServing(_ region: SharedRegion) {
        let upgrade = region.continuity.pointer(to: \.upgrade)!
        guard limpet_load32(&upgrade.pointee.state) == UInt32(LIMPET_UPGRADE_STARTED) else { return }
        upgrade.pointee.serving = Clock.now()
        upgrade.pointee.connections = UInt64(region.open)
        limpet_publish32(&upgrade.pointee.state, UInt32(LIMPET_UPGRADE_SERVING))
    }

    /// Counts the death of an engine against a version that is on probation.
    /// - Returns: whether that was one too many.
    static func note(_ continuity: UnsafeMutablePointer<limpet_continuity>, now: UInt64) -> Bool {
        guard isOnProbation(continuity, now: now) else { return false }
        continuity.pointee.upgrade.deaths += 1
        return continuity.pointee.upgrade.no_rollback == 0 && continuity.pointee.upgrade.deaths >= deaths
    }

    /// Whether a new version that has never served stands still, and nothing but its end will help.
    static func isOverdue(_ continuity: UnsafeMutablePointer<limpet_continuity>, now: UInt64) -> Bool {
        limpet_load32(&continuity.pointee.upgrade.state) == UInt32(LIMPET_UPGRADE_STARTED)
            && continuity.pointee.upgrade.no_rollback == 0 && continuity.pointee.executable_previous >= 0
            && now > continuity.pointee.engine_started + patience
    }

    private static func isOnProbation(_ continuity: UnsafeMutablePointer<limpet_continuity>, now: UInt64) -> Bool {
        guard continuity.pointee.executable_previous >= 0 else { return false }
        switch Int(limpet_load32(&continuity.pointee.upgrade.state)) {
        case LIMPET_UPGRADE_STARTED: return true
        case LIMPET_UPGRADE_SERVING: return now < continuity.pointee.upgrade.serving + probation
        default: return false
        }
    }

    /// Executes the version before. Does not return, but where that cannot be done: then nothing has happened, and it is
    /// not tried again.
    /// - Parameter reason: of the last death, in words.
    static func run(_ region: SharedRegion, reason: String) throws(SystemError) -> Never {
        let continuity = region.continuity
        let previous = continuity.pointee.executable_previous
        let failed = continuity.pointee.executable
        let state = continuity.pointee.upgrade.state
        continuity.pointee.executable_previous = -1
        let copy = try Layouts.restore(region, as: continuity.pointee.upgrade.old_layout)
        let handed = copy.continuity
        handed.pointee.executable = previous
        limpet_upgrade_set_reason(&handed.pointee.upgrade, reason)
        handed.pointee.upgrade.told = 0
        limpet_publish32(&handed.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_ROLLED_BACK))
        limpet_exec_guarded(copy.header, previous, failed, 0)
        let error = Keeper.failure("execute the version before", .last)
        continuity.pointee.executable = failed
        limpet_publish32(&continuity.pointee.upgrade.state, state)
        if copy.descriptor != region.memory.descriptor {
            copy.unmap()
            Descriptor.close(copy.descriptor)
        }
        throw error
    }
}
