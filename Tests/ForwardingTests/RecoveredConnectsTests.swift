import Addressing
import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// A worker dies while it takes a client in or connects to a backend.
@Suite(.timeLimit(.minutes(1))) struct RecoveredConnectsTests {
    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 5 &+ 1) } }

    /// The client is in; no socket to a backend is there yet.
    private func makeUnconnected(_ scene: Scene) {
        scene.makeConnecting()
        scene.takeInHand()
        scene.unwatch(1)
        scene.record.pointee.descriptor.1 = -1
        scene.record.pointee.backend = .max
        scene.record.pointee.events = (0, 0)
        Descriptor.close(scene.toServer)
    }

    @Test(arguments: [true, false]) func beforeTheFirstConnect(isWatched: Bool) throws {
        let scene = try Scene()
        makeUnconnected(scene)
        // Its number would have allowed no other.
        scene.record.pointee.attempt = 3
        if !isWatched { scene.unwatch(0) }
        #expect(scene.client.send(text(100)))
        try scene.revive()
        try scene.acceptServer()
        #expect(scene.server.receive(100) == text(100))
        scene.expectCarries()
        scene.end()
    }

    /// The socket is there and connect(2) was not called.
    @Test func beforeTheCall() throws {
        let scene = try Scene()
        makeUnconnected(scene)
        scene.record.pointee.backend = 0
        let idle = try StreamSocket.open(family: AF_INET).get()
        scene.record.pointee.descriptor.1 = idle
        try scene.revive()
        try scene.acceptServer()
        scene.expectCarries()
        scene.end()
    }

    /// The connect has succeeded and nobody has looked.
    @Test(arguments: [true, false], [true, false]) func whenItHasSucceeded(isWatched: Bool, hasDeadline: Bool) throws {
        let scene = try Scene()
        scene.makeConnecting()
        scene.takeInHand()
        if !isWatched { scene.unwatch(1) }
        if hasDeadline { scene.record.pointee.deadline = Clock.now() + 5_000_000_000 }
        #expect(scene.client.send(text(100)))
        try scene.revive()
        #expect(scene.server.receive(100) == text(100))
        scene.expectCarries()
        #expect(scene.record.pointee.descriptor.1 == scene.toServer)
        #expect(scene.record.pointee.backend_local.endpoint == StreamSocket.localEndpoint(scene.toServer))
        #expect(scene.region.counters(0, backend: 0).pointee.total == 1)
        scene.end()
    }

    /// Nobody has it in hand: epoll says what there is to say.
    @Test func whenItHasSucceededAndNobodyHadItInHand() throws {
        let scene = try Scene()
        scene.makeConnecting()
        try scene.revive()
        scene.expectCarries()
        scene.end()
    }

    /// The backend's queue is full: the handshake goes on while there is no engine, and after.
    @Test(arguments: [true, false]) func whileItIsUnderWay(inHand: Bool) throws {
        let scene = try Scene()
        scene.makeConnecting()
        scene.unwatch(1)
        scene.server.close()
        Descriptor.close(scene.toServer)
        // A queue of one that is full answers no SYN.
        let busy = try StreamSocket.open(family: AF_INET).get()
        var fillers: [Int32] = []
        let address = SocketAddress(try Endpoint(parsing: "127.0.0.1:0"))
        #expect(address.withPointer { bind(busy, $0, $1) } == 0)
        #expect(listen(busy, 0) == 0)
        let bound = SocketAddress(try #require(StreamSocket.localEndpoint(busy)))
        var pending = -1 as Int32
        while pending < 0 {
            let next = try StreamSocket.open(family: AF_INET).get()
            #expect(StreamSocket.connect(next, to: bound) == .inProgress)
            usleep(1000)
            if try TCPCounters(next).state == .synSent { pending = next } else { fillers.append(next) }
        }
        scene.record.pointee.descriptor.1 = pending
        scene.record.pointee.backend_address.set(bound.endpoint)
        scene.record.pointee.deadline = Clock.now() + 9_000_000_000
        if inHand {
            scene.takeInHand()
        } else {
            let poller = Poller(adopting: scene.own.pointee.poller, capacity: 1)
            #expect(poller.add(pending, token: Token.record(0, side: 1, generation: 1), interest: .write) == nil)
        }
        try scene.revive()
        #expect(scene.state == LIMPET_CONNECTING)
        #expect(scene.region.counters(0, backend: 0).pointee.connecting == 1)
        // Room in the queue: the next SYN is answered.
        var peer = SocketAddress()
        var accepted: [Int32] = []
        for _ in fillers { accepted.append(try Pair.accept(busy, &peer)) }
        #expect(eventually { scene.state == LIMPET_OPEN })
        #expect(scene.record.pointee.descriptor.1 == pending)
        for descriptor in fillers + accepted + [busy] { Descriptor.close(descriptor) }
        scene.end()
    }

    /// It was refused, and the news taken out of the socket.
    @Test func whenItHasFailed() throws {
        let scene = try Scene()
        makeUnconnected(scene)
        let refused = try StreamSocket.open(family: AF_INET).get()
        let free = try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: false)
        let nobody = SocketAddress(try #require(StreamSocket.localEndpoint(free)))
        Descriptor.close(free)
        _ = StreamSocket.connect(refused, to: nobody)
        #expect(eventually { (try? TCPCounters(refused))?.state == .close })
        _ = StreamSocket.takeError(refused)
        scene.record.pointee.descriptor.1 = refused
        scene.record.pointee.backend = 0
        try scene.revive()
        try scene.acceptServer()
        scene.expectCarries()
        scene.end()
    }

    @Test func theClientHasGoneMeanwhile() throws {
        let scene = try Scene()
        scene.makeConnecting()
        scene.takeInHand()
        scene.client.reset()
        #expect(eventually { (try? TCPCounters(scene.toClient))?.state == .close })
        try scene.revive()
        #expect(scene.server.receiveToEnd().end != .none)
        scene.expectGone()
        scene.end()
    }

    // MARK: The PROXY header

    private func header(_ scene: Scene) -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ProxyHeader.longest, alignment: 1)
        defer { buffer.deallocate() }
        let count = ProxyHeader.write(
            .v1, client: scene.record.pointee.client.endpoint, local: scene.record.pointee.client_local.endpoint,
            into: buffer)
        return Array(buffer[..<count])
    }

    enum Header: CaseIterable, Sendable {
        case notYet, pipeNamed, written, flagged, open, sentWithoutPipe, sentAndFlagged
    }

    @Test(arguments: Header.allCases) func theHeaderComesOnce(step: Header) throws {
        let scene = try Scene()
        scene.sendProxy = .v1
        scene.makeConnecting()
        scene.takeInHand()
        let header = header(scene)
        switch step {
        case .notYet: break
        case .pipeNamed: _ = try scene.namePipe(0)
        case .written, .flagged, .open:
            let pipe = try scene.namePipe(0)
            #expect(
                header.withUnsafeBytes { Transfer.write(pipe.write, from: $0.baseAddress!, count: $0.count) }
                    == .moved(header.count))
        case .sentWithoutPipe, .sentAndFlagged:
            #expect(
                header.withUnsafeBytes { Transfer.send(scene.toServer, from: $0.baseAddress!, count: $0.count) }
                    == .moved(header.count))
        }
        if step == .flagged || step == .open || step == .sentAndFlagged {
            scene.record.pointee.header = UInt8(header.count)
        }
        if step == .flagged || step == .open { scene.record.pointee.header_left = UInt8(header.count) }
        if step == .open { scene.record.pointee.state = UInt8(LIMPET_OPEN) }
        #expect(scene.client.send(text(100)))
        try scene.revive()
        #expect(scene.server.receive(header.count + 100) == header + text(100))
        scene.expectCarries()
        #expect(scene.record.pointee.header == UInt8(header.count))
        #expect(scene.record.pointee.header_left == 0)
        #expect(scene.comesToCount(0, 1100))
        scene.end()
    }

    /// Half of the header was spliced out, and bytes of the client lie behind it in the scratch.
    @Test func theHeaderWasSentInPart() throws {
        let scene = try Scene()
        scene.sendProxy = .v1
        let header = header(scene)
        let pipe = try scene.namePipe(0)
        #expect(
            header.withUnsafeBytes { Transfer.write(pipe.write, from: $0.baseAddress!, count: $0.count) }
                == .moved(header.count))
        scene.record.pointee.header = UInt8(header.count)
        scene.record.pointee.header_left = UInt8(header.count)
        #expect(Transfer.splice(from: pipe.read, to: scene.toServer, limit: 9) == .moved(9))
        try scene.revive()
        #expect(scene.client.send(text(100)))
        #expect(scene.server.receive(header.count + 100) == header + text(100))
        scene.expectCarries()
        #expect(scene.comesToCount(0, 1100))
        scene.end()
    }

    @Test func bytesInTheScratchAfterTheHeader() throws {
        let scene = try Scene()
        scene.sendProxy = .v1
        let header = header(scene)
        #expect(
            header.withUnsafeBytes { Transfer.send(scene.toServer, from: $0.baseAddress!, count: $0.count) }
                == .moved(header.count))
        scene.record.pointee.header = UInt8(header.count)
        scene.readIntoScratch(0, text(100))
        scene.sendFromScratch(0, 0..<40, isCounted: false)
        try scene.revive()
        #expect(scene.server.receive(header.count + 100) == header + text(100))
        scene.expectCarries()
        #expect(scene.comesToCount(0, 1100))
        scene.end()
    }

    /// A part of the header, sent without a pipe: that backend is given up and the next connect gets a whole one.
    @Test func partOfAHeaderIsNotLeftStanding() throws {
        let scene = try Scene()
        scene.sendProxy = .v1
        scene.makeConnecting()
        scene.takeInHand()
        let header = header(scene)
        #expect(header.withUnsafeBytes { Transfer.send(scene.toServer, from: $0.baseAddress!, count: 5) } == .moved(5))
        try scene.revive()
        #expect(scene.server.receiveToEnd().end == .reset)
        try scene.acceptServer()
        #expect(scene.server.receive(header.count) == header)
        scene.expectCarries()
        scene.end()
    }
}
