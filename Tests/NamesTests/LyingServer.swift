import Addressing
import Foundation
import Linux
import Synchronization

/// A name server on loopback, UDP and TCP on one port, that answers whatever a test wants it to.
final class LyingServer: @unchecked Sendable {
    /// How a question is answered: with a message, several, or not at all.
    typealias Reply = @Sendable (Question, _ isTCP: Bool) -> [[UInt8]]

    /// As it came: its id, its name and type, and the bytes of the question section.
    struct Question: Sendable {
        let id: [UInt8]
        let name: String
        let type: Int
        let section: [UInt8]
    }

    let endpoint: Endpoint
    private let sockets: (udp: Int32, tcp: Int32)
    private let isStopped = Atomic(false)
    private let asked = Mutex<[String]>([])

    /// Names that were asked for, each as often as it was.
    var questions: [String] { asked.withLock { $0 } }

    init(_ reply: @escaping Reply) throws {
        let address = IPAddress(v4: 0x7f00_0001)
        let tcp = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let udp = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var bound = SocketAddress(address, port: 0)
        guard bound.withPointer({ bind(tcp, $0, $1) }) == 0, listen(tcp, 16) == 0 else { throw POSIXError(.EADDRINUSE) }
        var length = bound.length
        _ = withUnsafeMutablePointer(to: &bound.storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(tcp, $0, &length) }
        }
        guard bound.withPointer({ bind(udp, $0, $1) }) == 0, let endpoint = bound.endpoint else {
            throw POSIXError(.EADDRINUSE)
        }
        self.endpoint = endpoint
        sockets = (udp, tcp)
        Thread.detachNewThread { [self] in serveUDP(reply) }
        Thread.detachNewThread { [self] in serveTCP(reply) }
    }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
        shutdown(sockets.tcp, Int32(SHUT_RDWR))
        close(sockets.tcp)
        // recvfrom(2) returns only for a datagram.
        let target = SocketAddress(endpoint)
        _ = target.withPointer { sendto(sockets.udp, [0], 1, 0, $0, $1) }
    }

    private func serveUDP(_ reply: Reply) {
        var buffer = [UInt8](repeating: 0, count: 2048)
        while true {
            var from = SocketAddress()
            let count = withUnsafeMutablePointer(to: &from.storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(sockets.udp, &buffer, buffer.count, 0, $0, &from.length)
                }
            }
            if isStopped.load(ordering: .relaxed) { break }
            guard let question = read(Array(buffer.prefix(max(count, 0)))) else { continue }
            for message in reply(question, false) {
                _ = from.withPointer { sendto(sockets.udp, message, message.count, 0, $0, $1) }
            }
        }
        close(sockets.udp)
    }

    private func serveTCP(_ reply: Reply) {
        while !isStopped.load(ordering: .relaxed) {
            let client = accept(sockets.tcp, nil, nil)
            guard client >= 0 else { return }
            var buffer = [UInt8](repeating: 0, count: 2048)
            var got = 0
            while got < 2 || got < 2 + (Int(buffer[0]) << 8 | Int(buffer[1])) {
                let count = buffer.withUnsafeMutableBytes { recv(client, $0.baseAddress! + got, 2048 - got, 0) }
                if count <= 0 { break }
                got += count
            }
            if let question = read(Array(buffer[2..<max(got, 2)])) {
                for message in reply(question, true) {
                    let framed = [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
                    var sent = 0
                    while sent < framed.count {
                        let count = framed.withUnsafeBytes {
                            send(client, $0.baseAddress! + sent, framed.count - sent, Int32(MSG_NOSIGNAL))
                        }
                        if count <= 0 { break }
                        sent += count
                    }
                }
            }
            close(client)
        }
    }

    private func read(_ message: [UInt8]) -> Question? {
        guard message.count > 17 else { return nil }
        var labels: [String] = []
        var position = 12
        while position < message.count, message[position] != 0 {
            let end = position + 1 + Int(message[position])
            guard end < message.count else { return nil }
            labels.append(String(decoding: message[(position + 1)..<end], as: UTF8.self))
            position = end
        }
        guard position + 5 <= message.count else { return nil }
        let question = Question(
            id: Array(message[0..<2]), name: labels.joined(separator: "."), type: Int(message[position + 2]),
            section: Array(message[12..<(position + 5)]))
        asked.withLock { $0.append(question.name) }
        return question
    }
}

extension LyingServer.Question {
    /// A message that answers the question.
    /// - Parameters:
    ///   - code: 0 no error, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    ///   - records: owner (nil: that of the question), type, TTL, data.
    func answer(
        code: UInt8 = 0, id: [UInt8]? = nil, isTruncated: Bool = false,
        _ records: [(owner: [UInt8]?, type: UInt8, ttl: UInt32, data: [UInt8])] = []
    ) -> [UInt8] {
        var message = id ?? self.id
        message += [0x84 | (isTruncated ? 2 : 0), 0x80 | code, 0, 1]
        message += [UInt8(records.count >> 8), UInt8(records.count & 255), 0, 0, 0, 0] + section
        for record in records {
            message += (record.owner ?? [0xc0, 12]) + [0, record.type, 0, 1]
            message += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: record.ttl >> $0) }
            message += [UInt8(record.data.count >> 8), UInt8(record.data.count & 255)] + record.data
        }
        return message
    }

    /// A records.
    func addresses(_ addresses: [UInt32], ttl: UInt32 = 60) -> [UInt8] {
        answer(
            addresses.map { address in
                (nil, 1, ttl, [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: address >> $0) })
            })
    }
}

/// A name as a message has it.
func encoded(_ name: String) -> [UInt8] {
    name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + $0.utf8 } + [0]
}
