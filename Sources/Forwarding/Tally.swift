import CLayout

/// What all workers of one engine count together and need not leave behind: the next engine begins anew, or tells it again
/// from the records. Any thread may use it; nothing in it is locked.
public final class Tally: @unchecked Sendable {
    /// By backend slot: connects that have failed since the last one that did not.
    private let failures: UnsafeMutablePointer<UInt64>

    /// Costs memory only where a count was ever changed.
    public init(backendSlots: Int) {
        failures = Tally.zeroed(backendSlots)
    }

    deinit {
        failures.deallocate()
    }

    private static func zeroed(_ count: Int) -> UnsafeMutablePointer<UInt64> {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        words.initialize(repeating: 0, count: count)
        return words
    }

    /// A connect to a backend has failed, for no reason of this machine.
    @inline(__always)
    func connectFailed(_ backend: Int) {
        _ = limpet_fetch_add64(failures + backend, 1)
    }

    /// A connect has succeeded.
    @inline(__always)
    func connectSucceeded(_ backend: Int) {
        if limpet_load64(failures + backend) != 0 { limpet_store64(failures + backend, 0) }
    }

    /// Connects to a backend that have failed since the last one that did not.
    public func failuresInARow(_ backend: Int) -> Int {
        Int(clamping: limpet_load64(failures + backend))
    }

    /// Says how many have failed: 0 where the slot is another backend's now.
    public func setFailuresInARow(_ count: Int, _ backend: Int) {
        limpet_store64(failures + backend, UInt64(count))
    }
}
