import Glibc
import Linux

/// The far end of a connection, as a client or a backend has it: blocking, with a time-out for the whole of a call.
final class Peer {
    let descriptor: Int32
    private var isClosed = false

    enum End: Equatable {
        case fin
        case reset
        /// Neither came.
        case none
    }

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close()
    }

    func close() {
        if !isClosed { Descriptor.close(descriptor) }
        isClosed = true
    }

    /// Ends the connection by RST.
    func reset() {
        StreamSocket.resetOnClose(descriptor)
        close()
    }

    func shutdown() {
        StreamSocket.shutdownWrite(descriptor)
    }

    /// Sends all of it; false where that took too long or failed.
    func send(_ bytes: [UInt8], seconds: Int = 10) -> Bool {
        let until = Clock.now() + UInt64(seconds) * 1_000_000_000
        var done = 0
        while done < bytes.count {
            switch bytes.withUnsafeBytes({
                Transfer.send(descriptor, from: $0.baseAddress! + done, count: bytes.count - done)
            }) {
            case .moved(let count): done += count
            case .wouldBlock:
                if !wait(POLLOUT, until) { return false }
            case .endOfFile, .failed: return false
            }
        }
        return true
    }

    /// Receives so many bytes, or fewer where the end comes or it takes too long.
    func receive(_ count: Int, seconds: Int = 10) -> [UInt8] {
        let until = Clock.now() + UInt64(seconds) * 1_000_000_000
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            switch bytes.withUnsafeMutableBytes({
                Transfer.receive(descriptor, into: $0.baseAddress! + done, limit: count - done)
            }) {
            case .moved(let moved): done += moved
            case .wouldBlock:
                if !wait(POLLIN, until) { return Array(bytes[..<done]) }
            case .endOfFile, .failed: return Array(bytes[..<done])
            }
        }
        return bytes
    }

    /// All bytes up to the end, and how it came.
    func receiveToEnd(seconds: Int = 10) -> (bytes: [UInt8], end: End) {
        let until = Clock.now() + UInt64(seconds) * 1_000_000_000
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            switch buffer.withUnsafeMutableBytes({
                Transfer.receive(descriptor, into: $0.baseAddress!, limit: $0.count)
            }) {
            case .moved(let count): bytes += buffer[..<count]
            case .wouldBlock:
                if !wait(POLLIN, until) { return (bytes, .none) }
            case .endOfFile: return (bytes, .fin)
            case .failed: return (bytes, .reset)
            }
        }
    }

    private func wait(_ events: Int32, _ until: UInt64) -> Bool {
        let now = Clock.now()
        guard now < until else { return false }
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return poll(&entry, 1, Int32((until - now) / 1_000_000) + 1) > 0
    }
}

/// Waits until `condition` holds; false: it did not within ten seconds.
func eventually(_ condition: () -> Bool) -> Bool {
    let until = Clock.now() + 10_000_000_000
    while !condition() {
        if Clock.now() > until { return false }
        usleep(200)
    }
    return true
}

/// Two ends of a TCP connection on the loopback: the one that accepted and the one that connected, both non-blocking
/// and with the options of a connection that is forwarded.
struct Pair {
    let accepted: Int32
    let connected: Int32

    init(listener: Int32) throws {
        guard let address = StreamSocket.localAddress(listener) else { throw Errno.invalidArgument }
        connected = try StreamSocket.open(family: address.family).get()
        SocketOptions().apply(to: connected)
        if let failure = StreamSocket.connect(connected, to: address), failure != .inProgress { throw failure }
        var peer = SocketAddress()
        accepted = try Pair.accept(listener, &peer)
        var entry = pollfd(fd: connected, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, 10_000) == 1, StreamSocket.takeError(connected) == nil else {
            throw Errno.timedOut
        }
    }

    /// Accepts what comes next.
    static func accept(_ listener: Int32, _ peer: inout SocketAddress) throws -> Int32 {
        var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 10_000) == 1 else { throw Errno.timedOut }
        let descriptor = try StreamSocket.accept(listener, peer: &peer).get()
        SocketOptions().apply(to: descriptor)
        return descriptor
    }

    func close() {
        Descriptor.close(accepted)
        Descriptor.close(connected)
    }
}
