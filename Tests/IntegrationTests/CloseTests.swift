import Foundation
import Testing

/// limpetctl close.
@Suite(.ownThread, .fence)
struct CloseTests {
    @Test(arguments: [StreamEnd.fin, .reset])
    func byNumber(_ end: StreamEnd) throws {
        let lane = try Lane()
        let pairs = try (0..<5).map { _ in try lane.open() }
        let rows = try lane.daemon.connections(5)
        let chosen = try #require(rows.first { $0.client == pairs[2].client.local.description })
        #expect(UInt64(chosen.id, radix: 16) != nil)
        try lane.daemon.ctl.expect(["close", chosen.id] + (end == .reset ? ["--reset"] : []))
        #expect(try pairs[2].client.receiveToEnd() == ([], end))
        #expect(try pairs[2].backend.receiveToEnd() == ([], end))
        pairs[2].close()
        let left = try lane.daemon.connections(4)
        #expect(!left.map(\.id).contains(chosen.id))
        for number in [0, 1, 3, 4] { #expect(pairs[number].client.isQuiet && pairs[number].backend.isQuiet) }
        for each in pairs { each.close() }
        try lane.finish()
    }

    @Test func severalNumbersAtOnce() throws {
        let lane = try Lane()
        let pairs = try (0..<4).map { _ in try lane.open() }
        let rows = try lane.daemon.connections(4)
        let wanted = pairs.prefix(3).map { pair in rows.first { $0.client == pair.client.local.description }!.id }
        let refused = try lane.daemon.ctl.run(["close"] + wanted)
        #expect(refused.status == 8 && refused.stderr.contains("3 connections would be closed"), "\(refused)")
        #expect(pairs.allSatisfy { $0.client.isQuiet })
        try lane.daemon.ctl.expect(["close", "--force"] + wanted)
        for pair in pairs.prefix(3) { #expect(try pair.client.receiveToEnd().end == .fin) }
        #expect(pairs[3].client.isQuiet)
        for each in pairs { each.close() }
        try lane.finish()
    }

    @Test func byWhatTheyAreLike() throws {
        let lane = try Lane()
        let (silent, busy) = (try lane.open(from: "127.7.0.1"), try lane.open(from: "127.7.0.2"))
        try eventually("it has been silent for a while") {
            try busy.client.send("x")
            _ = try busy.backend.receiveText(1)
            return try lane.daemon.ctl.connections("--idle", "1s").count == 1
        }
        #expect(try lane.daemon.ctl.expect("close", "--idle", "1h") == "closed 0 connections\n")
        #expect(try lane.daemon.ctl.expect("close", "--state", "half_closed") == "closed 0 connections\n")
        #expect(try lane.daemon.ctl.run("close", "--client", "127.7.0.0/24", "--older", "500ms").status == 8)
        // One alone wants no force. The other is silent, too, where the machine is busy: then nothing is done.
        let filters = ["--service", "default", "--backend", "b1", "--idle", "1s", "--state", "open"]
        try eventually("the one that is silent is closed") {
            try busy.client.send("x")
            _ = try busy.backend.receiveText(1)
            let outcome = try lane.daemon.ctl.run(["close"] + filters)
            return outcome.status == 0 && outcome.stdout == "closed 1 connection\n"
        }
        #expect(try silent.client.receiveToEnd() == ([], .fin))
        #expect(busy.client.isQuiet)
        silent.close()
        busy.close()
        try lane.finish()
    }

    /// Many at once want --force where nobody can be asked.
    @Test func byBackendAndByClient() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let (one, other) = (try daemon.source(preferring: "b1"), try daemon.source(preferring: "b2"))
        let ones = try (0..<4).map { _ in try daemon.connect(from: one) }
        let others = try (0..<4).map { _ in try daemon.connect(from: other) }
        for client in ones + others { _ = try client.receiveLine() }
        let refused = try daemon.ctl.run("close", "--backend", "b1")
        #expect(refused.status == 8 && refused.stderr.contains("--force"), "\(refused)")
        #expect(try daemon.ctl.connections().count == 8)
        try daemon.ctl.expect("close", "--backend", "b1", "--force")
        for client in ones { #expect(try client.receiveToEnd().end == .fin) }
        #expect(others.allSatisfy { $0.isQuiet })
        for each in ones { each.close() }
        _ = try daemon.connections(4)
        try daemon.ctl.expect("close", "--client", "\(other)/32", "--reset", "--force")
        for client in others { #expect(try client.receiveToEnd().end == .reset) }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Bytes that are on their way to a client come before the FIN.
    @Test func whatIsOnItsWayArrives() throws {
        // Little room in the daemon's socket, so that a good part waits in a pipe.
        let lane = try Lane(settings: "send-buffer = 10000")
        let pair = try lane.open(receiveBuffer: 4_096)
        let pattern = Pattern(seed: 50)
        try pair.backend.send(pattern, count: 60_000)
        try lane.waitUntilRead(pair.backend)
        let (client, peer) = (pair.client.local, lane.daemon.address)
        let unread = try #require(KernelSocket.between(client, peer)).unread
        let unsent = try #require(KernelSocket.between(peer, client)).unsent
        #expect(unread + unsent < 50_000, "nothing waits in a pipe")
        try lane.daemon.ctl.expect("close", try lane.daemon.connections(1)[0].id)
        let (bytes, end) = try pair.client.receiveToEnd()
        #expect(bytes.count == 60_000)
        #expect(bytes.withUnsafeBytes { pattern.firstDifference($0, at: 0) } == nil)
        #expect(end == .fin)
        pair.close()
        try lane.finish()
    }

    /// Bytes that limpetd took and cannot deliver in time are missing at the end: that must not look like an end.
    @Test(arguments: Way.allCases)
    func aStreamThatIsCutShortEndsWithAReset(_ way: Way) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 16_384 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 16_384 : nil)
        let (sender, receiver) = pair.ends(way)
        try lane.fill(sender)
        try lane.daemon.ctl.expect("close", try lane.daemon.connections(1)[0].id)
        try lane.daemon.waitUntilIdle()
        #expect(try receiver.receiveToEnd().end == .reset)
        pair.close()
        try lane.finish()
    }

    /// A peer that neither reads nor closes does not keep the connection.
    @Test func aStubbornPeerDoesNotKeepIt() throws {
        let lane = try Lane(receiveBuffer: 16_384)
        let pair = try lane.open(receiveBuffer: 16_384)
        let block = [UInt8](repeating: 1, count: 1 << 18)
        while try becomes(within: .milliseconds(300), { pair.client.ready(POLLOUT) }) {
            _ = try block.withUnsafeBytes { try pair.client.trySend($0) }
        }
        try lane.daemon.ctl.expect("close", try lane.daemon.connections(1)[0].id)
        try lane.daemon.waitUntilIdle()
        pair.close()
        try lane.finish()
    }
}
