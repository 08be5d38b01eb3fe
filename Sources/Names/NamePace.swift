/// When a name is asked for again. Pure.
public struct NamePace: Sendable, Hashable {
    /// Time from one good answer to the next question; nil: as long as the answer counts, by its TTL.
    public var interval: Duration?

    /// No name is asked for more often.
    public static let shortest = Duration.seconds(1)
    /// However long its TTL is, an answer is not believed for longer.
    public static let longest = Duration.seconds(300)
    /// After failures in a row the time doubles up to this.
    public static let longestAfterFailure = Duration.seconds(30)

    public init(interval: Duration? = nil) {
        self.interval = interval
    }

    /// Time until the next question after a good answer.
    /// - Parameter ttl: seconds.
    public func wait(ttl: UInt32) -> Duration {
        interval ?? min(max(.seconds(Int64(ttl)), NamePace.shortest), NamePace.longest)
    }

    /// Time until the next question after so many failures in a row, 1 at least.
    public func wait(failures: Int) -> Duration {
        let doubled = NamePace.shortest * (1 << min(max(failures, 1) - 1, 6))
        return min(doubled, NamePace.longestAfterFailure)
    }
}
