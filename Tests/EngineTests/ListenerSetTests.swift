import Addressing
import CLayout
import Configuration
import Forwarding
import Glibc
import Linux
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

        let backend = BackendConfiguration(name: "b", address: try Endpoint(parsing: "127.0.0.1:9"))
        let configuration = DaemonConfiguration(
            services: [ServiceConfiguration(name: "chat", listeners: [address], backends: [backend])])
        var tables = SlotTables()
        tables.services = [SlotTables.Service(name: "chat")]
        tables.backends = [SlotTables.Backend(service: "chat", name: "b", address: "127.0.0.1:9")]
        tables.listeners = [
            SlotTables.Listener(service: "chat", address: "127.0.0.1:0", use: .retired),
            SlotTables.Listener(service: "chat", address: "127.0.0.1:0"),
        ]
        let topology = try Topology(configuration, tables) { _, configured in configured }
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
}
