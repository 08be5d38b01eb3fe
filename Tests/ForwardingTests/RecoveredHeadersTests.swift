import Addressing
import CLayout
import Linux
import Testing

@testable import Forwarding

/// A PROXY header from the client, at each step at which an engine can have died with it in hand.
@Suite struct RecoveredHeadersTests {
    private let header = Array("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".utf8)
    private var body: [UInt8] { (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 7) } }

    private func discard(_ scene: Scene) {
        #expect(Transfer.discard(scene.toClient, limit: header.count) == .moved(header.count))
    }

    /// - Parameter received: what the record says of its length.
    private func prepare(_ scene: Scene, received: Int, isHeld: Bool = true) {
        scene.acceptProxy = AcceptedProxies(networks: [Prefix("127.0.0.0/8")!], timeout: 60_000_000_000)
        scene.record.pointee.flags |= UInt8(LIMPET_PROXIED)
        scene.region.proxy(0, record: 0).pointee = limpet_proxy()
        scene.region.proxy(0, record: 0).pointee.received = UInt16(received)
        if isHeld { scene.way(0).pointee.flags |= UInt16(LIMPET_DIRECTION_HELD.rawValue) }
        scene.takeInHand()
    }

    enum Step: CaseIterable, Sendable {
        case open, taken, released, takenAndRead, takenAndSent, takenWithFIN
    }

    @Test(arguments: Step.allCases) func itIsTakenOnce(_ step: Step) throws {
        let scene = try Scene()
        prepare(scene, received: header.count, isHeld: [.open, .taken, .takenWithFIN].contains(step))
        switch step {
        case .open:
            #expect(scene.client.send(header + body))
            #expect(scene.arrived(0, header.count + body.count))
        case .taken, .released:
            #expect(scene.client.send(header + body))
            #expect(scene.arrived(0, header.count + body.count))
            discard(scene)
        case .takenAndRead, .takenAndSent:
            #expect(scene.client.send(header))
            #expect(scene.arrived(0, header.count))
            discard(scene)
            scene.readIntoScratch(0, body)
            if step == .takenAndSent { scene.sendFromScratch(0, 0..<40, isCounted: false) }
        case .takenWithFIN:
            #expect(scene.client.send(header + body))
            #expect(scene.arrived(0, header.count + body.count))
            discard(scene)
            StreamSocket.shutdownWrite(scene.client.descriptor)
        }
        try scene.revive()
        #expect(scene.server.receive(body.count) == body)
        if step == .takenWithFIN {
            #expect(scene.server.receiveToEnd().end == .fin)
            #expect(scene.comesToCount(0, body.count))
        } else {
            scene.expectCarries()
            #expect(scene.comesToCount(0, body.count + 1000))
        }
        scene.end()
    }

    /// Half of it came to the dead engine; the rest comes to the next.
    @Test(arguments: [0, 1, 20]) func itIsAwaitedOn(_ cut: Int) throws {
        let scene = try Scene()
        Descriptor.close(scene.toServer)
        prepare(scene, received: 0)
        scene.record.pointee.descriptor.1 = -1
        scene.record.pointee.backend = .max
        scene.record.pointee.home = .max
        scene.record.pointee.attempt = 0
        scene.record.pointee.state = UInt8(LIMPET_CONNECTING)
        scene.record.pointee.deadline = Clock.now() + 60_000_000_000
        scene.record.pointee.flags |= UInt8(LIMPET_ABSENT_CLIENT)
        scene.unwatch(0)
        if cut > 0 {
            #expect(scene.client.send(Array(header[..<cut])))
            #expect(scene.arrived(0, cut))
        }
        try scene.revive()
        #expect(scene.region.isAwaitingHeader(0, 0))
        #expect(scene.client.send(Array(header[cut...]) + body))
        try scene.acceptServer()
        #expect(scene.server.receive(body.count) == body)
        #expect(scene.record.pointee.client.endpoint == (try Endpoint(parsing: "192.0.2.7:4711")))
        #expect(scene.record.pointee.client_local.endpoint == (try Endpoint(parsing: "198.51.100.1:443")))
        #expect(scene.record.pointee.peer.endpoint == StreamSocket.localEndpoint(scene.client.descriptor))
        scene.expectCarries()
        scene.end()
    }

    /// A connection that is closed by order drops the header with what is behind it: however much of that the dead engine
    /// had dropped, both sides see an orderly end.
    @Test(arguments: [0, 1, 20, 60, 145]) func itIsDroppedWithTheRest(_ dropped: Int) throws {
        let scene = try Scene()
        prepare(scene, received: header.count)
        #expect(scene.client.send(header + body))
        #expect(scene.arrived(0, header.count + body.count))
        scene.record.pointee.deadline = Clock.now() + 5_000_000_000
        scene.record.pointee.state = UInt8(LIMPET_CLOSING)
        scene.way(0).pointee.flags |= UInt16(LIMPET_DIRECTION_DISCARD.rawValue)
        if dropped > 0 {
            let count = min(dropped, header.count + body.count)
            #expect(Transfer.discard(scene.toClient, limit: count) == .moved(count))
        }
        try scene.revive()
        for peer in [scene.client, scene.server] {
            #expect(peer.receiveToEnd() == ([], .fin))
            peer.shutdown()
        }
        scene.expectGone()
        #expect(scene.incidentKinds().isEmpty)
        scene.end()
    }

    /// A client that was turned away is counted once, whoever ends its connection.
    @Test func aRefusalIsCountedOnce() throws {
        let scene = try Scene()
        Descriptor.close(scene.toServer)
        prepare(scene, received: 0)
        scene.record.pointee.descriptor.1 = -1
        scene.record.pointee.backend = .max
        scene.record.pointee.home = .max
        scene.record.pointee.attempt = 0
        scene.record.pointee.state = UInt8(LIMPET_CONNECTING)
        scene.record.pointee.deadline = Clock.now() + 60_000_000_000
        scene.record.pointee.flags |= UInt8(LIMPET_ABSENT_CLIENT)
        scene.unwatch(0)
        // The one that is dead has seen it and counted it, and said that it ends.
        #expect(scene.client.send(Array("HELO\r\n".utf8)))
        #expect(scene.arrived(0, 6))
        scene.region.counters(0, listener: 0).pointee.refused = 1
        scene.record.pointee.end = EndReason.proxyHeader.rawValue
        scene.record.pointee.flags |= UInt8(LIMPET_FINISHING | LIMPET_FINISH_RESET_CLIENT)
        try scene.revive()
        #expect(scene.client.receiveToEnd().end == .reset)
        #expect(eventually { scene.state == LIMPET_FREE })
        #expect(scene.region.counters(0, listener: 0).pointee.refused == 1)
        scene.end()
    }

    /// Figures that cannot be: nothing more is sent.
    @Test func anImpossibleLength() throws {
        let scene = try Scene()
        prepare(scene, received: header.count + 1)
        #expect(scene.client.send(header + body))
        #expect(scene.arrived(0, header.count + body.count))
        discard(scene)
        try scene.revive()
        #expect(scene.client.receiveToEnd().end == .reset)
        scene.expectGone()
        #expect(scene.incidentKinds().contains(.unrecoverable))
        scene.end()
    }
}
