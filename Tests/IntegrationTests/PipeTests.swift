import Foundation
import Testing

/// When pipes are few, small or not to be had, forwarding is slower and nothing else.
@Suite(.ownThread, .fence)
struct PipeTests {
    /// A descriptor limit of 700 allows 21 pipes. Sixty stalled directions want one each, the others go without: their bytes stay
    /// where they are.
    @Test(arguments: Way.allCases)
    func withoutPipesNothingIsLost(_ way: Way) throws {
        let listener = try Listener(receiveBuffer: way == .upstream ? 8_192 : nil)
        var setup = Daemon.Setup()
        // Buffers of a fixed size: sixty that the kernel tunes could use up what it has for all of TCP.
        setup.file = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:0"]
            health = "off"
            receive-buffer = 100000
            send-buffer = 100000

            [[service.backend]]
            name = "b1"
            address = "\(listener.address)"
            """
        setup.wrapper = ["prlimit", "--nofile=700:700"]
        let daemon = try Daemon(setup)
        let receiveBuffer: Int32? = way == .downstream ? 8_192 : nil
        let pairs = try (0..<60).map { _ in
            let client = try TCPSocket.connect(to: daemon.address, receiveBuffer: receiveBuffer)
            return Pair(client: client, backend: try listener.accept())
        }
        // Each is filled until nothing moves, with its own bytes.
        var sent = [Int](repeating: 0, count: pairs.count)
        var moving = true
        while moving {
            moving = false
            for (number, pair) in pairs.enumerated() where sent[number] < 30 << 20 {
                let piece = Pattern(seed: UInt64(number)).bytes(1 << 18, at: sent[number])
                let count = try piece.withUnsafeBytes { try pair.ends(way).sender.trySend($0) }
                sent[number] += count
                if count > 0 { moving = true }
            }
            if !moving {
                moving = try becomes(within: .milliseconds(500)) {
                    pairs.contains { $0.ends(way).sender.ready(POLLOUT) }
                }
            }
        }
        #expect(sent.allSatisfy { $0 > 0 && $0 < 30 << 20 }, "\(sent)")
        daemon.expectSleeping()
        for pair in pairs { try pair.ends(way).sender.finish() }
        for (number, pair) in pairs.enumerated() {
            #expect(try pair.ends(way).receiver.receive(Pattern(seed: UInt64(number))) == sent[number])
        }
        for pair in pairs { pair.close() }
        try daemon.waitUntilIdle()
        #expect(daemon.logLines(containing: "open files") == [])
        try daemon.stop()
    }

    /// Past fs.pipe-user-pages-soft an ordinary user's pipes hold 8 KiB.
    @Test(.enabled(if: isRoot)) func withSmallPipesNothingIsLost() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        // A user of its own, who has used up what the kernel grants: no other test's.
        let user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--bounding-set=-all"]
        let hog = try ChildProcess(
            user + ["perl", "-e", "$| = 1; pipe($r[$_], $w[$_]) or die for 1..1100; print qq(full\\n); sleep 600"])
        try eventually("1,100 pipes exist: \(hog.stderr)") { hog.stdout == "full\n" }
        let listener = try Listener(receiveBuffer: 8_192)
        var setup = Daemon.Setup()
        setup.user = nil
        setup.wrapper = user
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.limpetd = "\(directory)/limpetd"
        try run(["cp", Programs.limpetd, setup.limpetd])
        let daemon = try Daemon(setup)
        let pattern = Pattern(seed: 70)
        let size = 5_000_000
        let work = try (0..<8).map { number in
            let client = try daemon.connect()
            let backend = try listener.accept()
            let sender = Background("client \(number) sends") {
                // Now and then a byte of its own, so that the daemon reads little and much.
                for start in stride(from: 0, to: size, by: 500_000) {
                    try client.send(pattern, count: 1, from: start)
                    try client.send(pattern, count: 499_999, from: start + 1)
                }
                try client.finish()
            }
            let receiver = Background("backend \(number) receives") { try backend.receive(pattern) }
            return (sender, receiver)
        }
        for (sender, receiver) in work {
            try sender.value()
            #expect(try receiver.value() == size)
        }
        try daemon.waitUntilIdle()
        #expect(hog.poll() == nil)
        try daemon.stop()
    }
}
