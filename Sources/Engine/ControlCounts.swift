import Backends
import Linux

/// What the control plane counts, for the metrics. Lives on the control event loop.
struct ControlCounts {
    /// Wall-clock seconds since 1970 at which this engine began.
    let engineStart = Double(Clock.wall() / 1_000_000) / 1000
    /// Reloads that were applied, or found nothing to do.
    var reloads: UInt64 = 0
    var reloadsFailed: UInt64 = 0
    var upgrades: UInt64 = 0
    var upgradesRefused: UInt64 = 0
    var upgradesRolledBack: UInt64 = 0
    /// By backend slot, then by ``BackendState/rawValue``.
    private var changes: [Int: [UInt64]] = [:]

    mutating func noteState(_ slot: Int, _ state: BackendState) {
        changes[slot, default: Array(repeating: 0, count: 8)][Int(state.rawValue)] += 1
    }

    /// Changes of a backend to a state.
    func stateChanges(_ slot: Int, _ state: BackendState) -> UInt64 { changes[slot]?[Int(state.rawValue)] ?? 0 }

    /// A slot is somebody else's from now on.
    mutating func forget(_ slot: Int) { changes[slot] = nil }
}
