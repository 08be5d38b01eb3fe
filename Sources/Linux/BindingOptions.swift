import CLinux
import Glibc

/// What has to be said of a listening socket before it is bound.
public struct BindingOptions: Sendable, Equatable {
    /// SO_BINDTODEVICE: the interface by which clients come, 1 to 15 bytes; nil: any.
    public var device: String?
    /// IP_FREEBIND: the machine need not have the address.
    public var isFree = false
    /// Of an IPv6 socket: IPV6_V6ONLY, see ipv6(7).
    public var isV6Only = true

    /// IP_TRANSPARENT: clients of any address that a TPROXY rule sends here are taken, too. Such a listener has a number
    /// from 1 on, which the sockets that are accepted from it bear: their addresses do not say where they came in. 0: none.
    public var interception: Int32 = 0

    public init() {}

    /// IPV6_FREEBIND, since Linux 4.15; the C library of older systems does not name it.
    private static let freebind6: Int32 = 78

    /// IFNAMSIZ, less the NUL.
    fileprivate static let longestDevice = 15

    /// - Returns: the first failure; nil: done.
    func apply(to descriptor: Int32, family: Int32) -> Errno? {
        let isV6 = family == AF_INET6
        var failure = isV6 ? StreamSocket.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, isV6Only ? 1 : 0) : nil
        if failure == nil, isFree {
            failure =
                isV6
                ? StreamSocket.set(descriptor, Int32(IPPROTO_IPV6), BindingOptions.freebind6, 1)
                : StreamSocket.set(descriptor, Int32(IPPROTO_IP), IP_FREEBIND, 1)
        }
        if failure == nil, interception != 0 {
            failure = StreamSocket.setInterception(descriptor, family: family, interception)
        }
        if failure == nil, let device { failure = bind(descriptor, toDevice: device) }
        return failure
    }

    private func bind(_ descriptor: Int32, toDevice device: String) -> Errno? {
        var name = Array(device.utf8.prefix(BindingOptions.longestDevice))
        let length = socklen_t(name.count)
        return setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, &name, length) == 0 ? nil : .last
    }
}

extension StreamSocket {
    /// The interface that a socket is bound to; nil: none.
    public static func device(_ descriptor: Int32) -> String? {
        var name = [UInt8](repeating: 0, count: BindingOptions.longestDevice + 1)
        var length = socklen_t(name.count)
        guard getsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, &name, &length) == 0, name[0] != 0 else { return nil }
        return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    }
}
