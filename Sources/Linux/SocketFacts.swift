public import Addressing
import CLinux
import Glibc

/// What the kernel says of a socket that somebody else has made.
public struct SocketFacts: Sendable, Equatable {
    /// AF_INET, AF_INET6, AF_UNIX …
    public let family: Int32
    /// SOCK_STREAM, SOCK_DGRAM …
    public let type: Int32
    /// IPPROTO_TCP …
    public let protocolNumber: Int32
    public let isListening: Bool
    /// Of IPv6: whether it takes IPv6 clients alone.
    public let isV6Only: Bool
    /// The interface that it is bound to; nil: none.
    public let device: String?
    /// Where it is bound; nil for what is no IP socket.
    public let endpoint: Endpoint?
    /// The same of a Unix socket; nil also for one whose name is no UTF-8.
    public let path: UnixPath?

    /// nil: the descriptor is no socket.
    public init?(_ descriptor: Int32) {
        func option(_ level: Int32, _ name: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, level, name, &value, &length) == 0 ? value : nil
        }
        guard let family = option(SOL_SOCKET, SO_DOMAIN), let type = option(SOL_SOCKET, SO_TYPE) else { return nil }
        self.family = family
        self.type = type
        protocolNumber = option(SOL_SOCKET, SO_PROTOCOL) ?? 0
        isListening = option(SOL_SOCKET, SO_ACCEPTCONN) == 1
        isV6Only = option(Int32(IPPROTO_IPV6), IPV6_V6ONLY) != 0
        device = StreamSocket.device(descriptor)
        endpoint = StreamSocket.localEndpoint(descriptor)
        path = StreamSocket.localAddress(descriptor)?.unixPath
    }

    public var isTCP: Bool {
        (family == AF_INET || family == AF_INET6) && type == Int32(SOCK_STREAM.rawValue)
            && protocolNumber == Int32(IPPROTO_TCP)
    }

    /// Whether it is a Unix socket that carries streams.
    public var isUnixStream: Bool { family == AF_UNIX && type == Int32(SOCK_STREAM.rawValue) }

    /// In words: `a datagram socket`, `a Unix socket`.
    public var description: String {
        switch (family, Int(type)) {
        case (AF_UNIX, Int(SOCK_STREAM.rawValue)): "a Unix socket without a name, or with one that is no UTF-8"
        case (AF_UNIX, _): "a Unix socket of another kind than a stream"
        case (AF_INET, Int(SOCK_DGRAM.rawValue)), (AF_INET6, Int(SOCK_DGRAM.rawValue)): "a datagram socket"
        case (AF_NETLINK, _): "a netlink socket"
        default: "a socket of another kind"
        }
    }
}

extension StreamSocket {
    /// A further descriptor of the same socket, which an exec keeps.
    public static func share(_ descriptor: Int32) throws(SystemError) -> Int32 {
        let copy = dup(descriptor)
        guard copy >= 0 else { throw SystemError("duplicate a descriptor", .last) }
        return copy
    }

    /// Makes a listening socket one that accept(2) does not wait at, whoever else holds it, and its descriptor one that an
    /// exec keeps.
    public static func prepareForSharing(_ descriptor: Int32) throws(SystemError) {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0, fcntl(descriptor, F_SETFD, 0) == 0 else {
            throw SystemError("prepare a socket", .last)
        }
    }

    /// Makes a socket that of a user: what the kernel goes by where sockets share a port. False: not allowed.
    @discardableResult
    public static func give(_ descriptor: Int32, to user: UInt32, _ group: UInt32) -> Bool {
        fchown(descriptor, user, group) == 0
    }
}
