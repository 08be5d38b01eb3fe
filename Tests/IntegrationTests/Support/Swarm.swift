import Foundation

/// Many clients of an echo server on one thread: each sends its own random number of bytes of its own pattern, ends with FIN,
/// and compares what comes back, to the FIN.
struct Swarm {
    struct Result: Sendable, Equatable {
        var exact = 0
        /// What went wrong, for the first few.
        var failures: [String] = []
    }

    private final class Member {
        let socket: TCPSocket
        let pattern: Pattern
        let size: Int
        var sent = 0
        var received = 0
        var hasFinished = false

        init(_ socket: TCPSocket, _ pattern: Pattern, _ size: Int) {
            self.socket = socket
            self.pattern = pattern
            self.size = size
        }
    }

    /// - Parameters:
    ///   - sources: an address for each client.
    ///   - largest: bytes that a client sends at most; sizes are spread unevenly, with small ones and none at all among them; at least 32,768.
    static func run(to address: SocketAddress, sources: [String], largest: Int, seed: UInt64) throws -> Result {
        var members: [Member] = []
        for (number, source) in sources.enumerated() {
            let socket = try TCPSocket(for: address, source: SocketAddress(source, 0))
            try socket.startConnecting(to: address)
            let random = Pattern.mixed(seed ^ UInt64(number) << 32)
            let size = random % 16 == 0 ? 0 : largest >> (random % 12) - Int(random >> 60)
            members.append(Member(socket, Pattern(seed: random), size))
        }
        return serve(members)
    }

    private static func serve(_ members: [Member]) -> Result {
        var result = Result()
        var members = members
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        while !members.isEmpty {
            var entries = members.map {
                pollfd(fd: $0.socket.fd, events: Int16($0.hasFinished ? POLLIN : POLLIN | POLLOUT), revents: 0)
            }
            guard poll(&entries, nfds_t(entries.count), patience.pollMilliseconds) > 0 else {
                result.failures.append("\(members.count) clients waited for \(patience) in vain")
                return result
            }
            var left: [Member] = []
            for (member, entry) in zip(members, entries) {
                if entry.revents == 0 {
                    left.append(member)
                    continue
                }
                do {
                    if try step(member, Int32(entry.revents), buffer) { result.exact += 1 } else { left.append(member) }
                } catch {
                    let place = "\(member.sent) of \(member.size) sent, \(member.received) received"
                    if result.failures.count < 5 { result.failures.append("\(error); \(place)") }
                }
            }
            members = left
        }
        return result
    }

    /// True: this client is done.
    private static func step(_ member: Member, _ events: Int32, _ buffer: UnsafeMutableRawBufferPointer) throws -> Bool
    {
        if events & POLLOUT != 0 && !member.hasFinished {
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, member.size - member.sent)])
            member.pattern.fill(piece, at: member.sent)
            if !piece.isEmpty { member.sent += try member.socket.trySend(UnsafeRawBufferPointer(piece)) }
            if member.sent == member.size {
                try member.socket.finish()
                member.hasFinished = true
            }
        }
        if events & ~POLLOUT != 0 {
            let got = try member.socket.receive(into: buffer)
            if got == 0 {
                guard member.received == member.size, member.hasFinished else {
                    throw SocketFailure(call: "FIN came too early", code: ENODATA)
                }
                return true
            }
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<got])
            if let place = member.pattern.firstDifference(bytes, at: member.received) {
                throw Mismatch(position: place)
            }
            member.received += got
        }
        return false
    }
}
