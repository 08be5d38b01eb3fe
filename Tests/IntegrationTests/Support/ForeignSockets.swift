import Foundation

/// The sockets of another process, looked at through duplicates of them. For root.
enum ForeignSockets {
    private static let pidfdOpen = unsafeBitCast(
        dlsym(nil, "pidfd_open"), to: (@convention(c) (pid_t, UInt32) -> Int32).self)
    private static let pidfdGetFD = unsafeBitCast(
        dlsym(nil, "pidfd_getfd"), to: (@convention(c) (Int32, Int32, UInt32) -> Int32).self)

    /// Calls `body` with a duplicate of the process's TCP socket between these addresses; without a peer: of one that listens.
    static func withSocket<R>(
        of pid: pid_t, between local: SocketAddress, and peer: SocketAddress?, _ body: (TCPSocket) throws -> R
    ) throws -> R {
        let process = pidfdOpen(pid, 0)
        guard process >= 0 else { throw SocketFailure(call: "pidfd_open", code: errno) }
        defer { close(process) }
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd") {
            let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(name)")
            guard link?.hasPrefix("socket:") == true, let number = Int32(name) else { continue }
            let copy = pidfdGetFD(process, number, 0)
            guard copy >= 0 else { throw SocketFailure(call: "pidfd_getfd", code: errno) }
            let socket = TCPSocket(owning: copy)
            if socket.peer == peer && socket.local == local { return try body(socket) }
        }
        let other = peer.map { "\($0)" } ?? "nobody"
        throw SocketFailure(call: "a socket of process \(pid) between \(local) and \(other)", code: ENOENT)
    }
}

extension TCPSocket {
    /// An Int32 option.
    func option(_ level: Int32, _ option: Int32) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(fd, level, option, &value, &length)
        return value
    }
}
