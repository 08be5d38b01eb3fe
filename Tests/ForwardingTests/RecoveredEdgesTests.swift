import CLayout
import Linux
import Testing

@testable import Forwarding

/// What epoll has told an engine once, and the engine died of: the next one has to find it by itself.
@Suite struct RecoveredEdgesTests {
    private let text = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }

    private func scene() throws -> Scene {
        let scene = try Scene()
        for side in 0...1 { scene.watchByEdges(side) }
        return scene
    }

    @Test(arguments: 0...1) func bytes(direction: Int) throws {
        let scene = try scene()
        #expect(scene.source(direction).send(text))
        #expect(scene.takeEvent())
        try scene.revive()
        #expect(scene.sink(direction).receive(text.count) == text)
        scene.expectCarries()
        scene.end()
    }

    @Test(arguments: 0...1) func anEnd(direction: Int) throws {
        let scene = try scene()
        StreamSocket.shutdownWrite(scene.source(direction).descriptor)
        #expect(scene.takeEvent())
        try scene.revive()
        #expect(scene.sink(direction).receiveToEnd() == ([], .fin))
        StreamSocket.shutdownWrite(scene.sink(direction).descriptor)
        scene.expectGone()
        scene.end()
    }

    @Test(arguments: 0...1) func aReset(direction: Int) throws {
        let scene = try scene()
        StreamSocket.resetOnClose(scene.source(direction).descriptor)
        scene.source(direction).close()
        #expect(scene.takeEvent())
        try scene.revive()
        #expect(scene.sink(direction).receiveToEnd() == ([], .reset))
        scene.expectGone()
        scene.end()
    }

    /// More came after the edge had been told: no edge is left in the set, and none is to come.
    @Test func bytesAndMoreAndAnEnd() throws {
        let scene = try scene()
        #expect(scene.client.send(text))
        #expect(scene.takeEvent())
        #expect(scene.client.send(text))
        #expect(scene.arrived(0, 2 * text.count))
        StreamSocket.shutdownWrite(scene.client.descriptor)
        try scene.revive()
        #expect(scene.server.receiveToEnd() == (text + text, .fin))
        scene.end()
    }

    /// Told once, too: that a connect has succeeded.
    @Test func aConnect() throws {
        let scene = try Scene()
        scene.makeConnecting()
        #expect(scene.takeEvent())
        try scene.revive()
        #expect(eventually { scene.state == LIMPET_OPEN })
        scene.expectCarries()
        scene.end()
    }

    @Test func aConnectAndBytesAndAnEnd() throws {
        let scene = try Scene()
        scene.makeConnecting()
        #expect(scene.server.send(text))
        StreamSocket.shutdownWrite(scene.server.descriptor)
        #expect(scene.arrived(1, text.count))
        #expect(scene.takeEvent())
        try scene.revive()
        #expect(scene.client.receiveToEnd() == (text, .fin))
        scene.end()
    }

    @Test func whoSaysNothingIsLeftAlone() throws {
        let scene = try scene()
        try scene.revive()
        scene.expectCarries()
        scene.end()
    }
}
