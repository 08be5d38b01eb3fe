public import Addressing
public import CLinux

/// A socket address as the kernel takes it: a plain value, no allocation.
public struct SocketAddress: Sendable {
    public var storage = sockaddr_storage()
    public var length: socklen_t = 0

    /// Room for an answer of the kernel.
    public init() {
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    }

    /// The interface of a zone that is a name is looked up; where there is none, the kernel refuses the address.
    public init(_ endpoint: Endpoint) {
        self.init(endpoint.address, port: endpoint.port)
        if !endpoint.zone.isNone, endpoint.address.family == .v6 { setInterface(endpoint.zone.interface ?? 0) }
    }

    private mutating func setInterface(_ index: UInt32) {
        withUnsafeMutableBytes(of: &storage) { bytes in
            let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_scope_id)!
            bytes.baseAddress!.storeBytes(of: index, toByteOffset: offset, as: UInt32.self)
        }
    }

    /// The pathname or the abstract name of a Unix socket.
    public init(_ path: UnixPath) {
        let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            // The rest is zero, which is what comes before an abstract name and ends a path.
            let start = offset + (path.isAbstract ? 1 : 0)
            UnsafeMutableRawBufferPointer(rebasing: bytes[start...]).copyBytes(from: path.name.utf8)
        }
        length = socklen_t(offset + path.name.utf8.count + 1)
    }

    public init(_ address: IPAddress, port: UInt16) {
        switch address.family {
        // Nobody can be reached by being a user: AF_UNSPEC.
        case .user: break
        case .v4:
            withUnsafeMutableBytes(of: &storage) { bytes in
                var value = sockaddr_in()
                value.sin_family = sa_family_t(AF_INET)
                value.sin_port = port.bigEndian
                value.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.low).bigEndian
                bytes.baseAddress!.storeBytes(of: value, as: sockaddr_in.self)
            }
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
        case .v6:
            withUnsafeMutableBytes(of: &storage) { bytes in
                var value = sockaddr_in6()
                value.sin6_family = sa_family_t(AF_INET6)
                value.sin6_port = port.bigEndian
                withUnsafeMutableBytes(of: &value.sin6_addr) {
                    $0.storeBytes(of: address.high.bigEndian, toByteOffset: 0, as: UInt64.self)
                    $0.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
                }
                bytes.baseAddress!.storeBytes(of: value, as: sockaddr_in6.self)
            }
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        }
    }

    public var family: Int32 { Int32(storage.ss_family) }

    /// Whether it is a Unix socket's.
    @inline(__always)
    public var isUnix: Bool { storage.ss_family == sa_family_t(AF_UNIX) }

    /// Calls `body` with the bytes of a Unix socket's path, or of its abstract name without the leading zero; with none where
    /// the socket has no name, and for any other family.
    public func withUnixName<Result>(_ body: (UnsafeRawBufferPointer, _ isAbstract: Bool) -> Result) -> Result {
        withUnsafeBytes(of: storage) { bytes in
            let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
            guard isUnix, Int(length) > offset else {
                return body(UnsafeRawBufferPointer(rebasing: bytes[0..<0]), false)
            }
            if bytes[offset] == 0 {
                return body(UnsafeRawBufferPointer(rebasing: bytes[(offset + 1)..<Int(length)]), true)
            }
            // The kernel counts the closing zero in, others need not.
            let path = bytes[offset..<Int(length)]
            let end = path.firstIndex(of: 0) ?? path.endIndex
            return body(UnsafeRawBufferPointer(rebasing: path[..<end]), false)
        }
    }

    /// The path in it; nil: it is not a Unix socket's, or one without a name, or one whose name is no UTF-8.
    public var unixPath: UnixPath? {
        withUnixName { UnixPath(bytes: $0, isAbstract: $1) }
    }

    /// As the kernel's structure for IPv6.
    public var ipv6: sockaddr_in6 { withUnsafeBytes(of: storage) { $0.load(as: sockaddr_in6.self) } }

    /// AF_INET6.
    public static let v6 = AF_INET6

    /// IPv4 or IPv6.
    public var isInternet: Bool { family == AF_INET || family == AF_INET6 }

    /// The address and port in it; nil for a family other than IPv4 and IPv6.
    public var endpoint: Endpoint? {
        withUnsafeBytes(of: storage) { bytes in
            switch Int32(storage.ss_family) {
            case AF_INET:
                let value = bytes.baseAddress!.load(as: sockaddr_in.self)
                return Endpoint(
                    address: IPAddress(v4: UInt32(bigEndian: value.sin_addr.s_addr)),
                    port: UInt16(bigEndian: value.sin_port))
            case AF_INET6:
                var value = bytes.baseAddress!.load(as: sockaddr_in6.self)
                let port = UInt16(bigEndian: value.sin6_port)
                let zone = Zone(index: value.sin6_scope_id)
                return withUnsafeBytes(of: &value.sin6_addr) {
                    Endpoint(
                        address: IPAddress(
                            v6High: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                            low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))),
                        port: port, zone: zone)
                }
            default:
                return nil
            }
        }
    }

    /// Calls `body` with the pointer and length that the kernel's calls take.
    @inline(__always)
    public func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// Calls `body` with memory that the kernel may fill.
    @inline(__always)
    mutating func withMutablePointer<Result>(
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Result
    ) -> Result {
        withUnsafeMutablePointer(to: &storage) { pointer in
            withUnsafeMutablePointer(to: &length) { length in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
            }
        }
    }
}
