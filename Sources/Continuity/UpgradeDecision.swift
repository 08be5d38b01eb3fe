/// Whether what a canary has said is good enough.
public enum UpgradeDecision {
    /// - Parameters:
    ///   - layout: that the running version works on.
    ///   - needsWayBack: whether the new version must be able to give the region back, should it fail.
    ///   - isDenied: whether a system call is kept from whatever this daemon executes, by the call's name.
    /// - Throws: why not.
    public static func judge(
        _ answer: CanaryAnswer, layout: UInt32, needsWayBack: Bool, isDenied: (String) -> Bool = { _ in false }
    ) throws(UpgradeRefusal) {
        let known = answer.reads.map(String.init).joined(separator: ", ")
        guard answer.reads.contains(layout) else {
            throw UpgradeRefusal(
                "version \(answer.version) cannot take the connections over: they are kept in layout \(layout), and it"
                    + " reads \(known.isEmpty ? "none" : known); restart limpetd to change over, or go by way of a version"
                    + " that reads it")
        }
        guard !needsWayBack || answer.restores.contains(layout) else {
            throw UpgradeRefusal(
                "version \(answer.version) could not give the connections back, should it fail: it has no way back to"
                    + " layout \(layout); with --no-rollback the upgrade is made without one")
        }
        let missing = answer.calls.filter(isDenied)
        guard missing.isEmpty else {
            throw UpgradeRefusal(
                "version \(answer.version) needs what the sandbox keeps from all that limpetd executes, for as long as this"
                    + " daemon lives: \(missing.joined(separator: ", ")); restart limpetd to change over")
        }
        if let refusal = answer.refusal {
            throw UpgradeRefusal("the active configuration is invalid under version \(answer.version): \(refusal)")
        }
    }
}
