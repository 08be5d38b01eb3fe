import CLayout

/// What is counted over all workers: exact but for the event that a dying engine has in hand, and never beginning anew while
/// the daemon lives. Any thread may ask.
extension SharedRegion {
    /// Connections that have ended for this reason.
    public func closed(_ reason: EndReason) -> UInt64 {
        sum { limpet_load64(limpet_closed(metrics(ofWorker: $0), Int32(reason.rawValue))) }
    }

    /// Clients that were reset without having been given a backend: one of ``EndReason/isRefusal``, or ``EndReason/local``
    /// and ``EndReason/clientReset`` where that came before they were recorded.
    public func refused(byListener slot: Int, _ reason: EndReason) -> UInt64 {
        sum { limpet_load64(limpet_refused(metrics($0, listener: slot), Int32(reason.rawValue))) }
    }

    /// How long the connections lasted that have ended.
    public func connectionDurations() -> Histogram {
        Histogram((0..<workerCount).map { metrics(ofWorker: $0).pointer(to: \.duration)! }, limpet_duration_bound)
    }

    /// How long the connects to a backend took that succeeded.
    public func connectDurations(ofBackend slot: Int) -> Histogram {
        Histogram(
            (0..<workerCount).map { metrics($0, backend: slot).pointer(to: \.connect)! }, limpet_connect_bound)
    }

    public func spliceCalls(_ result: SpliceResult) -> UInt64 {
        sum { limpet_load64(limpet_splice_calls(metrics(ofWorker: $0), result.rawValue)) }
    }

    /// ns that a command waited until the worker came to it, as of the last probe, see ``WorkerCommand/probe(sent:)``.
    public func eventLoopLag(ofWorker index: Int) -> UInt64 {
        limpet_load64(&metrics(ofWorker: index).pointee.lag)
    }

    /// Lines of the access log for which there was no room.
    public func accessLogDropped() -> UInt64 {
        sum { limpet_load64(&accessRing($0).pointee.dropped) }
    }

    /// Lines of the log itself that nobody read in time.
    public func logDropped() -> UInt64 { limpet_load64(&logState.pointee.log_dropped) }

    private func sum(_ count: (_ worker: Int) -> UInt64) -> UInt64 {
        (0..<workerCount).reduce(0) { $0 &+ count($1) }
    }
}

/// How the calls of splice(2) came out.
public enum SpliceResult: Int32, CaseIterable, Sendable {
    case moved
    /// Nothing to take, or no room.
    case again
    case failed
}

/// Times, by how long they were.
public struct Histogram: Sendable {
    /// Upper bounds of the buckets, in seconds; the last bucket has none.
    public let bounds: [Double]
    /// What fell into each bucket and none before it; one more than there are bounds.
    public let counts: [UInt64]
    /// Seconds.
    public let sum: Double

    public var count: UInt64 { counts.reduce(0, &+) }

    /// Adds up the workers' own.
    init(_ parts: [UnsafeMutablePointer<limpet_histogram>], _ bound: (Int32) -> UInt64) {
        bounds = (0..<Int32(LIMPET_BUCKETS - 1)).map { Double(bound($0)) / 1_000_000 }
        counts = (0..<Int32(LIMPET_BUCKETS)).map { bucket in
            parts.reduce(0) { $0 &+ limpet_load64(limpet_bucket($1, bucket)) }
        }
        sum = parts.reduce(0) { $0 + Double(limpet_load64(&$1.pointee.sum)) / 1_000_000 }
    }
}
