import Addressing
import Backends
import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// What a new worker makes of the records as a whole, and of clients that had no record yet.
@Suite(.timeLimit(.minutes(1))) struct RecoveredWorkerTests {
    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 3 &+ 9) } }

    @Test func gaugesAreToldFromTheRecords() throws {
        let region = try SharedRegion(workers: 2, records: 10, limit: 20)
        for slot in 0..<3 { region.backend(slot).pointee.used = UInt8(LIMPET_SLOT_LIVE) }
        for slot in 0..<2 {
            region.nameListener(slot, service: 0, address: try Endpoint(parsing: "127.0.0.1:1"), descriptors: [])
        }
        func put(
            _ worker: Int, _ slot: Int, _ state: Int, backend: UInt16, home: UInt16, listener: UInt16,
            isConnected: Bool = true
        ) {
            let record = region.records(worker) + slot
            limpet_record_clear(record, 5)
            record.pointee.state = UInt8(state)
            record.pointee.backend = backend
            record.pointee.home = home
            record.pointee.listener = listener
            record.pointee.descriptor = (3, isConnected ? 4 : -1)
        }
        put(0, 0, LIMPET_OPEN, backend: 0, home: 0, listener: 0)
        put(0, 1, LIMPET_FREE, backend: 0, home: 0, listener: 0)
        put(0, 2, LIMPET_HALF_CLOSED, backend: 0, home: 2, listener: 1)
        put(0, 3, LIMPET_CONNECTING, backend: 2, home: 2, listener: 0)
        put(0, 4, LIMPET_CONNECTING, backend: .max, home: 2, listener: 0, isConnected: false)
        put(1, 0, LIMPET_CLOSING, backend: 2, home: 0, listener: 1)
        // What the dead engine had counted is of no account.
        region.header.pointee.open = 99
        region.header.pointee.waiting = 3
        for worker in 0..<2 {
            region.worker(worker).pointee.open = 7
            region.counters(worker, backend: 1).pointee.open = 7
            region.counters(worker, listener: 0).pointee.open = 7
        }
        region.backend(1).pointee.load = 7
        region.recount()
        #expect(region.open == 5)
        #expect(region.header.pointee.waiting == 0)
        #expect((0..<2).map { region.worker($0).pointee.open } == [4, 1])
        #expect((0..<3).map { region.backend($0).pointee.load } == [2, 0, 2])
        #expect((0..<3).map { region.counters(0, backend: $0).pointee.open } == [2, 0, 0])
        #expect((0..<3).map { region.counters(0, backend: $0).pointee.connecting } == [0, 0, 1])
        #expect((0..<3).map { region.counters(0, backend: $0).pointee.away } == [1, 0, 0])
        #expect((0..<3).map { region.counters(1, backend: $0).pointee.open } == [0, 0, 1])
        #expect((0..<3).map { region.counters(1, backend: $0).pointee.away } == [0, 0, 1])
        #expect((0..<2).map { region.counters(0, listener: $0).pointee.open } == [3, 1])
        #expect((0..<2).map { region.counters(1, listener: $0).pointee.open } == [0, 1])
    }

    /// Slots that are free are used again before untouched ones, and those that are not stay as they are.
    @Test func newConnectionsGetFreeSlots() throws {
        let scene = try Scene()
        // Slots 1 and 3 were used; 2 holds one more connection, which nobody looks at.
        for slot in 1...3 { limpet_record_clear(scene.region.records(0) + slot, UInt32(slot)) }
        try scene.revive()
        var peers: [Peer] = []
        for count in 1...4 {
            let socket = try StreamSocket.open(family: AF_INET).get()
            _ = StreamSocket.connect(
                socket, to: SocketAddress(try #require(StreamSocket.localEndpoint(scene.listener))))
            peers.append(Peer(socket))
            var peer = SocketAddress()
            peers.append(Peer(try Pair.accept(scene.backendListener, &peer)))
            #expect(eventually { scene.region.counters(0, backend: 0).pointee.open == UInt64(1 + count) })
        }
        #expect(
            (0..<6).map { scene.region.records(0)[$0].state != UInt8(LIMPET_FREE) } == [
                true, true, true, true, true, false,
            ])
        #expect((0..<5).map { scene.region.records(0)[$0].generation } == [1, 2, 3, 4, 1])
        scene.expectCarries(openOnAll: 5)
        scene.end()
    }

    @Test func anAcceptedSocketThatNobodyHadRecordedIsTakenIn() throws {
        let scene = try Scene()
        let pair = try Pair(listener: scene.listener)
        let client = Peer(pair.connected)
        #expect(client.send(text(100)))
        try scene.revive(accepted: [AcceptedSocket(descriptor: pair.accepted, listener: 0)])
        var peer = SocketAddress()
        let server = Peer(try Pair.accept(scene.backendListener, &peer))
        #expect(server.receive(100) == text(100))
        #expect(server.send(text(50)))
        #expect(client.receive(50) == text(50))
        #expect(scene.region.records(0)[1].id == 2)
        #expect(scene.region.records(0)[1].client.endpoint == StreamSocket.localEndpoint(client.descriptor))
        scene.expectCarries(openOnAll: 2)
        scene.end()
    }

    /// What a short connection does not need is set once it has turned out to be none, also by the engine after.
    @Test(arguments: [false, true]) func aConnectionThatLastsGetsItsOptions(afterADeath: Bool) throws {
        let scene = try Scene()
        scene.options.keepaliveIdle = 7
        scene.options.keepaliveInterval = 3
        scene.options.keepaliveCount = 2
        scene.options.userTimeout = 12_345
        let pair = try Pair(listener: scene.listener)
        try scene.revive(accepted: [AcceptedSocket(descriptor: pair.accepted, listener: 0)])
        let record = scene.region.records(0) + 1
        #expect(eventually { record.pointee.state == UInt8(LIMPET_OPEN) })
        let socket = record.pointee.descriptor.1
        if afterADeath {
            scene.stop()
            #expect(record.pointee.deadline != 0 && option(socket, SOL_SOCKET, SO_KEEPALIVE) == 0)
            try scene.revive()
        }
        #expect(eventually { record.pointee.deadline == 0 })
        #expect(option(socket, SOL_SOCKET, SO_KEEPALIVE) == 1)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_KEEPIDLE) == 7)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_KEEPINTVL) == 3)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_KEEPCNT) == 2)
        #expect(option(socket, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT) == 12_345)
        #expect(record.pointee.state == UInt8(LIMPET_OPEN))
        Descriptor.close(pair.connected)
        scene.end()
    }

    private func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32 {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, level, name, &value, &length) == 0 ? value : -1
    }

    @Test func aRecordThatWasBeingFilledInCountsForNothing() throws {
        let scene = try Scene()
        let record = scene.region.records(0) + 1
        limpet_record_clear(record, 4)
        record.pointee.sequence = 3
        record.pointee.descriptor.0 = 999
        scene.own.pointee.hand_generation = 4
        scene.own.pointee.hand_slot = 1
        try scene.revive()
        #expect(record.pointee.sequence == 4)
        #expect(record.pointee.state == UInt8(LIMPET_FREE))
        #expect(ConnectionTable(region: scene.region).snapshot(1) == nil)
        scene.expectCarries()
        scene.end()
    }

    /// It had been marked as being changed, and was not blank yet: nobody had ever used it.
    @Test func aFirstRecordThatWasBeingFilledInCanBeReadLater() throws {
        let scene = try Scene()
        let record = scene.region.records(0) + 1
        record.pointee.sequence = 1
        scene.own.pointee.hand_generation = 1
        scene.own.pointee.hand_slot = 1
        let pair = try Pair(listener: scene.listener)
        try scene.revive(accepted: [AcceptedSocket(descriptor: pair.accepted, listener: 0)])
        var peer = SocketAddress()
        let server = Peer(try Pair.accept(scene.backendListener, &peer))
        #expect(eventually { record.pointee.state == UInt8(LIMPET_OPEN) })
        #expect(eventually { record.pointee.sequence & 1 == 0 })
        #expect(ConnectionTable(region: scene.region).snapshot(1)?.id == 2)
        server.close()
        Descriptor.close(pair.connected)
        scene.end()
    }

    /// Whoever dies while he works out where a new client belongs finds it again as the same connection: so one that makes
    /// engines die again and again is known by it.
    @Test func aNewClientIsTheSameConnectionAfterADeath() throws {
        let scene = try Scene()
        let pair = try Pair(listener: scene.listener)
        let client = Peer(pair.connected)
        let record = scene.region.records(0) + 1
        limpet_record_clear(record, 3)
        record.pointee.sequence = 1
        record.pointee.id = 2
        record.pointee.client.set(StreamSocket.localEndpoint(client.descriptor))
        record.pointee.peer.set(StreamSocket.localEndpoint(client.descriptor))
        record.pointee.backend = .max
        record.pointee.home = .max
        record.pointee.descriptor.0 = pair.accepted
        record.pointee.state = UInt8(LIMPET_CONNECTING)
        scene.own.pointee.hand_generation = 3
        scene.own.pointee.hand_slot = 1
        try scene.revive()
        var peer = SocketAddress()
        let server = Peer(try Pair.accept(scene.backendListener, &peer))
        #expect(client.send(text(100)))
        #expect(server.receive(100) == text(100))
        #expect(record.pointee.generation == 3 && record.pointee.home == 0 && record.pointee.source_key != 0)
        #expect(record.pointee.away_reason == AwayReason.home.rawValue)
        #expect(scene.region.counters(0, backend: 0).pointee.away == 0)
        scene.end()
    }

    /// A client of which engines die before they have come so far as to dial for it.
    @Test func aNewClientThatMakesEnginesDieIsReset() throws {
        let scene = try Scene()
        let pair = try Pair(listener: scene.listener)
        let record = scene.region.records(0) + 1
        limpet_record_clear(record, 3)
        record.pointee.id = 2
        record.pointee.backend = .max
        record.pointee.home = .max
        record.pointee.descriptor.0 = pair.accepted
        record.pointee.state = UInt8(LIMPET_CONNECTING)
        scene.own.pointee.hand_generation = 3
        scene.own.pointee.hand_slot = 1
        (scene.own.pointee.fault_slot, scene.own.pointee.fault_generation) = (1, 3)
        scene.own.pointee.fault_count = 3
        try scene.revive()
        #expect(Peer(pair.connected).receiveToEnd() == ([], .reset))
        #expect(eventually { record.pointee.state == UInt8(LIMPET_FREE) })
        scene.expectCarries()
        scene.end()
    }

    @Test func aRecordThatWasBeingChangedCanBeReadAgain() throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.record.pointee.sequence = 5
        try scene.revive()
        #expect(ConnectionTable(region: scene.region).snapshot(0)?.id == 1)
        scene.expectCarries()
        scene.end()
    }
}
