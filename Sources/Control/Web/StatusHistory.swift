/// The last ten minutes of some figures, for the small charts of the status page. A pure value, bounded: so many steps of
/// so many series, and what is older goes.
struct StatusHistory: Sendable {
    /// Seconds from one step to the next.
    static let interval = 6
    static let steps = 100
    /// The whole and so many backends have a series.
    static let mostSeries = 257

    struct Point: Sendable, Equatable {
        var connections: Int
        var rates: StatusDocument.Rates
    }

    /// The figures of one series, oldest first.
    struct Series: Sendable, Encodable, Equatable {
        private(set) var connections: [Int] = []
        private(set) var accepts: [Double] = []
        private(set) var bytesIn: [Double] = []
        private(set) var bytesOut: [Double] = []

        init(_ point: Point) { add(point) }

        mutating func add(_ point: Point) {
            connections.append(point.connections)
            accepts.append(StatusHistory.short(point.rates.accepts))
            bytesIn.append(StatusHistory.short(point.rates.bytesIn))
            bytesOut.append(StatusHistory.short(point.rates.bytesOut))
            guard connections.count > StatusHistory.steps else { return }
            connections.removeFirst()
            accepts.removeFirst()
            bytesIn.removeFirst()
            bytesOut.removeFirst()
        }

        enum CodingKeys: String, CodingKey {
            case connections, accepts
            case bytesIn = "in"
            case bytesOut = "out"
        }
    }

    /// As it is sent: all of it, or the last step of each series.
    struct Document: Encodable {
        /// Of the last point.
        var step: Int
        var interval = StatusHistory.interval
        var steps = StatusHistory.steps
        var series: [String: Series]
    }

    private(set) var step = 0
    private(set) var series: [String: Series] = [:]
    private var last: [String: Point] = [:]

    /// Takes a step. Series that have no point any more go.
    mutating func add(_ points: [String: Point]) {
        step += 1
        for key in series.keys where points[key] == nil { series[key] = nil }
        last = [:]
        for (key, point) in points where series[key] != nil || series.count < StatusHistory.mostSeries {
            if series[key] == nil { series[key] = Series(point) } else { series[key]?.add(point) }
            last[key] = point
        }
    }

    var whole: Document { Document(step: step, series: series) }

    var lastStep: Document { Document(step: step, series: last.mapValues(Series.init)) }

    /// One decimal is more than a chart can show.
    private static func short(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
