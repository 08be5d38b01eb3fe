import CLinux
import Glibc

/// How a call that moves bytes came out. Waiting and the end are outcomes, not errors.
@frozen public enum Outcome: Equatable, Sendable {
    /// So many bytes, at least one.
    case moved(Int)
    case wouldBlock
    case endOfFile
    case failed(Errno)
}

/// Calls that move bytes. All descriptors are non-blocking; EINTR is retried; none raises SIGPIPE as long as the
/// process ignores it (splice(2) has no MSG_NOSIGNAL). Any thread may call them; a descriptor has one user at a time.
public enum Transfer {
    /// recv(2).
    @inline(__always)
    public static func receive(_ socket: Int32, into buffer: UnsafeMutableRawPointer, limit: Int) -> Outcome {
        while true {
            let count = limpet_recv(socket, buffer, limit, 0)
            if let outcome = settle(count) { return outcome }
        }
    }

    /// recv(2) with MSG_PEEK: the bytes stay in the socket.
    public static func peek(_ socket: Int32, into buffer: UnsafeMutableRawPointer, limit: Int) -> Outcome {
        while true {
            let count = limpet_recv(socket, buffer, limit, Int32(MSG_PEEK))
            if let outcome = settle(count) { return outcome }
        }
    }

    /// recv(2) with MSG_TRUNC: takes bytes out of the socket without copying them (tcp(7)).
    public static func discard(_ socket: Int32, limit: Int) -> Outcome {
        while true {
            let count = limpet_recv(socket, nil, limit, Int32(MSG_TRUNC))
            if let outcome = settle(count) { return outcome }
        }
    }

    /// send(2).
    @inline(__always)
    public static func send(_ socket: Int32, from buffer: UnsafeRawPointer, count: Int) -> Outcome {
        while true {
            let sent = limpet_send(socket, buffer, count, Int32(MSG_NOSIGNAL))
            if sent > 0 { return .moved(sent) }
            let error = Errno.last
            if error == .wouldBlock { return .wouldBlock }
            if error != .interrupted { return .failed(error) }
        }
    }

    /// write(2) to a pipe.
    public static func write(_ pipe: Int32, from buffer: UnsafeRawPointer, count: Int) -> Outcome {
        while true {
            let written = CLinux.write(pipe, buffer, count)
            if let outcome = settle(written) { return outcome }
        }
    }

    /// splice(2) with SPLICE_F_MOVE and SPLICE_F_NONBLOCK. `wouldBlock` does not tell whether the source was empty or
    /// the sink full; `endOfFile` at an urgent mark may be untrue: recv decides (see Pump).
    @inline(__always)
    public static func splice(from source: Int32, to sink: Int32, limit: Int) -> Outcome {
        while true {
            let count = limpet_splice(source, sink, limit, UInt32(LIMPET_SPLICE_MOVE | LIMPET_SPLICE_NONBLOCK))
            if let outcome = settle(count) { return outcome }
        }
    }

    /// nil: interrupted, try again.
    @inline(__always)
    private static func settle(_ count: Int) -> Outcome? {
        if count > 0 { return .moved(count) }
        if count == 0 { return .endOfFile }
        let error = Errno.last
        if error == .wouldBlock { return .wouldBlock }
        return error == .interrupted ? nil : .failed(error)
    }
}
