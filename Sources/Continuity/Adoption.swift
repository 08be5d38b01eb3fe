internal import CContinuity
internal import CLayout
internal import Forwarding
public import Linux

/// A daemon that another image has handed to this one: the region and all descriptors, see exec.h.
public struct Adoption {
    private let descriptor: Int32
    private let oomAdjustment: Int32

    /// Whether this process was made by an exec that hands a daemon over. Call it before all else in the program: it takes
    /// away what would mislead a later start, and gives back what an exec takes.
    /// - Returns: nil: somebody has started it anew.
    public static func take() -> Adoption? {
        var adoption = limpet_adoption()
        guard limpet_take_adoption(&adoption) != 0 else { return nil }
        return Adoption(descriptor: adoption.region, oomAdjustment: adoption.oom_adjustment)
    }

    /// Takes the region over, and the names of what this image brings with it.
    /// - Throws: where this build cannot work on it. Then the process must end, and the guard goes on with the image before.
    public func region() throws(SystemError) -> AdoptedRegion {
        let adopted = try Layouts.adopt(descriptor)
        if TestImage.value("adopted") == "dies" { Signals.send(Signals.kill, to: Processes.own) }
        let continuity = adopted.region.continuity
        // An exec has closed them, and their numbers will be others'.
        continuity.pointee.keeper_pidfd = -1
        continuity.pointee.engine_pidfd = -1
        adopted.region.process.pointee.oom_adjustment = oomAdjustment
        if limpet_load32(&continuity.pointee.upgrade.state) == UInt32(LIMPET_UPGRADE_PARKED) {
            continuity.pointee.executable_previous = continuity.pointee.executable
            continuity.pointee.executable = continuity.pointee.executable_next
            continuity.pointee.executable_next = -1
            limpet_publish32(&continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_STARTED))
        }
        return adopted
    }
}

extension AdoptedRegion {
    /// Ends the hand-over: an engine has been cloned, so there are two of us again, and no guard is needed any more.
    /// - Returns: false: the guard has lost patience, and this process must end.
    func release(_ engine: Int32) -> Bool {
        // The guard knows the region that was handed down and no other, and would have to wait for this engine.
        handedDown.pointee.engine = engine
        guard limpet_claim_safety(handedDown.pointer(to: \.safe)!) != 0 else { return false }
        // For the engine, should this process die before it has let it go.
        region.continuity.pointee.safe = Processes.own
        // While the engine waits: afterwards what is closed here could be another descriptor of this number.
        forgetInherited()
        limpet_dismiss_guard(region.continuity)
        return true
    }
}
