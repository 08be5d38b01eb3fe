import Foundation
import Synchronization
import Testing

/// What `connections --wide` asks the kernel.
@Suite(.ownThread, .fence)
struct KernelViewTests {
    struct Document: Decodable {
        var connections: [Row]
    }

    struct Row: Decodable {
        var id: String
        var backend: String
        var awayReason: String?
        var kernel: Kernel?
    }

    struct Kernel: Decodable {
        var client: Side?
        var backend: Side?
        var pipeIn: Int
        var pipeOut: Int
    }

    struct Side: Decodable {
        var rttSeconds: Double?
        var retransmits: Int
        var unacknowledged: Int
        var unread: Int
    }

    private func rows(_ daemon: Daemon, _ arguments: String...) throws -> [Row] {
        try daemon.ctl.json(Document.self, ["connections"] + arguments).connections
    }

    @Test func itSaysWhereBytesWait() throws {
        let lane = try Lane(receiveBuffer: 8192)
        let pair = try lane.open()
        #expect(try rows(lane.daemon)[0].kernel == nil)
        let quiet = try #require(try rows(lane.daemon, "--wide").first?.kernel)
        #expect(quiet.pipeIn == 0 && quiet.pipeOut == 0)
        #expect(quiet.client?.unread == 0 && quiet.backend?.unacknowledged == 0)
        #expect(try #require(quiet.client?.rttSeconds) > 0 && quiet.client?.retransmits == 0)
        // The backend reads nothing: what it does not take waits before it.
        try lane.fill(pair.client)
        let full = try #require(try rows(lane.daemon, "--wide").first?.kernel)
        #expect(full.pipeIn > 0 && full.pipeOut == 0, "\(full)")
        #expect(try #require(full.client?.unread) > 0 && full.client?.unacknowledged == 0, "\(full)")
        #expect(try #require(full.backend?.unacknowledged) > 0 && full.backend?.unread == 0, "\(full)")
        let table = try lane.daemon.ctl.expect("connections", "--wide")
        #expect(table.contains("BACKEND-UNACKED") && table.contains("KiB"))
        pair.client.abort()
        pair.backend.close()
        try lane.finish()
    }

    @Test func aConnectionSaysWhyItIsAway() throws {
        let scene = try Restartable(backends: 2)
        let daemon = try scene.start()
        let source = try daemon.source(preferring: "ws1")
        try daemon.ctl.expect("drain", "ws1")
        let client = try daemon.connect(from: source)
        #expect(try client.receiveLine().hasPrefix("ws2"))
        try daemon.ctl.expect("undrain", "ws1")
        // As it was when it came.
        #expect(try rows(daemon).map(\.awayReason) == ["draining"])
        let home = try daemon.connect(from: try daemon.source(preferring: "ws2"))
        _ = try home.receiveLine()
        #expect(try rows(daemon).compactMap(\.awayReason) == ["draining"])
        client.close()
        home.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Workers close descriptors, and open others under their numbers, while the control plane asks about them.
    @Test func askingHarmsNobodyWhileConnectionsComeAndGo() throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Daemon([server.address])
        let steady = try daemon.connect()
        _ = try steady.receiveLine()
        let isOver = Atomic(false)
        let churned = Atomic(0)
        let loops = (0..<3).map { number in
            Background("clients come and go") {
                while !isOver.load(ordering: .relaxed) {
                    let client = try daemon.connect(from: "127.4.0.\(number + 1)")
                    _ = try client.receiveLine()
                    try client.send("ping")
                    guard try client.receiveText(4) == "ping" else { throw TimedOut(what: "an echo", limit: .zero) }
                    if number == 0 { client.abort() } else { client.close() }
                    churned.add(1, ordering: .relaxed)
                }
            }
        }
        var seen = 0
        try eventually("hundreds of connections have come and gone") {
            for row in try rows(daemon, "--wide") {
                seen += 1
                guard let kernel = row.kernel else { continue }
                #expect(kernel.pipeIn == 0 && kernel.pipeOut == 0)
                #expect((kernel.client?.unread ?? 0) <= 4 && (kernel.backend?.unacknowledged ?? 0) <= 5)
            }
            return churned.load(ordering: .relaxed) > 400 && seen > 100
        }
        isOver.store(true, ordering: .relaxed)
        for loop in loops { try loop.value() }
        try expectEcho(steady)
        steady.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
