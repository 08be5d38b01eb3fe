import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// A stream that is waited for: nothing of it is kept back, and nobody waits for one that is none any more.
@Suite struct PatienceTests {
    private func isPatient(_ scene: Scene, _ direction: Int) -> Bool {
        scene.way(direction).pointee.flags & UInt16(LIMPET_DIRECTION_PATIENT.rawValue) != 0
    }

    private func lowWater(_ descriptor: Int32) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_RCVLOWAT, &value, &length) == 0 ? value : -1
    }

    @Test(arguments: 0...1) func theRestOfAStreamComesThrough(direction: Int) throws {
        let scene = try Scene()
        try scene.revive()
        let received = Locked(0)
        let sink = scene.sink(direction).descriptor
        let reader = try Threads.start("reader") {
            let buffer = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 1)
            defer { buffer.deallocate() }
            while true {
                switch Transfer.receive(sink, into: buffer, limit: 1 << 20) {
                case .moved(let count): received.with { $0 += count }
                case .wouldBlock:
                    var entry = pollfd(fd: sink, events: Int16(POLLIN), revents: 0)
                    _ = poll(&entry, 1, -1)
                case .endOfFile, .failed: return
                }
            }
        }
        let chunk = [UInt8](repeating: 7, count: 1 << 20)
        var sent = 0
        let limit = Clock.now() + 60_000_000_000
        while !isPatient(scene, direction), Clock.now() < limit {
            #expect(scene.source(direction).send(chunk))
            sent += chunk.count
        }
        #expect(isPatient(scene, direction))
        // Less than is waited for, and nothing after it.
        #expect(scene.source(direction).send(Array(chunk.prefix(1000))))
        sent += 1000
        #expect(eventually { received.with { $0 } == sent })
        // And no longer waited for.
        #expect(eventually { !isPatient(scene, direction) })
        #expect(lowWater(scene.nearSource(direction)) == 1)
        StreamSocket.shutdownWrite(scene.source(direction).descriptor)
        pthread_join(reader, nil)
        scene.end()
    }

    /// The engine that waited has died.
    @Test(arguments: 0...1) func theNextEngineDoesNotWait(direction: Int) throws {
        let scene = try Scene()
        scene.way(direction).pointee.flags |=
            UInt16(LIMPET_DIRECTION_PATIENT.rawValue) | UInt16(LIMPET_DIRECTION_BULK.rawValue)
        StreamSocket.setLowWater(scene.nearSource(direction), 65536)
        try scene.revive()
        #expect(eventually { lowWater(scene.nearSource(direction)) == 1 })
        scene.expectCarries()
        #expect(!isPatient(scene, direction))
        scene.end()
    }
}
