import Addressing
import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// A worker dies with a connection in hand whose backend is a Unix socket: only the pipe and what the region says of it tell
/// what was on its way.
@Suite(.timeLimit(.minutes(1))) struct RecoveredPipingTests {
    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) } }

    private func entered(_ scene: Scene, _ direction: Int) -> UnsafeMutablePointer<UInt64> {
        limpet_entered(scene.region.piped(0, record: 0), Int32(direction))
    }

    /// Puts bytes of the source into a named pipe, as a splice does.
    private func spliceIn(_ scene: Scene, _ direction: Int, _ bytes: [UInt8]) throws -> Pipe {
        let pipe = try scene.namePipe(direction)
        #expect(scene.source(direction).send(bytes))
        #expect(scene.arrived(direction, bytes.count))
        var moved = 0
        while moved < bytes.count {
            guard
                case .moved(let count) = Transfer.splice(
                    from: scene.nearSource(direction), to: pipe.write, limit: bytes.count - moved)
            else { break }
            moved += count
        }
        #expect(moved == bytes.count)
        return pipe
    }

    private func expectArrives(_ scene: Scene, _ direction: Int, _ bytes: [UInt8], before: Int = 0) throws {
        try scene.revive()
        #expect(scene.sink(direction).receive(bytes.count) == bytes)
        #expect(scene.comesToCount(direction, before + bytes.count))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, before + bytes.count + 1000))
        #expect(entered(scene, direction).pointee == UInt64(before + bytes.count + 1000))
        scene.end()
    }

    @Test(arguments: [0, 1], [true, false]) func withBytesInThePipe(_ direction: Int, isCounted: Bool) throws {
        let scene = try Scene(isUnix: true)
        let bytes = text(3000)
        _ = try spliceIn(scene, direction, bytes)
        if isCounted {
            entered(scene, direction).pointee = 3000
            scene.way(direction).pointee.pipe_bytes = 3000
        }
        try expectArrives(scene, direction, bytes)
    }

    /// Some had been let out of the pipe, and that may have been counted.
    @Test(arguments: [0, 1], [true, false]) func withBytesLetOut(_ direction: Int, isCounted: Bool) throws {
        let scene = try Scene(isUnix: true)
        let bytes = text(3000)
        let pipe = try spliceIn(scene, direction, bytes)
        entered(scene, direction).pointee = 3000
        scene.way(direction).pointee.pipe_bytes = 3000
        #expect(Transfer.splice(from: pipe.read, to: scene.nearSink(direction), limit: 1000) == .moved(1000))
        if isCounted { scene.way(direction).pointee.pipe_bytes = 2000 }
        try expectArrives(scene, direction, bytes)
    }

    /// All of them had.
    @Test(arguments: [0, 1]) func withAnEmptyPipe(_ direction: Int) throws {
        let scene = try Scene(isUnix: true)
        let bytes = text(500)
        let pipe = try spliceIn(scene, direction, bytes)
        entered(scene, direction).pointee = 500
        #expect(Transfer.splice(from: pipe.read, to: scene.nearSink(direction), limit: 1000) == .moved(500))
        try expectArrives(scene, direction, bytes)
    }

    /// Read out of the TCP side, which counts, and not in the pipe yet.
    @Test(arguments: [true, false], [true, false]) func inTheScratch(isNoted: Bool, isFinished: Bool) throws {
        let scene = try Scene(isUnix: true)
        let bytes = text(2000)
        _ = try scene.namePipe(0)
        scene.readIntoScratch(0, bytes, isNoted: isNoted)
        if isFinished { scene.client.shutdown() }
        guard isFinished else { return try expectArrives(scene, 0, bytes) }
        try scene.revive()
        let (received, end) = scene.server.receiveToEnd()
        #expect(received == bytes && end == .fin)
        scene.server.shutdown()
        #expect(scene.client.receiveToEnd().end == .fin)
        scene.expectGone()
        scene.end()
    }

    /// In the pipe already, which nothing says yet.
    @Test func writtenFromTheScratch() throws {
        let scene = try Scene(isUnix: true)
        let bytes = text(2000)
        let pipe = try scene.namePipe(0)
        scene.readIntoScratch(0, bytes)
        #expect(Transfer.write(pipe.write, from: scene.region.scratch(0), count: 2000) == .moved(2000))
        try expectArrives(scene, 0, bytes)
    }

    /// Without a pipe bytes were only looked at; how many of them were sent nobody knows.
    @Test(arguments: [0, 1], [0, 100]) func peekedAt(_ direction: Int, _ count: Int) throws {
        let scene = try Scene(isUnix: true)
        let bytes = text(100)
        scene.takeInHand()
        scene.own.pointee.scratch_slot = 0
        scene.own.pointee.scratch_generation = scene.record.pointee.generation
        scene.own.pointee.scratch_direction = UInt32(direction | LIMPET_PEEKED)
        scene.own.pointee.scratch_length = UInt32(count)
        #expect(scene.source(direction).send(bytes))
        #expect(scene.arrived(direction, 100))
        if count == 0 { return try expectArrives(scene, direction, bytes) }
        try scene.revive()
        scene.expectGone()
        #expect(scene.client.receiveToEnd().end == .reset)
        #expect(scene.incidentKinds().contains(.unrecoverable))
        scene.end()
    }

    /// It had connected; the header may be in the pipe, in whole.
    @Test(arguments: [false, true]) func whileConnecting(hasHeader: Bool) throws {
        let scene = try Scene(isUnix: true)
        scene.sendProxy = .v1
        scene.makeConnecting()
        scene.takeInHand()
        let client = try #require(scene.record.pointee.client.endpoint)
        let local = try #require(scene.record.pointee.client_local.endpoint)
        let header = "PROXY TCP4 \(client.address) \(local.address) \(client.port) \(local.port)\r\n"
        if hasHeader {
            let pipe = try scene.namePipe(0)
            let bytes = Array(header.utf8)
            #expect(Transfer.write(pipe.write, from: bytes, count: bytes.count) == .moved(bytes.count))
        }
        #expect(scene.client.send(text(100)))
        try scene.revive()
        // Without one nobody knows whether it was sent, so the backend gets another connection.
        if !hasHeader { try scene.acceptServer() }
        #expect(scene.server.receive(header.utf8.count) == Array(header.utf8))
        #expect(scene.server.receive(100) == text(100))
        #expect(scene.comesToCount(0, 100))
        scene.expectCarries()
        scene.end()
    }

    /// The socket was there, and not connected yet.
    @Test func beforeTheConnect() throws {
        let scene = try Scene(isUnix: true)
        scene.makeConnecting()
        scene.takeInHand()
        scene.unwatch(1)
        Descriptor.close(scene.toServer)
        let idle = try UnixSocket.open(isBlocking: false).get()
        scene.record.pointee.descriptor.1 = idle
        scene.record.pointee.events.1 = 0
        try scene.revive()
        try scene.acceptServer()
        scene.expectCarries()
        scene.end()
    }
}
