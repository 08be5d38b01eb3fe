internal import CLinux

/// What the kernel knows of a TCP socket's way to its peer, for people to look at. Each figure is of its own moment.
///
/// To ask changes nothing, whatever the descriptor is by now.
public struct TCPPath: Equatable, Sendable {
    /// Smoothed round-trip time, in microseconds; 0: not known yet.
    public let rtt: Int
    /// Its mean deviation, in microseconds.
    public let rttVariance: Int
    /// Segments that were sent again, ever.
    public let retransmits: Int
    /// Bytes that have come and were not read (SIOCINQ).
    public let unread: Int
    /// Bytes that were written and are not acknowledged (SIOCOUTQ); our FIN counts as one.
    public let unacknowledged: Int

    /// - Throws: where it is no TCP socket, or none any more.
    public init(_ socket: Int32) throws(Errno) {
        var path = limpet_tcp_path()
        if limpet_tcp_path(socket, &path) != 0 { throw .last }
        rtt = Int(path.rtt)
        rttVariance = Int(path.rtt_variance)
        retransmits = Int(path.retransmits)
        unread = Int(path.unread)
        unacknowledged = Int(path.unacknowledged)
    }
}
