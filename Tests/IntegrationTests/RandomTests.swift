import Foundation
import Testing

/// Connections that do what dice say, many at a time, each byte and each end compared with what has to be.
@Suite(.ownThread, .serialized, .fence)
struct RandomTests {
    /// A failure prints the seed of its connection. LIMPET_ROUNDS makes it as long as one likes.
    private static let rounds = ProcessInfo.processInfo.environment["LIMPET_ROUNDS"].flatMap { Int($0) } ?? 25
    private static let lanes = 8

    @Test func anyOrderOfEvents() throws {
        let listeners = try (0..<Self.lanes).map { number in
            try Listener(receiveBuffer: number % 2 == 0 ? nil : 16_384)
        }
        var setup = Daemon.Setup()
        setup.file = listeners.enumerated().map { number, listener in
            """
            [[service]]
            name = "s\(number)"
            listen = ["127.0.0.1:0"]
            health = "off"
            [[service.backend]]
            name = "b1"
            address = "\(listener.address)"
            """
        }.joined(separator: "\n")
        let daemon = try Daemon(setup)
        let work = (0..<Self.lanes).map { number in
            Background("lane \(number)") {
                try (0..<Self.rounds).compactMap { round in
                    let script = Script(seed: UInt64(number) << 32 | UInt64(round))
                    let client = try TCPSocket.connect(
                        to: daemon.listeners[number], receiveBuffer: script.clientBuffer)
                    return script.play(Pair(client: client, backend: try listeners[number].accept()))
                }
            }
        }
        for lane in work {
            let problems = try lane.value(within: .seconds(60 + Self.rounds * 20))
            #expect(problems == [])
        }
        try daemon.waitUntilIdle()
        let rows = try daemon.ctl.backends()
        for row in rows {
            #expect(row.connections == 0 && row.connecting == 0 && row.away == 0 && row.connectFailures == 0, "\(row)")
            // A client that resets before the daemon has seen its backend's answer does not count as served.
            #expect((1...Self.rounds).contains(row.total), "\(row)")
        }
        try daemon.stop()
    }
}
