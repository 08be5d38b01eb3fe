import Foundation
import Testing

/// Bytes through the real daemon, on real sockets.
@Suite(.ownThread, .fence)
struct ForwardingTests {
    @Test func echoes() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let client = try daemon.connect()
        try client.send("limpet")
        #expect(try client.receiveText(6) == "limpet")
        try client.finish()
        #expect(try client.receiveToEnd().end == .fin)
        client.close()
        try daemon.waitUntilIdle()
        let row = try daemon.ctl.backend("b1")
        #expect(row.total == 1)
        #expect(row.connections == 0)
        #expect(row.bytesIn == 6)
        #expect(row.bytesOut == 6)
        try daemon.stop()
    }

    @Test func theBackendMaySpeakFirst() throws {
        let lane = try Lane()
        let pair = try lane.open()
        try pair.backend.send("220 ready")
        #expect(try pair.client.receiveText(9) == "220 ready")
        pair.close()
        try lane.finish()
    }

    @Test func connectionsWithoutAByteEndBothWays() throws {
        let lane = try Lane()
        for number in 0..<50 {
            let pair = try lane.open()
            let (first, second) = number % 2 == 0 ? (pair.client, pair.backend) : (pair.backend, pair.client)
            first.close()
            #expect(try second.receiveToEnd() == ([], .fin))
            second.close()
        }
        try lane.finish()
    }

    @Test func oneByteWrites() throws {
        let lane = try Lane()
        let pair = try lane.open()
        let bytes = Pattern(seed: 1).bytes(3_000)
        let sender = Background("3,000 writes of a byte") {
            for byte in bytes { try pair.client.send([byte]) }
            try pair.client.finish()
        }
        let received = try pair.backend.receiveToEnd()
        #expect(received == (bytes, .fin))
        try sender.value()
        // One at a time, each answered before the next is sent.
        for byte in bytes.prefix(300) {
            try pair.backend.send([byte])
            #expect(try pair.client.receive(exactly: 1) == [byte])
        }
        pair.close()
        try lane.finish()
    }

    @Test func aClientMaySendAndFinishBeforeTheBackendHasAccepted() throws {
        let lane = try Lane()
        let bytes = Pattern(seed: 2).bytes(100_000)
        let client = try lane.daemon.connect()
        try client.send(bytes)
        try client.finish()
        try eventually("the connection waits in the backend's queue") { lane.listener.hasWaiting }
        let backend = try lane.listener.accept()
        #expect(try backend.receiveToEnd() == (bytes, .fin))
        try backend.send("done")
        backend.close()
        #expect(try client.receiveToEnd() == (Array("done".utf8), .fin))
        client.close()
        try lane.finish()
    }

    @Test func aBackendThatClosesAtOnceGivesFIN() throws {
        let backend = try BackendServer(.closeAtOnce)
        let daemon = try Daemon([backend.address])
        for _ in 0..<100 {
            let client = try daemon.connect()
            #expect(try client.receiveToEnd() == ([], .fin))
        }
        try daemon.waitUntilIdle()
        #expect(backend.counts.accepted == 100)
        try daemon.stop()
    }

    @Test func aBackendThatClosesAtOnceOnAClientThatSendsLosesNoOneElse() throws {
        let backend = try BackendServer(.closeAtOnce)
        let daemon = try Daemon([backend.address])
        for _ in 0..<100 {
            let client = try daemon.connect()
            // Whether this arrives, is refused with RST or is never read is up to the race; that it ends is not.
            try? client.send([UInt8](repeating: 7, count: 20_000))
            try? client.finish()
            #expect(try client.receiveToEnd().bytes.isEmpty)
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func simultaneousClose() throws {
        let lane = try Lane()
        for _ in 0..<50 {
            let pair = try lane.open()
            try pair.client.finish()
            try pair.backend.finish()
            #expect(try pair.client.receiveToEnd() == ([], .fin))
            #expect(try pair.backend.receiveToEnd() == ([], .fin))
            pair.close()
        }
        try lane.finish()
    }

    @Test func connectionsDoNotMix() throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try Daemon([backend.address])
        let clients = try (0..<40).map { try daemon.connect(from: clientHost($0)) }
        let greetings = try clients.map { try $0.receiveLine() }
        #expect(Set(greetings).count == 40)
        for (number, client) in clients.enumerated().reversed() { try client.send("I am number \(number).") }
        for (number, client) in clients.enumerated() {
            let expected = "I am number \(number)."
            #expect(try client.receiveText(expected.count) == expected)
        }
        // The backend sees the daemon's own address and port, and the table knows which connection that is.
        let rows = try daemon.connections(40)
        for (client, greeting) in zip(clients, greetings) {
            let row = try #require(rows.first { $0.client == client.local.description })
            #expect(row.backendLocal.map { "b1 \($0)" } == greeting)
        }
        for client in clients { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}

/// The heavy ones, one after the other.
@Suite(.ownThread, .serialized, .fence)
struct BulkTests {
    @Test func sixtyFourMebibytesBothWaysAtOnce() throws {
        let lane = try Lane()
        let pair = try lane.open()
        let size = 64 << 20
        let work = Way.allCases.flatMap { way -> [Background<Int>] in
            let (sender, receiver) = pair.ends(way)
            let pattern = Pattern(seed: way == .upstream ? 3 : 4)
            return [
                Background("sending \(way)") {
                    try sender.send(pattern, count: size)
                    try sender.finish()
                    return size
                },
                Background("receiving \(way)") { try receiver.receive(pattern) },
            ]
        }
        for part in work { #expect(try part.value() == size) }
        let row = try lane.daemon.ctl.backend("b1")
        #expect(row.bytesIn == size)
        #expect(row.bytesOut == size)
        pair.close()
        try lane.finish()
    }

    @Test func aThousandConnectionsOfRandomSizes() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let result = try Swarm.run(
            to: daemon.address, sources: (0..<1_000).map { clientHost($0 * 7) }, largest: 400_000, seed: 5)
        #expect(result.failures == [])
        #expect(result.exact == 1_000)
        try daemon.waitUntilIdle()
        #expect(backend.counts.accepted == 1_000)
        try daemon.stop()
    }

    /// A reader that stops, stops the sender; and the daemon does not grow. LIMPET_STALL_SECONDS makes it stop for as long
    /// as one likes.
    @Test(arguments: Way.allCases)
    func backpressure(_ way: Way) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 65_536 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 65_536 : nil)
        let (sender, receiver) = pair.ends(way)
        let facts = try lane.daemon.engine
        let (residentBefore, descriptorsBefore) = (facts.residentBytes, facts.descriptorCount)
        let pattern = Pattern(seed: 6)
        let size = try KernelLimits.socketBuffers() + (64 << 20)
        let piece = 1 << 18
        var sent = 0
        // Until nothing moves for a second.
        var stalled = false
        while !stalled && sent < size {
            let count = try pattern.bytes(min(piece, size - sent), at: sent).withUnsafeBytes { try sender.trySend($0) }
            sent += count
            if count == 0 { stalled = try !becomes(within: .seconds(1)) { sender.ready(POLLOUT) } }
        }
        #expect(stalled, "the sender got rid of \(sent) bytes although nobody read one")
        let pause = ProcessInfo.processInfo.environment["LIMPET_STALL_SECONDS"].flatMap { Int($0) } ?? 0
        #expect(try !becomes(within: .seconds(pause)) { sender.ready(POLLOUT) })
        lane.daemon.expectSleeping()
        #expect(!sender.ready(POLLOUT))
        #expect(facts.residentBytes - residentBefore < 8 << 20)
        #expect(facts.descriptorCount - descriptorsBefore <= 16)
        // Then the reader reads, and everything arrives.
        let from = sent
        let rest = Background("the rest is sent") {
            try sender.send(pattern, count: size - from, from: from)
            try sender.finish()
        }
        #expect(try receiver.receive(pattern) == size)
        try rest.value()
        #expect(facts.residentBytes - residentBefore < 8 << 20)
        pair.close()
        try lane.finish()
    }

    /// Each of a hundred readers has stopped: none of the senders goes on, and a hundred others are served meanwhile.
    @Test func stoppedReadersDoNotHoldUpOthers() throws {
        let lane = try Lane(receiveBuffer: 16_384)
        let stuck = try (0..<50).map { _ in try lane.open() }
        let block = [UInt8](repeating: 1, count: 1 << 18)
        for pair in stuck {
            while try block.withUnsafeBytes({ try pair.client.trySend($0) }) > 0 {}
        }
        for number in 0..<50 {
            let pair = try lane.open()
            try pair.client.send("number \(number)!")
            #expect(try pair.backend.receiveText("number \(number)!".count) == "number \(number)!")
            pair.close()
        }
        for pair in stuck { pair.client.reset() }
        for pair in stuck { pair.backend.close() }
        try lane.finish()
    }
}
