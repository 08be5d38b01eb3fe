public import Addressing
import CLinux
import Glibc

/// Where a connection comes from: what is set on a socket before it is bound or connected. Each answers nil where it is
/// done. From here on a descriptor may be any socket of the caller's.
extension StreamSocket {
    /// Values that the C library of older systems does not name: see ip(7), ipv6(7) and linux/in6.h.
    private static let bindAddressNoPort: Int32 = 24
    private static let transparent: Int32 = 19
    private static let transparent6: Int32 = 75

    /// Binds an address and leaves the port to connect(2), which then takes any that no connection to that very peer has
    /// (IP_BIND_ADDRESS_NO_PORT): a port serves one connection to each peer, and not one in all.
    ///
    /// A connect that finds no port (EADDRNOTAVAIL) leaves the socket as it was: it can be bound to another address.
    public static func bindAddress(_ descriptor: Int32, to address: SocketAddress) -> Errno? {
        if let failure = set(descriptor, Int32(IPPROTO_IP), bindAddressNoPort, 1) { return failure }
        return address.withPointer { bind(descriptor, $0, $1) } == 0 ? nil : .last
    }

    /// IP_TRANSPARENT: the socket may have an address that is not this machine's. Needs CAP_NET_RAW or CAP_NET_ADMIN.
    public static func setTransparent(_ descriptor: Int32, family: Int32, _ isOn: Bool = true) -> Errno? {
        family == AF_INET6
            ? set(descriptor, Int32(IPPROTO_IPV6), transparent6, isOn ? 1 : 0)
            : set(descriptor, Int32(IPPROTO_IP), transparent, isOn ? 1 : 0)
    }

    /// Makes a listening socket take clients that TPROXY sends to it, under a number of its own; 0: it does not any more.
    ///
    /// What is accepted inherits the number, as the time-out of its reads, which counts for nothing: nobody waits in a read.
    public static func setInterception(_ descriptor: Int32, family: Int32, _ number: Int32) -> Errno? {
        if let failure = setTransparent(descriptor, family: family, number != 0) { return failure }
        var time = timeval(tv_sec: Int(number), tv_usec: 0)
        return setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size)) == 0
            ? nil : .last
    }

    /// The number of the listener that intercepts, of its sockets and of those that were accepted from it; nil: it is, or
    /// came from, another.
    public static func interception(_ descriptor: Int32) -> Int32? {
        var time = timeval()
        var length = socklen_t(MemoryLayout<timeval>.size)
        guard let family = family(of: descriptor),
            isTransparent(descriptor, family: family == .v4 ? AF_INET : AF_INET6),
            getsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, &length) == 0, time.tv_sec > 0
        else { return nil }
        return Int32(truncatingIfNeeded: time.tv_sec)
    }

    /// Whether IP_TRANSPARENT is set. Sockets inherit it from the listener by which they came.
    static func isTransparent(_ descriptor: Int32, family: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let isV6 = family == AF_INET6
        return getsockopt(
            descriptor, Int32(isV6 ? IPPROTO_IPV6 : IPPROTO_IP), isV6 ? transparent6 : transparent, &value, &length)
            == 0 && value != 0
    }

    /// SO_MARK. Needs CAP_NET_ADMIN, or since Linux 5.17 CAP_NET_RAW.
    public static func setMark(_ descriptor: Int32, _ mark: UInt32) -> Errno? {
        set(descriptor, SOL_SOCKET, SO_MARK, Int32(bitPattern: mark))
    }

    /// SO_BINDTODEVICE. A socket that is bound to none yet needs no capability (Linux 5.7; before, CAP_NET_RAW).
    /// - Parameter name: of the interface, without a NUL.
    public static func bindDevice(_ descriptor: Int32, _ name: [UInt8]) -> Errno? {
        name.withUnsafeBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, $0.baseAddress, socklen_t($0.count))
        } == 0 ? nil : .last
    }

    /// The family of an IPv4 or IPv6 socket (SO_DOMAIN); nil: it is another.
    public static func family(of descriptor: Int32) -> IPAddress.Family? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &value, &length) == 0 else { return nil }
        return value == AF_INET ? .v4 : value == AF_INET6 ? .v6 : nil
    }

    /// Whether an address is this machine's, as far as a socket can tell: a bind of it succeeds.
    public static func isOwn(_ address: SocketAddress) -> Bool {
        let descriptor = socket(address.family, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { Descriptor.close(descriptor) }
        return address.withPointer { bind(descriptor, $0, $1) } == 0 || Errno.last != .addressNotAvailable
    }
}

/// The version of the running kernel, see uname(2).
public enum Kernel {
    /// False where it is older, or does not say.
    public static func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        var name = utsname()
        guard uname(&name) == 0 else { return false }
        let release = withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        guard numbers.count == 2 else { return false }
        return (numbers[0], numbers[1]) >= (major, minor)
    }
}

/// Network interfaces, see netdevice(7).
public enum NetworkInterface {
    public static func exists(_ name: String) -> Bool { if_nametoindex(name) != 0 }
}
