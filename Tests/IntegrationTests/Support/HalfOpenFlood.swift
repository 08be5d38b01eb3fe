import Foundation
import Testing

/// SYNs with invented senders, in a network where nothing that is sent to these arrives. For root.
struct HalfOpenFlood {
    private let socket: TCPSocket
    private let target: SocketAddress

    init(_ target: SocketAddress) throws {
        let fd = Glibc.socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_RAW))
        guard fd >= 0 else { throw SocketFailure(call: "socket", code: errno) }
        socket = TCPSocket(owning: fd)
        self.target = target
    }

    func send(_ count: Int) throws {
        for number in 0..<count {
            let packet = packet(from: 0x0a00_0001 + UInt32(number / 50), port: UInt16(1024 + number % 50))
            let sent = target.withSockaddr { address, length in
                sendto(socket.fd, packet, packet.count, 0, address, length)
            }
            // The device's queue may be full for a moment: one more or less does not count.
            if sent < 0, errno != ENOBUFS, errno != EAGAIN { throw SocketFailure(call: "sendto", code: errno) }
        }
    }

    /// IPv4 (RFC 791) with a SYN (RFC 9293) in it.
    private func packet(from source: UInt32, port: UInt16) -> [UInt8] {
        let destination: UInt32 = 0x7f00_0001
        func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
        func half(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }
        // The kernel fills in the length and the checksum of IP.
        let ip: [UInt8] = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0] + bytes(source) + bytes(destination)
        var tcp = half(port) + half(target.port) + bytes(source &* 2_654_435_761) + bytes(0) + [0x50, 0x02]
        tcp += half(65_535) + [0, 0, 0, 0]
        var sum: UInt32 = 0
        let pseudo = bytes(source) + bytes(destination) + [0, 6, 0, 20]
        for chunk in [pseudo, tcp] {
            for index in stride(from: 0, to: chunk.count, by: 2) {
                sum += UInt32(chunk[index]) << 8 | UInt32(chunk[index + 1])
            }
        }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        tcp.replaceSubrange(16..<18, with: half(~UInt16(sum)))
        return ip + tcp
    }

    /// Handshakes that the kernel answered without remembering them, in the network of the calling thread.
    static func cookiesSent() throws -> Int {
        // A child reads: /proc/net shows the network of the process.
        let outcome = try run(["cat", "/proc/net/netstat"])
        let lines = outcome.stdout.split(separator: "\n").filter { $0.hasPrefix("TcpExt:") }.map {
            $0.split(separator: " ")
        }
        let index = try #require(lines.first?.firstIndex(of: "SyncookiesSent"))
        return Int(try #require(lines.last)[index]) ?? 0
    }
}
