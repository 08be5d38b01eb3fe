import Foundation
import Testing

/// Connections that carry all that they can, on one worker: each has its turn, and messages have theirs among them.
@Suite(.ownThread, .serialized, .fence)
struct StreamTests {
    /// One end of an echo that is always full, both ways.
    private final class Stream {
        let socket: TCPSocket
        let pattern: Pattern
        var sent = 0
        var received = 0

        init(_ socket: TCPSocket, seed: Int) {
            self.socket = socket
            pattern = Pattern(seed: UInt64(seed))
        }

        /// Sends what fits in and takes what there is.
        func turn(_ piece: Int) throws {
            sent += try pattern.bytes(piece, at: sent).withUnsafeBytes { try socket.trySend($0) }
            while socket.ready(POLLIN) {
                let bytes = try socket.receive(atMost: piece)
                #expect(bytes == pattern.bytes(bytes.count, at: received))
                received += bytes.count
                if bytes.count < piece { break }
            }
        }
    }

    @Test(arguments: [1, 2, 30])
    func everyStreamAndEveryMessageHasItsTurn(streams count: Int) throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address], "--workers", "1")
        let streams = try (0..<count).map { Stream(try daemon.connect(), seed: $0) }
        let message = try daemon.connect()
        var rounds = 0
        while streams.contains(where: { $0.received < 6 << 20 }) {
            for stream in streams { try stream.turn(1 << 18) }
            try message.send("m")
            #expect(try message.receiveText(1) == "m")
            rounds += 1
            try #require(rounds < 10_000)
        }
        // All at full speed: nobody was held up while the others had their megabytes.
        #expect(streams.allSatisfy { $0.received >= 6 << 20 })
        for stream in streams {
            let socket = stream.socket
            let rest = Background("what is on its way comes back") { try socket.receiveToEnd() }
            try socket.finish()
            let (bytes, end) = try rest.value()
            #expect(bytes == stream.pattern.bytes(bytes.count, at: stream.received) && end == .fin)
            #expect(stream.received + bytes.count == stream.sent)
        }
        try expectEcho(message)
        try daemon.stop()
    }

    /// More than epoll tells of at once.
    @Test func threeHundredStreamsAllEnd() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address], "--workers", "1")
        let streams = try (0..<300).map { Stream(try daemon.connect(), seed: $0) }
        var rounds = 0
        while streams.contains(where: { $0.received < 1 << 18 }) {
            for stream in streams { try stream.turn(1 << 17) }
            rounds += 1
            try #require(rounds < 10_000)
        }
        for stream in streams { stream.socket.reset() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
