public import Addressing
import CLinux
import Glibc

/// All TCP sockets of this network namespace that have a peer, whoever has them, those in TIME_WAIT included: sock_diag(7).
public enum TCPSockets {
    /// Calls `body` with each, in no order. Any thread may; it takes about a microsecond for each.
    /// - Returns: nil where all were seen; else why not: the kernel lacks tcp_diag (ENOENT), or something forbids
    ///   AF_NETLINK.
    public static func visit(
        _ family: IPAddress.Family, _ body: @escaping (_ local: IPAddress, _ peer: Endpoint) -> Void
    ) -> Errno? {
        let visitor = Visitor(body)
        let result = limpet_visit_tcp_sockets(
            family == .v4 ? AF_INET : AF_INET6, visit, Unmanaged.passUnretained(visitor).toOpaque())
        let error = Errno.last
        return withExtendedLifetime(visitor) { result == 0 ? nil : error }
    }

    private static let visit: limpet_socket_visitor = { socket, context in
        let found = socket.pointee
        Unmanaged<Visitor>.fromOpaque(context!).takeUnretainedValue().body(
            address(found.family, found.local),
            Endpoint(address: address(found.family, found.peer), port: found.peer_port))
    }

    private final class Visitor {
        let body: (IPAddress, Endpoint) -> Void
        init(_ body: @escaping (IPAddress, Endpoint) -> Void) { self.body = body }
    }

    private typealias Bytes = (
        UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8
    )

    private static func address(_ family: UInt8, _ bytes: Bytes) -> IPAddress {
        withUnsafeBytes(of: bytes) { bytes in
            if Int32(family) == AF_INET {
                return IPAddress(v4: UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
            }
            return IPAddress(
                v6High: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            ).unmapped
        }
    }
}
