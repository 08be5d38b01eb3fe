import Addressing
import CLayout
import Configuration
import Forwarding
import Glibc
import Linux
import Logging
import Testing

@testable import Engine

/// What is left of a reload that a death has cut short.
@Suite struct ListenerSetTests {
    private static func connect(to bound: Endpoint) throws -> Int32 {
        let client = try StreamSocket.open(family: AF_INET).get()
        _ = StreamSocket.connect(client, to: SocketAddress(bound))
        var entry = pollfd(fd: client, events: Int16(POLLOUT), revents: 0)
        #expect(poll(&entry, 1, 10_000) == 1)
        return client
    }

    /// Closing a listening socket resets who waits there.
    @Test func whoWaitsAtARemovedListenerIsTakenIn() throws {
        let region = try SharedRegion(workers: 2, records: 10, limit: 10)
        let address = try Endpoint(parsing: "127.0.0.1:0")
        let removed = try StreamSocket.listen(on: address, shared: true, options: SocketOptions())
        let bound = try #require(StreamSocket.localEndpoint(removed))
        region.nameListener(0, service: 0, address: bound, descriptors: [-1, removed])
        let stays = try StreamSocket.listen(on: address, shared: true, options: SocketOptions())
        region.nameListener(
            1, service: 0, address: try #require(StreamSocket.localEndpoint(stays)), descriptors: [stays, -1])
        let clients = try (0..<3).map { _ in try Self.connect(to: bound) }

        let configuration = try Self.chat("127.0.0.1:0")
        var tables = SlotTables()
        tables.services = [SlotTables.Service(name: "chat")]
        tables.backends = [SlotTables.Backend(service: "chat", name: "b", address: "127.0.0.1:9")]
        tables.listeners = [
            SlotTables.Listener(service: "chat", address: "127.0.0.1:0", use: .retired),
            SlotTables.Listener(service: "chat", address: "127.0.0.1:0"),
        ]
        let topology = try Topology(configuration, tables) { _, configured in Double(configured) }
        topology.settle(in: region, removedDeadline: nil)
        let accepted = topology.closeRetiredListeners(in: region)
        #expect(accepted.map(\.listener) == [0, 0, 0])
        #expect(limpet_listener_descriptor(region.listener(0), 1).pointee == -1)
        #expect(limpet_listener_descriptor(region.listener(1), 0).pointee == stays)
        #expect(topology.closeRetiredListeners(in: region).isEmpty)
        for (client, socket) in zip(clients, accepted) {
            #expect(StreamSocket.localEndpoint(client) != nil && send(socket.descriptor, "x", 1, 0) == 1)
            var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            #expect(poll(&entry, 1, 10_000) == 1 && entry.revents == Int16(POLLIN))
        }
        for descriptor in clients + accepted.map(\.descriptor) + [stays, region.memory.descriptor] { close(descriptor) }
        munmap(region.memory.base, region.memory.size)
    }

    /// Whoever connects as soon as an address answers stays connected: it is tried without listening there.
    @Test func nobodyIsResetWhileAnAddressIsTried() throws {
        let any = try Endpoint(parsing: "127.0.0.1:0")
        for _ in 0..<200 {
            let region = try SharedRegion(workers: 2, records: 10, limit: 10)
            let free = try StreamSocket.reserve(any, shared: false)
            let address = try #require(StreamSocket.localEndpoint(free))
            let connected = Locked<Int32?>(nil)
            let client = try Threads.start("client") {
                let target = SocketAddress(address)
                while true {
                    guard case .success(let socket) = StreamSocket.open(family: AF_INET) else { return }
                    _ = StreamSocket.connect(socket, to: target)
                    var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
                    if poll(&entry, 1, 10_000) == 1, StreamSocket.takeError(socket) != .connectionRefused {
                        return connected.with { $0 = socket }
                    }
                    close(socket)
                }
            }
            close(free)
            let listener = ListenerConfiguration(address)
            var inherited = InheritedSockets()
            try ListenerSet.bind(
                [SlotAssignment.OpenedListener(slot: 0, configuration: listener, service: 0, serviceSlot: 0)],
                of: [ServiceConfiguration(name: "chat", listeners: [listener], backends: [])], in: region,
                inherited: &inherited)
            pthread_join(client, nil)
            let socket = try #require(connected.with { $0 })
            var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            #expect(poll(&entry, 1, 0) == 0, "it was reset")
            close(socket)
            ListenerSet.close(0, in: region)
            close(region.memory.descriptor)
            munmap(region.memory.base, region.memory.size)
        }
    }

    /// A reload that changes how a listener is bound was cut short: its new sockets are there and do not listen yet. Whoever
    /// connects all the while is never refused.
    @Test func somebodyListensAtEveryMoment() throws {
        let configuration = try Self.chat("127.0.0.1:0")
        let entry = SlotTables.Listener(service: "chat", address: "127.0.0.1:0")
        var tables = SlotTables()
        tables.services = [SlotTables.Service(name: "chat")]
        tables.backends = [SlotTables.Backend(service: "chat", name: "b", address: "127.0.0.1:9")]
        tables.listeners = [entry, entry]
        tables.listeners[0].use = .retired
        let topology = try Topology(configuration, tables) { _, configured in Double(configured) }
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        for _ in 0..<300 {
            let region = try SharedRegion(workers: 1, records: 10, limit: 10)
            let old = try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: true)
            let address = try #require(StreamSocket.localEndpoint(old))
            // The last is of a reload that was cut short earlier: nobody is to come there.
            let others = try (0..<2).map { _ in try StreamSocket.listen(on: address, shared: true, listens: false) }
            for (slot, descriptor) in ([old] + others).enumerated() {
                region.nameListener(slot, service: 0, address: address, descriptors: [descriptor])
            }
            let progress = Locked<(isOver: Bool, tries: Int, refusals: Int)>((false, 0, 0))
            let client = try Threads.start("clients") {
                while !progress.with({ $0.isOver }) {
                    guard case .success(let socket) = StreamSocket.open(family: AF_INET) else { return }
                    let error = StreamSocket.connect(socket, to: SocketAddress(address))
                    var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
                    let isRefused =
                        error == .connectionRefused
                        || poll(&entry, 1, 10_000) == 1 && StreamSocket.takeError(socket) == .connectionRefused
                    progress.with {
                        $0.tries += 1
                        $0.refusals += isRefused ? 1 : 0
                    }
                    StreamSocket.resetOnClose(socket)
                    close(socket)
                }
            }
            while progress.with({ $0.tries }) < 3 { sched_yield() }
            topology.settle(in: region, removedDeadline: nil)
            let accepted = topology.exchangeListeners(in: region, log)
            let tries = progress.with { $0.tries }
            while progress.with({ $0.tries }) < tries + 2 { sched_yield() }
            progress.with { $0.isOver = true }
            pthread_join(client, nil)
            #expect(progress.with { $0.refusals } == 0)
            #expect(StreamSocket.isListening(others[0]))
            #expect(region.listener(2).pointee.used == UInt8(LIMPET_SLOT_FREE))
            for descriptor in accepted.map(\.descriptor) + [others[0], region.memory.descriptor] { close(descriptor) }
            munmap(region.memory.base, region.memory.size)
        }
    }

    /// An operator may pause a listener after its new sockets were bound and before they count.
    @Test func aPauseDuringAReloadIsKept() throws {
        let region = try SharedRegion(workers: 1, records: 10, limit: 10)
        defer {
            close(region.memory.descriptor)
            munmap(region.memory.base, region.memory.size)
        }
        let former = try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: true)
        let address = try #require(StreamSocket.localEndpoint(former))
        region.nameListener(0, service: 0, address: address, descriptors: [former])
        let listener = ListenerConfiguration(address)
        var assignment = SlotAssignment(tables: SlotTables())
        assignment.opened = [
            SlotAssignment.OpenedListener(slot: 1, configuration: listener, service: 0, serviceSlot: 0, former: 0)
        ]
        var none = InheritedSockets()
        let services = try Self.chat("127.0.0.1:0").services
        let bound = try ListenerSet.bind(
            assignment.opened, of: services, in: region, besides: [listener], inherited: &none)
        region.setAdmission(.paused, of: 0)
        assignment.keepAdmission(in: region)
        #expect(region.admission(of: 1) == .paused)
        ListenerSet.unbind(bound, in: region)
        ListenerSet.close(0, in: region)
    }

    private static func chat(_ address: String) throws -> DaemonConfiguration {
        let backend = BackendConfiguration(name: "b", address: try Endpoint(parsing: "127.0.0.1:9"))
        let listener = ListenerConfiguration(try Endpoint(parsing: address))
        return DaemonConfiguration(
            services: [ServiceConfiguration(name: "chat", listeners: [listener], backends: [backend])])
    }

    @Test func aReservedAddressIsNobodyElses() throws {
        let any = try Endpoint(parsing: "127.0.0.1:0")
        let reserved = try StreamSocket.reserve(any, shared: false)
        let address = try #require(StreamSocket.localEndpoint(reserved))
        let listener = try StreamSocket.listen(on: address, shared: true)
        #expect(throws: SystemError.self) { Descriptor.close(try StreamSocket.reserve(address, shared: false)) }
        close(reserved)
        // One of the same user that shares it, without us, is no reason to be let in.
        #expect(throws: SystemError.self) { Descriptor.close(try StreamSocket.reserve(address, shared: false)) }
        close(listener)
    }
}
