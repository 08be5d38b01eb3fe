import Addressing
import CLayout
import Forwarding
import Glibc
import Linux
import Testing

@testable import Continuity

/// The sweep looks at a range of numbers that nothing else in this process comes near: everything of the test's own is
/// moved up there.
@Suite(.serialized) struct OrphanSweepTests {
    private static let range: Range<Int32> = 12000..<12100

    private let region: SharedRegion
    private let listener: Int32
    private let wildcard: Int32

    init() throws {
        region = try SharedRegion(workers: 2, records: 10, limit: 10)
        let options = SocketOptions()
        listener = Self.raise(
            try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: true, options: options))
        wildcard = Self.raise(
            try StreamSocket.listen(on: try Endpoint(parsing: "0.0.0.0:0"), shared: true, options: options))
        for (slot, descriptor) in [listener, wildcard].enumerated() {
            let address = try #require(StreamSocket.localEndpoint(descriptor))
            region.nameListener(slot, service: 0, address: address, descriptors: [descriptor, -1])
        }
    }

    private func done() {
        for descriptor in Self.range { close(descriptor) }
        close(region.memory.descriptor)
        munmap(region.memory.base, region.memory.size)
    }

    /// Moves a descriptor into the range.
    private static func raise(_ descriptor: Int32) -> Int32 {
        let raised = fcntl(descriptor, F_DUPFD, range.lowerBound)
        close(descriptor)
        return raised
    }

    private func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

    private func sweep(keeping: [Int32] = []) -> [AcceptedSocket] {
        OrphanSweep.run(region, keeping: keeping, in: Self.range)
    }

    /// A client of a listener: its own end, and the one that was accepted.
    private func connect(_ listener: Int32) throws -> (client: Int32, accepted: Int32) {
        let bound = try #require(StreamSocket.localEndpoint(listener))
        let target = Endpoint(address: IPAddress(v4: 0x7f00_0001), port: bound.port)
        let client = try StreamSocket.open(family: AF_INET).get()
        _ = StreamSocket.connect(client, to: SocketAddress(target))
        var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 10_000) == 1)
        var peer = SocketAddress()
        return (client, Self.raise(try StreamSocket.accept(listener, peer: &peer).get()))
    }

    /// poll(2) does not see it; an upgrade that a death cuts short leaves one.
    @Test func aDescriptorOfAPathGoesToo() throws {
        let path = Self.raise(open("/proc/self/exe", O_RDONLY | 0o10000000))
        #expect(isOpen(path) && fcntl(path, F_GETFL) & 0o10000000 != 0)
        #expect(sweep().isEmpty)
        #expect(!isOpen(path))
        done()
    }

    @Test func whatIsNamedStaysAndWhatIsNotGoes() throws {
        func some() throws -> Int32 { Self.raise(try Poller.create()) }
        let poller = try some()
        let wakeUp = try some()
        let control = try some()
        let kept = try some()
        let orphan = try some()
        region.worker(0).pointee.poller = poller
        region.worker(1).pointee.wake_up = wakeUp
        region.continuity.pointee.control = control
        // A connection of the second worker with a pipe each way; and a slot that is free and names what it had.
        let record = region.records(1)
        limpet_record_clear(record, 1)
        record.pointee.state = UInt8(LIMPET_OPEN)
        record.pointee.descriptor = (try some(), try some())
        record.pointee.direction.0.pipe_read = try some()
        record.pointee.direction.0.pipe_write = try some()
        record.pointee.direction.1.pipe_read = try some()
        record.pointee.direction.1.pipe_write = try some()
        limpet_record_clear(record + 1, 1)
        let former = try some()
        record[1].descriptor.0 = former
        #expect(sweep(keeping: [kept]).isEmpty)
        for descriptor in [
            listener, wildcard, poller, wakeUp, control, kept, record.pointee.descriptor.0,
            record.pointee.descriptor.1, record.pointee.direction.0.pipe_read, record.pointee.direction.0.pipe_write,
            record.pointee.direction.1.pipe_read, record.pointee.direction.1.pipe_write,
        ] { #expect(isOpen(descriptor)) }
        #expect(!isOpen(orphan))
        #expect(!isOpen(former))
        done()
    }

    @Test func aClientThatNobodyHadRecordedIsTakenInByItsListener() throws {
        let first = try connect(listener)
        let second = try connect(wildcard)
        // It may have spoken already, and even have said that it is done.
        #expect(send(first.client, "hello", 5, 0) == 5)
        StreamSocket.shutdownWrite(first.client)
        while try TCPCounters(first.accepted).state != .closeWait { usleep(100) }
        let found = sweep()
        #expect(
            Set(found.map { [$0.descriptor, Int32($0.listener)] }) == [[first.accepted, 0], [second.accepted, 1]])
        // Another death before they were taken in changes nothing.
        #expect(sweep() == found)
        close(first.client)
        close(second.client)
        done()
    }

    /// A reload has removed the listener, and a death came before its clients were recorded.
    @Test func aListenerThatWasRemovedHasClientsToo() throws {
        let pair = try connect(listener)
        region.listener(0).pointee.used = UInt8(LIMPET_SLOT_RETIRED)
        #expect(sweep() == [AcceptedSocket(descriptor: pair.accepted, listener: 0)])
        // In use again, under another slot.
        region.nameListener(
            1, service: 0, address: try #require(StreamSocket.localEndpoint(listener)), descriptors: [listener, -1])
        #expect(sweep() == [AcceptedSocket(descriptor: pair.accepted, listener: 1)])
        close(pair.client)
        done()
    }

    /// A reload has removed the listener, and another has given its address to the metrics: who asks for those is no client.
    @Test(arguments: ["127.0.0.1:0", "0.0.0.0:0"]) func whoAsksForTheMetricsIsNoClient(address: String) throws {
        let web = Self.raise(
            try StreamSocket.listen(on: try Endpoint(parsing: address), shared: false, options: SocketOptions()))
        let port = try #require(StreamSocket.localEndpoint(web)).port
        region.continuity.pointee.metrics = web
        region.listener(0).pointee.address.set(Endpoint(address: IPAddress(v4: 0x7f00_0001), port: port))
        region.listener(0).pointee.used = UInt8(LIMPET_SLOT_RETIRED)
        let asking = try connect(web)
        let client = try connect(wildcard)
        #expect(sweep() == [AcceptedSocket(descriptor: client.accepted, listener: 1)])
        #expect(!isOpen(asking.accepted))
        #expect(isOpen(web))
        close(asking.client)
        close(client.client)
        done()
    }

    /// A version that did not know of the metrics' socket has closed it, and its number is a listener's now.
    @Test func aNumberThatIsAListenersNowIsNotTheMetrics() throws {
        region.continuity.pointee.metrics = listener
        let pair = try connect(listener)
        #expect(sweep() == [AcceptedSocket(descriptor: pair.accepted, listener: 0)])
        close(pair.client)
        done()
    }

    enum Doom: CaseIterable, Sendable {
        case lingers, wasWritten, wasRead, wasShut, wasReset, otherListener
    }

    @Test(arguments: Doom.allCases) func aSocketThatWasBeingClosedIsClosed(doom: Doom) throws {
        let pair = try connect(listener)
        let accepted = pair.accepted
        switch doom {
        case .lingers: StreamSocket.resetOnClose(accepted)
        case .wasWritten: #expect(send(accepted, "x", 1, 0) == 1)
        case .wasRead:
            #expect(send(pair.client, "xy", 2, 0) == 2)
            while try TCPCounters(accepted).unread != 2 { usleep(100) }
            #expect(Transfer.discard(accepted, limit: 1) == .moved(1))
        case .wasShut: StreamSocket.shutdownWrite(accepted)
        case .wasReset:
            StreamSocket.resetOnClose(pair.client)
            close(pair.client)
            while try TCPCounters(accepted).state != .close { usleep(100) }
        case .otherListener:
            region.listener(0).pointee.address.set(try Endpoint(parsing: "127.0.0.9:9"))
        }
        #expect(sweep().isEmpty)
        #expect(!isOpen(accepted))
        #expect(isOpen(listener))
        if doom != .wasReset { close(pair.client) }
        done()
    }

    /// The near end of a connection to a backend is no client, though it is unread and unwritten.
    @Test func aSocketToABackendIsClosed() throws {
        let backend = try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: false)
        let pair = try connect(backend)
        let raised = Self.raise(pair.client)
        #expect(sweep().isEmpty)
        #expect(!isOpen(raised))
        close(backend)
        done()
    }

    @Test func everythingTheForwardingOpensIsInherited() throws {
        let region = try SharedRegion(workers: 1, records: 2, limit: 2)
        let pipe = try Pipe.open(capacity: 4096)
        let pair = try connect(listener)
        let descriptors = [
            try Poller.create(), try WakeUp().descriptor, pipe.read, pipe.write, pair.client, pair.accepted,
            region.memory.descriptor, listener,
        ]
        for descriptor in descriptors { #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0) }
        for descriptor in descriptors { close(descriptor) }
        done()
    }

    /// A client of IPv4 that has come by [::], where that takes both families; and one of a listener with a device.
    @Test func whoHasComeByAListenerOfBothFamiliesIsTakenIn() throws {
        var both = BindingOptions()
        both.isV6Only = false
        both.device = geteuid() == 0 ? "lo" : nil
        let dual = Self.raise(
            try StreamSocket.listen(on: try Endpoint(parsing: "[::]:0"), shared: true, binding: both))
        let address = try #require(StreamSocket.localEndpoint(dual))
        region.setBinding(both, ofListener: 2)
        region.nameListener(2, service: 0, address: address, descriptors: [dual, -1])
        let one = try connect(dual)
        #expect(sweep() == [AcceptedSocket(descriptor: one.accepted, listener: 2)])
        // Where it is another device's, or of IPv6 alone, it is nobody's.
        for (device, isV6Only) in [("other", false), (both.device, true)] {
            var foreign = both
            foreign.device = device
            foreign.isV6Only = isV6Only
            region.setBinding(foreign, ofListener: 2)
            let stranger = try connect(dual)
            #expect(sweep(keeping: [one.accepted]).isEmpty && !isOpen(stranger.accepted))
            close(stranger.client)
        }
        close(one.client)
        done()
    }
}
