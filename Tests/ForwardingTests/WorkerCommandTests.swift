import Addressing
import Backends
import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// What a worker is told while it runs: to stand still, to close, to serve other listeners.
@Suite(.timeLimit(.minutes(1))) struct WorkerCommandTests {
    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 3 &+ 9) } }

    // MARK: Parking

    @Test func parkedWorkersTouchNothingUntilTheyAreLetGo() throws {
        let scene = try Scene()
        try scene.revive()
        scene.expectCarries()
        #expect(scene.workers.park(within: 5_000_000_000))
        #expect(scene.own.pointee.hand_slot == .max)
        let before = scene.own.pointee.heartbeat
        #expect(scene.client.send(text(100)))
        #expect(scene.arrived(0, 100))
        scene.workers.post([.close(slot: 0, generation: 1, .reset, .operator)], to: 0)
        #expect(scene.own.pointee.heartbeat == before)
        #expect(try TCPCounters(scene.toClient).unread == 100)
        scene.workers.resume()
        #expect(scene.server.receiveToEnd().end == .reset)
        scene.expectGone()
        scene.end()
    }

    /// What is parked is what an engine leaves behind that ends for an upgrade.
    @Test func anotherEngineTakesOverFromAParkedOne() throws {
        let scene = try Scene()
        try scene.revive()
        #expect(scene.workers.park(within: 5_000_000_000))
        #expect(scene.client.send(text(100)))
        let parked = scene.leavePool()
        try scene.revive()
        #expect(scene.server.receive(100) == text(100))
        scene.expectCarries()
        scene.stop()
        parked.postToAll(.stop)
        parked.resume()
        parked.join()
        scene.end()
    }

    @Test func whoCannotParkInTimeServesOn() throws {
        let scene = try Scene()
        try scene.revive()
        // Something holds the worker up.
        let hold = Gate(workers: 1)
        scene.workers.post([.park(hold)], to: 0)
        #expect(hold.wait(nanoseconds: 5_000_000_000))
        #expect(!scene.workers.park(within: 1_000_000))
        hold.open()
        scene.expectCarries()
        scene.end()
    }

    // MARK: Closing at a quiet moment

    /// What came since the look, and what has come and was not read, is reason to leave it alone.
    @Test func aConnectionIsClosedOnlyWhileItIsStill() throws {
        let scene = try Scene()
        try scene.revive()
        scene.expectCarries()
        func ask(_ active: UInt64) {
            scene.workers.post([.closeIfStill(slot: 0, generation: 1, active: active, .drain)], to: 0)
        }
        ask(scene.record.pointee.active &- 1)
        scene.expectCarries()
        #expect(scene.state == LIMPET_OPEN)
        // Something comes while the worker is held up: it is not read yet when the worker is asked.
        let hold = Gate(workers: 1)
        scene.workers.post([.park(hold)], to: 0)
        #expect(hold.wait(nanoseconds: 5_000_000_000))
        ask(scene.record.pointee.active)
        #expect(scene.client.send(text(3)))
        hold.open()
        #expect(scene.server.receive(3) == text(3))
        scene.expectCarries()
        #expect(scene.state == LIMPET_OPEN)
        // The worker says when the last byte came after it has sent it on.
        #expect(
            eventually {
                ask(scene.record.pointee.active)
                return scene.state != LIMPET_OPEN
            })
        #expect(scene.client.receiveToEnd().end == .fin)
        #expect(scene.server.receiveToEnd().end == .fin)
        scene.client.close()
        scene.server.close()
        scene.expectGone()
        scene.end()
    }

    // MARK: Reconfiguration

    @Test func aListenerThatIsGoneIsClosedWithNobodyLeftInItsQueue() throws {
        let scene = try Scene()
        try scene.revive()
        let address = SocketAddress(try #require(StreamSocket.localEndpoint(scene.listener)))
        #expect(scene.workers.park(within: 5_000_000_000))
        let waiting = try StreamSocket.open(family: AF_INET).get()
        _ = StreamSocket.connect(waiting, to: address)
        let isDone = Locked(false)
        scene.workers.configure(table: scene.table, listeners: [[]]) { isDone.with { $0 = true } }
        scene.workers.resume()
        #expect(eventually { isDone.with { $0 } })
        #expect(scene.region.listener(0).pointee.descriptor.0 == -1)
        // Who waited was taken in …
        var peer = SocketAddress()
        let server = Peer(try Pair.accept(scene.backendListener, &peer))
        let client = Peer(waiting)
        #expect(client.send(text(10)))
        #expect(server.receive(10) == text(10))
        // … who comes now is refused, and who was there before stays.
        let late = try StreamSocket.open(family: AF_INET).get()
        _ = StreamSocket.connect(late, to: address)
        #expect(eventually { StreamSocket.takeError(late) == .connectionRefused })
        Descriptor.close(late)
        scene.expectCarries(openOnAll: 2)
        scene.end()
    }

    @Test func aListenerThatIsNewServesWithTheNewTable() throws {
        let scene = try Scene()
        try scene.revive()
        let new = try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: true)
        let address = try #require(StreamSocket.localEndpoint(new))
        scene.region.nameListener(1, service: 0, address: address, descriptors: [new])
        scene.sendProxy = .v1
        let isDone = Locked(false)
        scene.workers.configure(table: scene.table, listeners: [scene.region.listeners(of: 0)]) {
            isDone.with { $0 = true }
        }
        #expect(eventually { isDone.with { $0 } })
        let client = Peer(try StreamSocket.open(family: AF_INET).get())
        _ = StreamSocket.connect(client.descriptor, to: SocketAddress(address))
        var peer = SocketAddress()
        let server = Peer(try Pair.accept(scene.backendListener, &peer))
        #expect(server.receive(6) == Array("PROXY ".utf8))
        #expect(scene.region.counters(0, listener: 1).pointee.accepted == 1)
        scene.expectCarries(openOnAll: 2)
        scene.end()
        Descriptor.close(new)
    }
}
