import Backends
import CLayout
import Forwarding
import Linux

/// What the control plane counts, for the metrics: in the shared region, where it outlives an engine. Lives on the control
/// event loop.
struct ControlCounts {
    /// Wall-clock seconds since 1970 at which this engine began.
    let engineStart = Double(Clock.wall() / 1_000_000) / 1000
    private let region: SharedRegion

    init(_ region: SharedRegion) {
        self.region = region
    }

    /// Reloads that were applied or found nothing to do, and those that were refused or failed.
    var reloads: (succeeded: UInt64, failed: UInt64) {
        let counters = region.controlCounters.pointee
        return (counters.reloads.0, counters.reloads.1)
    }

    func noteReload(succeeded: Bool) {
        let counters = region.controlCounters
        if succeeded {
            limpet_bump64(&counters.pointee.reloads.0, 1)
        } else {
            limpet_bump64(&counters.pointee.reloads.1, 1)
        }
    }

    enum UpgradeResult {
        case served, refused, rolledBack
    }

    func upgrades(_ result: UpgradeResult) -> UInt64 {
        let counters = region.controlCounters.pointee
        return switch result {
        case .served: counters.upgrades.0
        case .refused: counters.upgrades.1
        case .rolledBack: counters.upgrades.2
        }
    }

    func noteUpgrade(_ result: UpgradeResult) {
        let counters = region.controlCounters
        switch result {
        case .served: limpet_bump64(&counters.pointee.upgrades.0, 1)
        case .refused: limpet_bump64(&counters.pointee.upgrades.1, 1)
        case .rolledBack: limpet_bump64(&counters.pointee.upgrades.2, 1)
        }
    }

    enum ResolutionResult: CaseIterable {
        /// With something good, sure that there is nothing, or not at all.
        case answered, empty, failed
    }

    func resolutions(_ result: ResolutionResult) -> UInt64 {
        let counters = region.controlCounters.pointee
        return switch result {
        case .answered: counters.resolutions.0
        case .empty: counters.resolutions.1
        case .failed: counters.resolutions.2
        }
    }

    func noteResolution(_ result: ResolutionResult) {
        let counters = region.controlCounters
        switch result {
        case .answered: limpet_bump64(&counters.pointee.resolutions.0, 1)
        case .empty: limpet_bump64(&counters.pointee.resolutions.1, 1)
        case .failed: limpet_bump64(&counters.pointee.resolutions.2, 1)
        }
    }

    /// How often a backend came to a state.
    func stateChanges(_ slot: Int, _ state: BackendState) -> UInt64 { limpet_load64(changes(slot, state)) }

    func noteState(_ slot: Int, _ state: BackendState) { limpet_bump64(changes(slot, state), 1) }

    private func changes(_ slot: Int, _ state: BackendState) -> UnsafeMutablePointer<UInt64> {
        let first = UnsafeMutableRawPointer(region.history(slot).pointer(to: \.state_changes)!)
        return first.assumingMemoryBound(to: UInt64.self) + Int(state.rawValue)
    }
}
