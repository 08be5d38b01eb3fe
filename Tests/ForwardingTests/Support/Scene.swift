import Addressing
import CLayout
import Glibc
import Linux
import Stickiness
import Testing

@testable import Forwarding

/// A shared region as an engine has left it at its death: one service, one backend, one connection in slot 0 with real
/// sockets. A test arranges what was half done, then lets the next engine take over and looks at what client and backend
/// get.
final class Scene {
    let region: SharedRegion
    let listener: Int32
    let backendListener: Int32
    let backendAddress: SocketAddress
    private let isUnix: Bool
    let incidents = IncidentBoard(notify: {})
    /// The far ends.
    let client: Peer
    private(set) var server: Peer
    /// The near ends.
    let toClient: Int32
    let toServer: Int32
    var sendProxy: ProxyHeader.Version?
    var acceptProxy: AcceptedProxies?
    var idleTimeout: UInt64 = 0
    var options = SocketOptions()
    var maximumPipes = 8
    private var pool: WorkerPool?
    private var isServing = Locked(false)

    var record: UnsafeMutablePointer<limpet_record> { region.records(0) }
    var own: UnsafeMutablePointer<limpet_worker> { region.worker(0) }
    var state: Int { Int(record.pointee.state) }

    /// An open connection that nobody has in hand.
    /// - Parameter isUnix: whether the backend is a Unix socket.
    init(isUnix: Bool = false) throws {
        self.isUnix = isUnix
        region = try SharedRegion(workers: 1, records: 16, limit: 16)
        let any = try Endpoint(parsing: "127.0.0.1:0")
        listener = try StreamSocket.listen(on: any, shared: true)
        if isUnix {
            let unix = try UnixSocket.open(isBlocking: false).get()
            backendListener = unix
            // A name that the kernel chooses.
            var family = sa_family_t(AF_UNIX)
            let bound = withUnsafePointer(to: &family) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(unix, $0, 2) }
            }
            guard bound == 0 else { throw Errno.last }
            if let failure = UnixSocket.listen(unix) { throw failure }
        } else {
            backendListener = try StreamSocket.listen(on: any, shared: false)
        }
        backendAddress = try #require(StreamSocket.localAddress(backendListener))
        let clientPair = try Pair(listener: listener)
        let serverPair = try Pair(listener: backendListener)
        client = Peer(clientPair.connected)
        toClient = clientPair.accepted
        server = Peer(serverPair.accepted)
        toServer = serverPair.connected

        region.backend(0).pointee.used = UInt8(LIMPET_SLOT_LIVE)
        region.nameListener(
            0, service: 0, address: try #require(StreamSocket.localEndpoint(listener)), descriptors: [listener])
        own.pointee.poller = try Poller.create()
        let record = region.records(0)
        limpet_record_clear(record, 1)
        record.pointee.id = 1
        region.header.pointee.next_id = 2
        record.pointee.descriptor = (toClient, toServer)
        record.pointee.attempt = 1
        record.pointee.opened = Clock.now()
        record.pointee.active = Clock.now()
        record.pointee.client.set(StreamSocket.localEndpoint(client.descriptor))
        record.pointee.peer.set(StreamSocket.localEndpoint(client.descriptor))
        record.pointee.client_local.set(StreamSocket.localEndpoint(toClient))
        record.pointee.backend_address.set(backendAddress.endpoint)
        if isUnix {
            record.pointee.backend_address.setPath()
            for direction in 0...1 { way(direction).pointee.flags = UInt16(LIMPET_DIRECTION_PIPED.rawValue) }
        }
        record.pointee.backend_local.set(StreamSocket.localEndpoint(toServer))
        record.pointee.state = UInt8(LIMPET_OPEN)
        for side in 0...1 { watch(side) }
    }

    /// Puts a side into the epoll set, as every open connection is.
    private func watch(_ side: Int) {
        let poller = Poller(adopting: own.pointee.poller, capacity: 1)
        let token = Token.record(0, side: side, generation: record.pointee.generation)
        #expect(poller.add(side == 0 ? toClient : toServer, token: token, interest: .read) == nil)
        limpet_events(record, Int32(side)).pointee = Poller.Interest.read.rawValue
    }

    /// As a connection that carries messages is.
    func watchByEdges(_ side: Int) {
        let poller = Poller(adopting: own.pointee.poller, capacity: 1)
        let token = Token.record(0, side: side, generation: record.pointee.generation)
        #expect(poller.modify(side == 0 ? toClient : toServer, token: token, interest: [.read, .edge]) == nil)
        limpet_events(record, Int32(side)).pointee = Poller.Interest([.read, .edge]).rawValue
    }

    /// Waits until epoll tells of something, which the engine that it tells dies of.
    func takeEvent() -> Bool {
        let poller = Poller(adopting: own.pointee.poller, capacity: 1)
        return poller.wait(milliseconds: 10_000) == 1
    }

    func unwatch(_ side: Int) {
        Poller(adopting: own.pointee.poller, capacity: 1).remove(side == 0 ? toClient : toServer)
    }

    /// The far end that a direction reads from, and the one that it writes to.
    func source(_ direction: Int) -> Peer { direction == 0 ? client : server }
    func sink(_ direction: Int) -> Peer { direction == 0 ? server : client }
    func nearSource(_ direction: Int) -> Int32 { direction == 0 ? toClient : toServer }
    func nearSink(_ direction: Int) -> Int32 { direction == 0 ? toServer : toClient }
    func way(_ direction: Int) -> UnsafeMutablePointer<limpet_direction> {
        limpet_direction_of(record, Int32(direction))
    }
    func delivered(_ direction: Int) -> UInt64 { limpet_delivered(record, Int32(direction)).pointee }

    /// Waits until so many bytes count as delivered: a worker counts them after it has sent them.
    func comesToCount(_ direction: Int, _ count: Int) -> Bool {
        eventually { delivered(direction) == UInt64(count) }
            && limpet_backend_bytes(region.counters(0, backend: 0), Int32(direction)).pointee <= UInt64(count)
    }

    // MARK: What the dead engine did

    func takeInHand() {
        own.pointee.hand_slot = 0
        own.pointee.hand_generation = record.pointee.generation
    }

    /// The connect had not succeeded yet.
    func makeConnecting() {
        record.pointee.state = UInt8(LIMPET_CONNECTING)
        record.pointee.backend_local.set(nil)
        let poller = Poller(adopting: own.pointee.poller, capacity: 1)
        for (side, interest) in [(0, Poller.Interest()), (1, Worker.dialInterest)] {
            let token = Token.record(0, side: side, generation: record.pointee.generation)
            #expect(poller.modify(side == 0 ? toClient : toServer, token: token, interest: interest) == nil)
            limpet_events(record, Int32(side)).pointee = interest.rawValue
        }
    }

    /// Claims the scratch and reads what the source has sent into it.
    /// - Parameter isNoted: whether the length was written down.
    func readIntoScratch(_ direction: Int, _ bytes: [UInt8], isNoted: Bool = true) {
        takeInHand()
        own.pointee.scratch_slot = 0
        own.pointee.scratch_generation = record.pointee.generation
        own.pointee.scratch_direction = UInt32(direction)
        own.pointee.scratch_base = delivered(direction)
        own.pointee.scratch_length = isNoted ? UInt32(bytes.count) : 0
        #expect(source(direction).send(bytes))
        #expect(arrived(direction, bytes.count))
        #expect(
            Transfer.receive(nearSource(direction), into: region.scratch(0), limit: 65536) == .moved(bytes.count))
    }

    /// Waits until so many bytes can be read from the near end.
    func arrived(_ direction: Int, _ count: Int) -> Bool {
        eventually { StreamSocket.unread(nearSource(direction)) == count }
    }

    /// Sends from the scratch.
    func sendFromScratch(_ direction: Int, _ range: Range<Int>, isCounted: Bool) {
        #expect(
            Transfer.send(nearSink(direction), from: region.scratch(0) + range.lowerBound, count: range.count)
                == .moved(range.count))
        if isCounted { limpet_delivered(record, Int32(direction)).pointee += UInt64(range.count) }
    }

    /// Fills the near end of the sink until it takes no more; what it took counts as delivered.
    func fillSink(_ direction: Int, _ pattern: (Int) -> UInt8) -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let chunk = (0..<16384).map { pattern(all.count + $0) }
            #expect(source(direction).send(chunk))
            #expect(arrived(direction, chunk.count))
            readIntoScratchAgain(direction, chunk.count)
            guard
                case .moved(let count) = Transfer.send(nearSink(direction), from: region.scratch(0), count: chunk.count)
            else {
                return all + chunk
            }
            all += chunk
            limpet_delivered(record, Int32(direction)).pointee += UInt64(count)
            if count < chunk.count { return all }
        }
    }

    private func readIntoScratchAgain(_ direction: Int, _ count: Int) {
        takeInHand()
        own.pointee.scratch_slot = 0
        own.pointee.scratch_generation = record.pointee.generation
        own.pointee.scratch_direction = UInt32(direction)
        own.pointee.scratch_base = delivered(direction)
        own.pointee.scratch_length = UInt32(count)
        #expect(Transfer.receive(nearSource(direction), into: region.scratch(0), limit: 65536) == .moved(count))
    }

    /// Names a pipe for a direction.
    func namePipe(_ direction: Int) throws -> Pipe {
        takeInHand()
        let pipe = try Pipe.open(capacity: 65536)
        way(direction).pointee.pipe_size = 16
        limpet_name_pipe(way(direction), pipe.read, pipe.write)
        return pipe
    }

    // MARK: The next engine

    var table: ForwardingTable {
        let key = HashKey.published
        return ForwardingTable(services: [
            ForwardingTable.Service(
                keyer: SourceKeyer(key: key, mask: SourceMask(), input: .source),
                rendezvous: Rendezvous(key: key, members: [Rendezvous.Member(name: "b1")]),
                members: [ForwardingTable.Member(slot: 0, address: backendAddress)],
                options: options, connectTimeout: 5_000_000_000, idleTimeout: idleTimeout,
                halfCloseTimeout: 0, connectAttempts: 3, sendProxy: sendProxy,
                acceptProxy: acceptProxy)
        ])
    }

    /// Starts the next engine; returns once it serves.
    func revive(accepted: [AcceptedSocket] = []) throws {
        let isServing = self.isServing
        pool = try WorkerPool(
            region: region, table: table, accepted: accepted, tally: Tally(backendSlots: region.backendSlots),
            maximumPipes: maximumPipes, incidents: incidents,
            whenServing: { isServing.with { $0 = true } })
        #expect(eventually { isServing.with { $0 } })
        #expect(eventually { own.pointee.hand_slot == .max && own.pointee.scratch_slot == .max })
    }

    /// The backend's end of a connect that the next engine has made.
    func acceptServer() throws {
        var peer = SocketAddress()
        server.close()
        server = Peer(try Pair.accept(backendListener, &peer))
    }

    /// Proves that the connection goes on: bytes pass both ways, and nothing else does.
    /// - Parameter count: connections that there are, this one included.
    func expectCarries(openOnAll count: UInt64 = 1, _ location: SourceLocation = #_sourceLocation) {
        for direction in 0...1 {
            let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ direction) }
            #expect(source(direction).send(bytes), sourceLocation: location)
            #expect(sink(direction).receive(bytes.count) == bytes, sourceLocation: location)
        }
        #expect(state == LIMPET_OPEN, sourceLocation: location)
        #expect(region.open == Int(count), sourceLocation: location)
        #expect(own.pointee.open == count, sourceLocation: location)
        #expect(region.counters(0, backend: 0).pointee.open == count, sourceLocation: location)
        #expect(region.counters(0, backend: 0).pointee.connecting == 0, sourceLocation: location)
        #expect(region.backend(0).pointee.load == count, sourceLocation: location)
    }

    /// Proves that the slot is free and everything has been given back.
    func expectGone(_ location: SourceLocation = #_sourceLocation) {
        #expect(eventually { state == LIMPET_FREE }, sourceLocation: location)
        #expect(eventually { region.open == 0 }, sourceLocation: location)
        #expect(region.counters(0, backend: 0).pointee.open == 0, sourceLocation: location)
        #expect(region.counters(0, backend: 0).pointee.connecting == 0, sourceLocation: location)
        #expect(region.backend(0).pointee.load == 0, sourceLocation: location)
        #expect(region.counters(0, listener: 0).pointee.open == 0, sourceLocation: location)
    }

    func incidentKinds() -> Set<Incident.Kind> { Set(incidents.takeAll().keys.map(\.kind)) }

    var workers: WorkerPool { pool! }

    /// Hands the running engine out, so that another can follow while it is still there.
    func leavePool() -> WorkerPool {
        defer {
            pool = nil
            isServing = Locked(false)
        }
        return pool!
    }

    /// Ends the engine, for good or for another to follow.
    func stop() {
        pool?.postToAll(.stop)
        pool?.join()
        pool = nil
        isServing = Locked(false)
    }

    /// Stops everything and closes all that is named.
    func end() {
        stop()
        // By its name: a worker may have closed it, and the number be another test's by now.
        let listener = region.listener(0).pointee.descriptor.0
        var descriptors = [listener, backendListener, own.pointee.poller, own.pointee.wake_up]
        for slot in 0..<region.recordsPerWorker {
            let record = region.records(0)[slot]
            if record.state == UInt8(LIMPET_FREE) { continue }
            descriptors += [
                record.descriptor.0, record.descriptor.1, record.direction.0.pipe_read, record.direction.0.pipe_write,
                record.direction.1.pipe_read, record.direction.1.pipe_write,
            ]
        }
        for descriptor in descriptors where descriptor >= 0 { Descriptor.close(descriptor) }
        client.close()
        server.close()
        Descriptor.close(region.memory.descriptor)
        munmap(region.memory.base, region.memory.size)
    }
}
