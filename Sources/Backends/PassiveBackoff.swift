/// How long a backend stays out that was found down by failed connects alone: nobody looks at it meanwhile, so it is tried
/// again after a time, which doubles each time that it fails again without having worked in between.
public struct PassiveBackoff: Sendable, Hashable {
    /// The first time out.
    public static let first = Duration.seconds(2)
    /// No time out is longer.
    public static let longest = Duration.seconds(60)

    /// How long the backend stays out when it fails next.
    public private(set) var next = PassiveBackoff.first

    public init() {}

    /// The backend goes out.
    /// - Parameter hasWorked: whether a connect to it has succeeded since it came back.
    /// - Returns: for how long.
    public mutating func takeOut(hasWorked: Bool) -> Duration {
        let time = hasWorked ? PassiveBackoff.first : next
        next = min(time * 2, PassiveBackoff.longest)
        return time
    }
}
