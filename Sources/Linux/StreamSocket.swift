public import Addressing
import CLinux
import Glibc

/// TCP sockets: each call wrapped once. Descriptors are plain numbers; whoever holds one closes it.
public enum StreamSocket {
    /// The pending-connection queue that listeners ask for; the kernel cuts it to net.core.somaxconn.
    public static let backlog: Int32 = 65535

    /// A non-blocking TCP socket. Not close-on-exec, like everything that forwards: an upgrade inherits it.
    public static func open(family: Int32) -> Result<Int32, Errno> {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        return descriptor < 0 ? .failure(.last) : .success(descriptor)
    }

    /// Binds and listens.
    /// - Parameter shared: with SO_REUSEPORT, so that every worker can have its own; without it the call fails where
    ///   anybody at all listens already.
    /// - Parameter options: set before listening, so that accepted sockets inherit them.
    /// - Parameter listens: false: it is bound and takes nobody before ``listen(_:)``.
    public static func listen(
        on endpoint: Endpoint, shared: Bool, options: SocketOptions = SocketOptions(),
        binding: BindingOptions = BindingOptions(), listens: Bool = true
    ) throws(SystemError) -> Int32 {
        let address = SocketAddress(endpoint)
        let action = "listen on \(ListenerAddress.endpoint(endpoint).name(on: binding.device))"
        let descriptor: Int32
        switch open(family: address.family) {
        case .success(let value): descriptor = value
        case .failure(let error): throw SystemError(action, error)
        }
        var failure = set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if failure == nil && shared { failure = set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        if failure == nil { failure = binding.apply(to: descriptor, family: address.family) }
        options.applyBuffers(to: descriptor)
        options.apply(to: descriptor)
        options.applyListening(to: descriptor)
        if failure == nil && address.withPointer({ bind(descriptor, $0, $1) }) != 0 { failure = .last }
        if failure == nil && listens { failure = listen(descriptor) }
        if let failure {
            Descriptor.close(descriptor)
            throw SystemError(action, failure)
        }
        return descriptor
    }

    /// Lets a bound socket take clients; one that does so already is left as it is. nil: done.
    public static func listen(_ descriptor: Int32) -> Errno? {
        CLinux.listen(descriptor, backlog) == 0 ? nil : .last
    }

    /// Binds an address as ``listen(on:shared:options:binding:listens:)`` would, without listening there: nobody connects in vain. As long
    /// as the descriptor is open the kernel gives the port to nobody else, and this process may listen there.
    /// - Parameter shared: with SO_REUSEPORT, beside sockets of the same user that have it too.
    /// - Throws: what ``listen(on:shared:options:binding:listens:)`` would.
    public static func reserve(
        _ endpoint: Endpoint, shared: Bool, binding: BindingOptions = BindingOptions()
    ) throws(SystemError) -> Int32 {
        let address = SocketAddress(endpoint)
        let action = "listen on \(ListenerAddress.endpoint(endpoint).name(on: binding.device))"
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError(action, .last) }
        var failure = set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if failure == nil && shared { failure = set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        if failure == nil { failure = binding.apply(to: descriptor, family: address.family) }
        if failure == nil && address.withPointer({ bind(descriptor, $0, $1) }) != 0 { failure = .last }
        if let failure {
            Descriptor.close(descriptor)
            throw SystemError(action, failure)
        }
        return descriptor
    }

    /// The address that a socket is bound to; nil where the kernel does not say.
    public static func localEndpoint(_ descriptor: Int32) -> Endpoint? {
        var address = SocketAddress()
        return address.withMutablePointer({ getsockname(descriptor, $0, $1) }) == 0 ? address.endpoint : nil
    }

    /// The same for a socket of any family.
    public static func localAddress(_ descriptor: Int32) -> SocketAddress? {
        var address = SocketAddress()
        return address.withMutablePointer({ getsockname(descriptor, $0, $1) }) == 0 ? address : nil
    }

    /// The address of the peer, left in `peer`. False: there is none any more.
    public static func peer(of descriptor: Int32, _ peer: inout SocketAddress) -> Bool {
        peer.length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return peer.withMutablePointer { getpeername(descriptor, $0, $1) } == 0
    }

    /// accept4(2), non-blocking, not close-on-exec. The peer's address is left in `peer`.
    @inline(__always)
    public static func accept(_ listener: Int32, peer: inout SocketAddress) -> Result<Int32, Errno> {
        peer.length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = peer.withMutablePointer {
            accept4(listener, $0, $1, Int32(SOCK_NONBLOCK.rawValue))
        }
        return descriptor < 0 ? .failure(.last) : .success(descriptor)
    }

    /// Starts a connect. nil: connected at once; `.inProgress`: epoll will report it.
    public static func connect(_ descriptor: Int32, to address: SocketAddress) -> Errno? {
        address.withPointer { CLinux.connect(descriptor, $0, $1) } == 0 ? nil : .last
    }

    /// Whether it is a Unix socket (SO_DOMAIN).
    public static func isUnix(_ descriptor: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &value, &length) == 0 && value == AF_UNIX
    }

    /// Whether it is a socket that listens.
    public static func isListening(_ descriptor: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0
    }

    /// SO_ERROR: the pending error, taken out of the socket; nil: none.
    public static func takeError(_ descriptor: Int32) -> Errno? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        if getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length) != 0 { return .last }
        return value == 0 ? nil : Errno(rawValue: value)
    }

    /// Whether an error waits in the socket. Leaves it there, other than ``takeError(_:)``.
    public static func hasError(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLERR) != 0
    }

    /// POLLRDHUP (poll(2)), which the C library names for GNU programs alone.
    private static let remoteEnd: Int16 = 0x2000

    /// Whether the peer has ended, by FIN or RST. What it had sent may still be there to read.
    public static func hasEnded(_ descriptor: Int32) -> Bool {
        let ends = Int16(POLLHUP | POLLERR) | remoteEnd
        var entry = pollfd(fd: descriptor, events: remoteEnd, revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & ends != 0
    }

    /// Sends FIN.
    public static func shutdownWrite(_ descriptor: Int32) {
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Makes the next close(2) send RST and drop what is unsent.
    public static func resetOnClose(_ descriptor: Int32) {
        var value = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }

    /// Whether ``resetOnClose(_:)`` was called.
    public static func isResetOnClose(_ descriptor: Int32) -> Bool {
        var value = linger()
        var length = socklen_t(MemoryLayout<linger>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, &length) == 0 && value.l_onoff != 0
    }

    /// Bytes that have come and were not read (SIOCINQ); 0 where the kernel does not say.
    public static func unread(_ descriptor: Int32) -> Int {
        max(0, Int(limpet_unread(descriptor)))
    }

    /// Bytes that were sent but not yet acknowledged by the peer (SIOCOUTQ); 0 where the kernel does not say.
    public static func unacknowledged(_ descriptor: Int32) -> Int {
        max(0, Int(limpet_unacknowledged(descriptor)))
    }

    /// How many bytes have to be there for the kernel to tell that the socket can be read (SO_RCVLOWAT, socket(7)). The end,
    /// an error and a full buffer are told of all the same.
    public static func setLowWater(_ descriptor: Int32, _ bytes: Int32) {
        set(descriptor, SOL_SOCKET, SO_RCVLOWAT, bytes)
    }

    /// setsockopt(2) with an int. nil: done.
    @discardableResult
    @inline(__always)
    public static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Errno? {
        var value = value
        return setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 ? nil : .last
    }
}

/// The options that Limpet sets on both sockets of a connection, as plain numbers ready for setsockopt(2).
@frozen public struct SocketOptions: Sendable, Equatable {
    /// Seconds; 0: no keepalive.
    public var keepaliveIdle: Int32 = 0
    public var keepaliveInterval: Int32 = 0
    public var keepaliveCount: Int32 = 0
    /// TCP_USER_TIMEOUT in milliseconds; 0: the kernel's own behaviour.
    public var userTimeout: Int32 = 0
    /// Bytes; 0: the kernel tunes by itself.
    public var receiveBuffer: Int32 = 0
    public var sendBuffer: Int32 = 0
    /// Of a listener: TCP_DEFER_ACCEPT in seconds; 0: off.
    public var deferAccept: Int32 = 0

    public init() {}

    /// Sets the buffer sizes. They must be there before listen or connect to count in the window scale (tcp(7));
    /// accepted sockets inherit the listener's.
    public func applyBuffers(to descriptor: Int32) {
        if receiveBuffer > 0 { StreamSocket.set(descriptor, SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
        if sendBuffer > 0 { StreamSocket.set(descriptor, SOL_SOCKET, SO_SNDBUF, sendBuffer) }
    }

    /// Sets everything but the buffers: no delay, urgent bytes in line, keepalive, user timeout.
    public func apply(to descriptor: Int32) {
        applyFirst(to: descriptor)
        applyLasting(to: descriptor)
    }

    /// Sets what counts from the first byte on: no delay, urgent bytes in line.
    /// - Parameter isUnix: a Unix socket, which has no delay.
    public func applyFirst(to descriptor: Int32, isUnix: Bool = false) {
        if !isUnix { StreamSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
        StreamSocket.set(descriptor, SOL_SOCKET, SO_OOBINLINE, 1)
    }

    /// Sets everything, on a socket that may have inherited none of it from its listener. Bytes that are there already are
    /// read under these options all the same.
    public func applyAccepted(to descriptor: Int32) {
        applyBuffers(to: descriptor)
        apply(to: descriptor)
    }

    /// Sets what is a listener's alone. The kernel lets a silent client in all the same, after about that time.
    public func applyListening(to descriptor: Int32) {
        if deferAccept > 0 { StreamSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, deferAccept) }
    }

    /// Whether ``applyLasting(to:)`` has anything to do.
    public var areLasting: Bool { keepaliveIdle > 0 || userTimeout > 0 }

    /// Sets what counts where a peer is silent for long: keepalive and user timeout. Five system calls, which a connection
    /// that ends soon does not need.
    public func applyLasting(to descriptor: Int32) {
        let tcp = Int32(IPPROTO_TCP)
        if keepaliveIdle > 0 {
            StreamSocket.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
            StreamSocket.set(descriptor, tcp, TCP_KEEPIDLE, keepaliveIdle)
            StreamSocket.set(descriptor, tcp, TCP_KEEPINTVL, keepaliveInterval)
            StreamSocket.set(descriptor, tcp, TCP_KEEPCNT, keepaliveCount)
        }
        if userTimeout > 0 { StreamSocket.set(descriptor, tcp, TCP_USER_TIMEOUT, userTimeout) }
    }
}

extension SocketOptions {
    /// SO_BUF_LOCK, since Linux 5.16; the C library of older systems does not name it.
    private static let bufferLock: Int32 = 72

    /// Whether a buffer's size can be given back to the kernel.
    public static func canFreeBuffers(of descriptor: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, bufferLock, &value, &length) == 0
    }

    /// Sets a socket that had other options to these, those included that are off: for a listener, whose sockets inherit
    /// them from now on. Where buffers cannot be given back to the kernel (``canFreeBuffers(of:)``) those that are to be
    /// its own stay as they are: setting their size would end the tuning of those that never had one.
    public func change(_ descriptor: Int32) {
        // Accepted sockets inherit nothing there.
        if StreamSocket.isUnix(descriptor) { return }
        if receiveBuffer == 0 || sendBuffer == 0, SocketOptions.canFreeBuffers(of: descriptor) {
            // Back to what a new socket has, and from there on to the kernel's own tuning.
            for option in [SO_RCVBUF, SO_SNDBUF] {
                if let size = SocketOptions.initialSize(option, like: descriptor) {
                    StreamSocket.set(descriptor, SOL_SOCKET, option, size / 2)
                }
            }
            StreamSocket.set(descriptor, SOL_SOCKET, SocketOptions.bufferLock, 0)
        }
        applyBuffers(to: descriptor)
        if keepaliveIdle == 0 { StreamSocket.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 0) }
        if userTimeout == 0 { StreamSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 0) }
        apply(to: descriptor)
        StreamSocket.set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, deferAccept)
    }

    /// What a new socket of the same family has. The kernel reports, and takes half of, the doubled size.
    private static func initialSize(_ option: Int32, like descriptor: Int32) -> Int32? {
        guard let family = StreamSocket.localEndpoint(descriptor).map({ SocketAddress($0).family }),
            case .success(let fresh) = StreamSocket.open(family: family)
        else { return nil }
        defer { Descriptor.close(fresh) }
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(fresh, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
    }
}
