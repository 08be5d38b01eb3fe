internal import CLinux

/// What the kernel counts on a TCP socket: how many bytes have ever been read from it and written to it, whoever did so.
/// All figures are of one moment.
public struct TCPCounters: Equatable, Sendable {
    public enum State: UInt8, Sendable {
        case established = 1
        case synSent = 2
        case synReceived = 3
        case finWait1 = 4
        case finWait2 = 5
        case timeWait = 6
        case close = 7
        case closeWait = 8
        case lastAck = 9
        case listen = 10
        case closing = 11
    }

    public let state: State
    /// Bytes that were taken out of the socket. The peer's FIN counts as one from when it came, read or not.
    public let taken: UInt64
    /// Bytes that were put into the socket. Our FIN counts as one; so does our SYN where we were who connected.
    public let put: UInt64
    /// Bytes that have come and were not read yet.
    public let unread: Int

    public init(state: State, taken: UInt64, put: UInt64, unread: Int) {
        self.state = state
        self.taken = taken
        self.put = put
        self.unread = unread
    }

    /// Asks the kernel. `SO_OOBINLINE` must be set, or an unread urgent byte is not counted as unread.
    /// - Throws: where the socket has no such counters (it is none of TCP, or the kernel is too old), and where they did
    ///   not stand still for long enough.
    public init(_ socket: Int32) throws(Errno) {
        var counters = limpet_tcp_counters()
        if limpet_tcp_counters(socket, &counters) != 0 { throw .last }
        guard let state = State(rawValue: counters.state) else { throw .invalidArgument }
        self.state = state
        taken = counters.received &- UInt64(counters.unread)
        put = counters.acknowledged &+ UInt64(counters.unacknowledged)
        unread = Int(counters.unread)
    }

    /// Whether the peer's FIN has come; nil: the socket is closed, which it is after a reset too.
    public var hasPeerFIN: Bool? {
        switch state {
        case .closeWait, .lastAck, .closing, .timeWait: true
        case .close: nil
        default: false
        }
    }

    /// Whether our FIN was sent; nil as above.
    public var hasOwnFIN: Bool? {
        switch state {
        case .finWait1, .finWait2, .closing, .lastAck, .timeWait: true
        case .close: nil
        default: false
        }
    }
}
