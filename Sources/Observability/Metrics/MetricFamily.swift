/// All samples of one name: what they count, in which unit, and by which labels they are told apart.
///
/// What is there is listed in ``MetricCatalogue``; the manual page limpet-metrics(7) is compared with that. A pure value.
public struct MetricFamily: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// Only grows; begins at 0 when the daemon does.
        case counter
        case gauge
        /// Buckets of a distribution, with its count and sum.
        case histogram
    }

    /// With its prefix and its unit; a counter ends in `_total`.
    public let name: String
    public let kind: Kind
    /// One sentence.
    public let help: String
    /// Names, in the order in which values are given to ``MetricsText``.
    public let labels: [String]

    init(_ name: String, _ kind: Kind, _ labels: [String], _ help: String) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.help = help
    }

    /// One sample alone.
    init(_ name: String, _ kind: Kind, _ help: String) {
        self.init(name, kind, [], help)
    }
}

/// A distribution, as it was counted.
public struct MetricHistogram: Sendable, Equatable {
    /// Upper bounds of the buckets, ascending, in base units; what is over the last one is in no bucket of its own.
    public var bounds: [Double]
    /// How many lie in each bucket alone, and at the end how many lie over the last bound.
    public var counts: [UInt64]
    /// Of all values, in base units.
    public var sum: Double

    /// - Precondition: one count more than bounds.
    public init(bounds: [Double], counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1)
        self.bounds = bounds
        self.counts = counts
        self.sum = sum
    }
}
