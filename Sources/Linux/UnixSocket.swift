public import Addressing
internal import CLinux
internal import Glibc

/// Stream sockets of the Unix domain, and who is at their other end (unix(7)). Descriptors are plain numbers; whoever
/// holds one closes it.
public enum UnixSocket {
    /// Bytes that a path may have: `sun_path` holds 108 with the closing zero.
    public static let maximumPathLength = 107

    /// A stream socket.
    /// - Parameter isInherited: by an upgrade; else it is close-on-exec.
    public static func open(isBlocking: Bool = true, isInherited: Bool = false) -> Result<Int32, Errno> {
        let mode = isBlocking ? 0 : SOCK_NONBLOCK.rawValue
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | mode | (isInherited ? 0 : SOCK_CLOEXEC.rawValue)), 0)
        return descriptor < 0 ? .failure(.last) : .success(descriptor)
    }

    /// Binds, which makes the file. Nobody can connect before ``listen(_:)``. nil: done.
    /// - Parameters:
    ///   - path: at most ``maximumPathLength`` bytes; a longer one is ENAMETOOLONG.
    ///   - permissions: of the file from its first moment on: Linux takes them from the unbound socket, less the umask.
    public static func bind(_ descriptor: Int32, path: String, permissions: UInt32) -> Errno? {
        if fchmod(descriptor, mode_t(permissions)) != 0 { return .last }
        return withAddress(path) { Glibc.bind(descriptor, $0, $1) == 0 ? nil : .last }
    }

    /// listen(2). nil: done.
    public static func listen(_ descriptor: Int32) -> Errno? {
        Glibc.listen(descriptor, 128) == 0 ? nil : .last
    }

    /// connect(2). nil: connected.
    public static func connect(_ descriptor: Int32, path: String) -> Errno? {
        withAddress(path) { Glibc.connect(descriptor, $0, $1) == 0 ? nil : .last }
    }

    /// A non-blocking socket that is connected: to a Unix socket there is no connect that takes time.
    /// - Returns: ``Errno/wouldBlock`` where the queue of those that wait to be accepted is full.
    public static func connected(to path: UnixPath) -> Result<Int32, Errno> {
        open(isBlocking: false).flatMap { descriptor in
            let failure = SocketAddress(path).withPointer { pointer, length -> Errno? in
                Glibc.connect(descriptor, pointer, length) == 0 ? nil : .last
            }
            guard let failure else { return .success(descriptor) }
            Descriptor.close(descriptor)
            return .failure(failure)
        }
    }

    /// SO_PEERCRED: process, user and group of the peer when it connected.
    public static func peerCredentials(_ descriptor: Int32) -> Result<(pid: Int32, uid: UInt32, gid: UInt32), Errno> {
        var value = limpet_ucred()
        var length = socklen_t(MemoryLayout<limpet_ucred>.size)
        if getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &value, &length) != 0 { return .failure(.last) }
        return .success((value.pid, value.uid, value.gid))
    }

    /// SO_PEERGROUPS: the supplementary groups of the peer when it connected.
    public static func peerGroups(_ descriptor: Int32) -> Result<[UInt32], Errno> {
        var length = socklen_t(0)
        let option = Int32(LIMPET_SO_PEERGROUPS)
        // Asking with no room answers ERANGE and how much is needed.
        if getsockopt(descriptor, SOL_SOCKET, option, nil, &length) == 0 { return .success([]) }
        guard errno == ERANGE else { return .failure(.last) }
        var groups = [gid_t](repeating: 0, count: Int(length) / MemoryLayout<gid_t>.stride)
        if getsockopt(descriptor, SOL_SOCKET, option, &groups, &length) != 0 { return .failure(.last) }
        return .success(groups)
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Errno?) -> Errno? {
        let bytes = Array(path.utf8)
        guard bytes.count <= maximumPathLength, !bytes.contains(0) else { return Errno(rawValue: ENAMETOOLONG) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
