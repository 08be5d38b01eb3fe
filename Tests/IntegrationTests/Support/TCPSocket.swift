import Foundation
import Synchronization

/// A system call that failed, or a wait that took too long.
struct SocketFailure: Error, CustomStringConvertible {
    var call: String
    /// ETIMEDOUT where the test gave up waiting.
    var code: Int32

    var isReset: Bool { code == ECONNRESET || code == EPIPE }
    var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// How the other side's stream ended.
enum StreamEnd: Equatable {
    case fin
    case reset
}

/// One end of a TCP or Unix connection (or a listening socket) in the test. Every call that can wait has a limit.
///
/// Any thread may call it; closing while another thread waits is the test's mistake.
final class TCPSocket: Sendable {
    let fd: Int32
    private let open = Mutex(true)
    private let wasReset = Atomic(false)

    /// Takes over a descriptor, which is closed with the object.
    init(owning fd: Int32) { self.fd = fd }

    deinit { close() }

    /// An unconnected, non-blocking socket of the right family, bound if `source` is given.
    convenience init(for address: SocketAddress, source: SocketAddress? = nil) throws {
        let family = address.isUnix ? AF_UNIX : address.isIPv6 ? AF_INET6 : AF_INET
        let fd = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard fd >= 0 else { throw SocketFailure(call: "socket", code: errno) }
        self.init(owning: fd)
        if let source {
            // Without it, a bind to port 0 reserves a port for this address alone, and thousands of clients run out.
            if source.port == 0 {
                set(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            } else {
                set(SOL_SOCKET, SO_REUSEADDR, 1)
            }
            let result = source.withSockaddr { bind(fd, $0, $1) }
            guard result == 0 else { throw SocketFailure(call: "bind to \(source)", code: errno) }
        }
    }

    /// Connects, from `source` when given.
    static func connect(
        to address: SocketAddress, from source: String? = nil, within limit: Duration = patience,
        receiveBuffer: Int32? = nil
    ) throws -> TCPSocket {
        let socket = try TCPSocket(for: address, source: source.map { SocketAddress($0, 0) })
        if let receiveBuffer { socket.set(SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        try socket.startConnecting(to: address)
        try socket.finishConnecting(within: limit)
        return socket
    }

    /// Sends the SYN and does not wait.
    func startConnecting(to address: SocketAddress) throws {
        let result = address.withSockaddr { Glibc.connect(fd, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else {
            throw SocketFailure(call: "connect to \(address)", code: errno)
        }
    }

    func finishConnecting(within limit: Duration = patience) throws {
        try wait(for: POLLOUT, limit, "connect")
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length)
        // Connected and then reset, before we looked: asking has taken the error away, and the next call gives it back.
        if code == ECONNRESET { wasReset.store(true, ordering: .relaxed) }
        guard code == 0 || code == ECONNRESET else { throw SocketFailure(call: "connect", code: code) }
    }

    /// Sets an Int32 option. The tests set only options that cannot fail on a socket of theirs.
    func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        let result = setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
        precondition(result == 0, "setsockopt \(level) \(option): \(String(cString: strerror(errno)))")
    }

    func set(_ level: Int, _ option: Int32, _ value: Int32) { set(Int32(level), option, value) }

    var local: SocketAddress { SocketAddress.filled { getsockname(fd, $0, $1) }! }

    /// nil when the connection is gone.
    var peer: SocketAddress? { SocketAddress.filled { getpeername(fd, $0, $1) } }

    // MARK: Sending

    /// Sends what the kernel takes at once; 0 when it takes nothing.
    func trySend(_ bytes: UnsafeRawBufferPointer, flags: Int32 = 0) throws -> Int {
        let sent = Glibc.send(fd, bytes.baseAddress, bytes.count, flags | Int32(MSG_NOSIGNAL))
        if sent >= 0 { return sent }
        let code = errno
        if code == EAGAIN { return 0 }
        throw SocketFailure(call: "send", code: code)
    }

    /// Sends all of it. The limit is for each step forward, not for the whole.
    func send(_ bytes: UnsafeRawBufferPointer, within limit: Duration = patience) throws {
        var done = 0
        while done < bytes.count {
            let sent = try trySend(UnsafeRawBufferPointer(rebasing: bytes[done...]))
            if sent == 0 { try wait(for: POLLOUT, limit, "send") }
            done += sent
        }
    }

    func send(_ bytes: [UInt8], within limit: Duration = patience) throws {
        try bytes.withUnsafeBytes { try send($0, within: limit) }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends one byte of urgent data.
    func sendUrgent(_ byte: UInt8, within limit: Duration = patience) throws {
        try withUnsafeBytes(of: byte) {
            while try trySend($0, flags: Int32(MSG_OOB)) == 0 { try wait(for: POLLOUT, limit, "send urgent") }
        }
    }

    // MARK: Receiving

    /// Some bytes; none at the end of the stream.
    func receive(into buffer: UnsafeMutableRawBufferPointer, within limit: Duration = patience) throws -> Int {
        if wasReset.load(ordering: .relaxed) { throw SocketFailure(call: "receive", code: ECONNRESET) }
        while true {
            let got = recv(fd, buffer.baseAddress, buffer.count, 0)
            if got >= 0 { return got }
            let code = errno
            guard code == EAGAIN else { throw SocketFailure(call: "receive", code: code) }
            try wait(for: POLLIN, limit, "receive")
        }
    }

    /// Some bytes; none at the end of the stream.
    func receive(atMost count: Int = 65_536, within limit: Duration = patience) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try receive(into: UnsafeMutableRawBufferPointer(buffer), within: limit)
        }
    }

    /// Exactly so many bytes.
    /// - Throws: a failure with code ENODATA when the stream ends before.
    func receive(exactly count: Int, within limit: Duration = patience) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let more = try receive(atMost: count - bytes.count, within: limit)
            if more.isEmpty { throw SocketFailure(call: "receive: \(bytes.count) of \(count)", code: ENODATA) }
            bytes += more
        }
        return bytes
    }

    func receiveText(_ count: Int) throws -> String {
        String(decoding: try receive(exactly: count), as: UTF8.self)
    }

    /// Text up to and without the next line feed.
    func receiveLine() throws -> String {
        var bytes: [UInt8] = []
        while true {
            let byte = try receive(exactly: 1)
            if byte == [10] { return String(decoding: bytes, as: UTF8.self) }
            bytes += byte
        }
    }

    /// Everything up to the end of the stream, and how it ended.
    func receiveToEnd(within limit: Duration = patience) throws -> (bytes: [UInt8], end: StreamEnd) {
        var bytes: [UInt8] = []
        do {
            while true {
                let more = try receive(within: limit)
                if more.isEmpty { return (bytes, .fin) }
                bytes += more
            }
        } catch let failure as SocketFailure where failure.isReset {
            return (bytes, .reset)
        }
    }

    /// True when nothing has arrived: no byte, no FIN, no reset.
    var isQuiet: Bool {
        var byte: UInt8 = 0
        return recv(fd, &byte, 1, Int32(MSG_PEEK)) < 0 && errno == EAGAIN
    }

    /// What poll(2) says at once.
    func ready(_ events: Int32) -> Bool {
        var entry = pollfd(fd: fd, events: Int16(events), revents: 0)
        return poll(&entry, 1, 0) == 1
    }

    private func wait(for events: Int32, _ limit: Duration, _ what: String) throws {
        var entry = pollfd(fd: fd, events: Int16(events), revents: 0)
        let result = poll(&entry, 1, limit.pollMilliseconds)
        if result == 0 { throw SocketFailure(call: what, code: ETIMEDOUT) }
        if result < 0 { throw SocketFailure(call: what, code: errno) }
    }

    // MARK: Ending

    /// Sends the FIN; the other direction stays open.
    func finish() throws {
        guard shutdown(fd, Int32(SHUT_WR)) == 0 else { throw SocketFailure(call: "shutdown", code: errno) }
    }

    func close() {
        open.withLock {
            if $0 { Glibc.close(fd) }
            $0 = false
        }
    }

    /// Sends RST and keeps the descriptor, so that another thread may still be waiting on it: connecting to no address
    /// is how to disconnect, see connect(2).
    func abort() {
        var nowhere = sockaddr()
        nowhere.sa_family = sa_family_t(AF_UNSPEC)
        _ = Glibc.connect(fd, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
    }

    /// Closes with RST instead of FIN.
    func reset() {
        var value = linger(l_onoff: 1, l_linger: 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
        close()
    }
}
