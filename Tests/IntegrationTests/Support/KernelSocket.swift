import Foundation

/// What /proc/net/tcp says of one end of a connection: the only view of the daemon's sockets from outside.
struct KernelSocket: Equatable {
    /// Bytes that the process has not read yet.
    var unread: Int
    /// Bytes that the other side has not acknowledged yet.
    var unsent: Int
    /// 1 established, 2 SYN sent, and so on as in the kernel's tcp_states.h.
    var state: Int
    /// 0 none, 1 retransmission, 2 keepalive, 3 TIME-WAIT, 4 window probe.
    var timer: Int
    /// When the timer fires.
    var fires: Duration

    /// The socket with this local and this remote IPv4 address; nil: there is none.
    static func between(_ local: SocketAddress, _ remote: SocketAddress) -> KernelSocket? {
        let wanted = "\(hexadecimal(local)) \(hexadecimal(remote)) "
        let table = contents(ofKernelFile: "/proc/net/tcp")
        guard let found = table.range(of: wanted) else { return nil }
        let line = table[found.lowerBound...].prefix { $0 != "\n" }
        // local remote st tx:rx tr:when …
        let fields = line.split { $0 == " " || $0 == ":" }
        guard fields.count > 8 else { return nil }
        let numbers: [Int] = fields[4...8].map { Int($0, radix: 16) ?? 0 }
        return KernelSocket(
            unread: numbers[2], unsent: numbers[1], state: numbers[0], timer: numbers[3],
            fires: .milliseconds(numbers[4] * 10))
    }

    private static func hexadecimal(_ address: SocketAddress) -> String {
        let host = address.host.split(separator: ".").reversed().map { String(format: "%02X", Int($0)!) }.joined()
        return "\(host):\(String(format: "%04X", Int(address.port)))"
    }
}

extension Lane {
    /// Waits until the daemon has read all that one end of a connection has sent.
    func waitUntilRead(_ sender: TCPSocket) throws {
        let (local, peer) = (sender.local, try sender.peer ?? SocketFailure.thrown("getpeername", ENOTCONN))
        try eventually("the daemon has read everything") {
            KernelSocket.between(local, peer)?.unsent == 0 && KernelSocket.between(peer, local)?.unread == 0
        }
    }
}

extension SocketFailure {
    /// For the right-hand side of `??`.
    static func thrown<T>(_ call: String, _ code: Int32) throws -> T { throw SocketFailure(call: call, code: code) }
}
