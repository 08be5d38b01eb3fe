/// The way of a backend that comes back or is new up to its full weight, in ten steps of equal time. Pure.
///
/// The weight only rises, so that a client goes over to the backend once at most, and nobody goes anywhere else
/// (``Rendezvous``).
public enum SlowStart {
    /// Tenths of the weight, of which a backend starts with one.
    public static let full = 10

    /// - Parameters:
    ///   - elapsed, whole: of one unit; `whole` is above 0.
    /// - Returns: 1 to 10 tenths of the weight.
    public static func tenths(elapsed: UInt64, of whole: UInt64) -> Int {
        if elapsed >= whole { return full }
        return 1 + Int((Double(elapsed) / Double(whole) * Double(full - 1)).rounded(.down))
    }
}
