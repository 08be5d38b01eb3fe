/// Bounded load (Mirrokni, Thorup and Zadimoghaddam 2016): no backend takes more than so many times its fair share of a
/// service's connections, as they are at one moment; who would is passed over like one that is full.
///
/// Pure; costs one division for each question.
public struct LoadBound: Sendable, Hashable {
    /// Hundredths: 125 stands for a factor of 1.25.
    private let factor: UInt64
    private let load: UInt64
    private let weight: UInt64

    /// - Parameters:
    ///   - factor: in hundredths, 100 at least.
    ///   - load: connections of all backends that could take one, together.
    ///   - weight: theirs, together.
    public init(factor: Int, load: UInt64, weight: Int) {
        self.factor = UInt64(factor)
        self.load = load
        self.weight = UInt64(max(1, weight))
    }

    /// Whether one connection more would be too many for a backend. Never true for all of those that were counted.
    public func isExceeded(load own: UInt64, weight ownWeight: Int) -> Bool {
        let (share, overflow) = (factor * (load + 1)).multipliedReportingOverflow(by: UInt64(ownWeight))
        if overflow { return false }
        let whole = 100 * weight
        return own >= (share + whole - 1) / whole
    }
}
