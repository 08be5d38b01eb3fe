import Foundation
import Synchronization
import Testing

/// Where clients arrive, while that changes.
@Suite(.ownThread, .fence)
struct ReloadListenerTests {
    private func greeters(_ count: Int) throws -> [BackendServer] {
        try (1...count).map { try BackendServer(.greet("b\($0)")) }
    }

    @Test func listenersComeAndGo() throws {
        let daemon = try Reloadable(try greeters(2))
        daemon.services[0].listen.append("127.0.0.2:0")
        let added = try daemon.reload()
        #expect(added.changes.map(\.description) == ["added listener chat 127.0.0.2:0"])
        let rows = try daemon.ctl.listeners()
        #expect(rows.map(\.address)[0] == "\(daemon.daemon.address)" && rows.count == 2)
        let second = try #require(SocketAddress(rows[1].address))
        let client = try TCPSocket.connect(to: second, from: clientHost(1))
        _ = try client.receiveLine()
        daemon.services[0].listen.removeLast()
        let removed = try daemon.reload()
        #expect(removed.changes.map(\.description) == ["removed listener chat 127.0.0.2:0"])
        #expect(removed.removedConnections == 1)
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: second) }
        #expect(try daemon.ctl.listeners().count == 1)
        try expectEcho(client)
        #expect(try daemon.ctl.connections().map(\.listener) == [second.description])
        // Where it was, should the port be asked for.
        daemon.services[0].listen.append("\(second)")
        try daemon.reload()
        #expect(try TCPSocket.connect(to: second).receiveLine().hasPrefix("b"))
        try expectEcho(client)
        try daemon.daemon.stop()
    }

    /// A hundred connects during each of many reloads: none fails, none waits for a retransmission, nobody is turned away.
    @Test func noConnectIsLostOnAListenerThatStays() throws {
        let servers = try greeters(4)
        let daemon = try Reloadable(Array(servers.prefix(3)))
        let address = daemon.daemon.address
        let stop = Flag()
        let served = Atomic(0)
        let swarm = (0..<4).map { thread in
            Background("clients \(thread)") {
                var failures: [String] = []
                var number = 0
                while !stop.isSet {
                    number += 1
                    do {
                        let client = try TCPSocket.connect(to: address, from: clientHost(thread * 50 + number % 50))
                        let name = try client.receiveLine().prefix(2)
                        if !["b1", "b2", "b3", "b4"].contains(name) { failures.append("greeted by \(name)") }
                        try client.send("ping")
                        if try client.receiveText(4) != "ping" { failures.append("no echo") }
                        served.add(1, ordering: .relaxed)
                    } catch {
                        failures.append("\(error)")
                    }
                }
                return failures
            }
        }
        for round in 0..<20 {
            let goal = served.load(ordering: .relaxed) + 100
            daemon.services[0].backends = Reloadable.backends(round % 2 == 0 ? servers : Array(servers.prefix(3)))
            daemon.services[0].backends[0].settings = ["weight = \(round % 5 + 1)"]
            daemon.services[0].settings = [
                "idle-timeout = \"\(round + 10)s\"", "receive-buffer = \"\(64 + round)KiB\"",
            ]
            daemon.services[0].listen = ["127.0.0.1:0"] + (round % 3 == 0 ? ["127.0.0.2:0"] : [])
            try daemon.reload()
            try eventually("a hundred more are served") { served.load(ordering: .relaxed) >= goal }
        }
        stop.set()
        for clients in swarm { #expect(try clients.value() == []) }
        let rows = try daemon.ctl.listeners()
        #expect(rows[0].refused == 0)
        try daemon.daemon.waitUntilIdle()
        try daemon.daemon.stop()
    }

    /// A listener that goes over to another service is not closed: who waits at it is served.
    @Test func aListenerGoesOverToAnotherService() throws {
        let servers = try greeters(2)
        let holder = try Listener(backlog: nil)
        let address = holder.address
        holder.close()
        let daemon = try Reloadable([
            Reloadable.Service(
                name: "one", listen: ["\(address)", "127.0.0.3:0"], backends: Reloadable.backends([servers[0]]))
        ])
        let client = try TCPSocket.connect(to: address, from: clientHost(1))
        #expect(try client.receiveLine().hasPrefix("b1"))
        daemon.services[0].listen.removeFirst()
        daemon.services.append(
            Reloadable.Service(
                name: "two", listen: ["\(address)"],
                backends: [Reloadable.Service.Backend(name: "other", address: servers[1].address)]))
        let report = try daemon.reload()
        #expect(
            report.changes.map(\.description) == [
                "added service two", "changed listener two \(address) service one two",
                "added backend two other \(servers[1].address)",
            ])
        #expect(report.removedConnections == 0)
        #expect(try TCPSocket.connect(to: address, from: clientHost(1)).receiveLine().hasPrefix("b2"))
        try expectEcho(client)
        #expect(try daemon.ctl.connections("--service", "one").map(\.backend) == ["b1"])
        let row = try #require(try daemon.ctl.listeners().first { $0.address == address.description })
        #expect(row.service == "two" && row.accepted == 2)
        // Renamed: the same, with all that it has.
        daemon.services[1].name = "three"
        try daemon.reload()
        #expect(try TCPSocket.connect(to: address).receiveLine().hasPrefix("b2"))
        try expectEcho(client)
        try daemon.daemon.stop()
    }

    /// From one address to all, at the same port, and back; and from a port that the kernel chose to the same by number.
    @Test func anAddressMayWidenAndNarrow() throws {
        let daemon = try Reloadable(try greeters(1))
        let port = daemon.daemon.address.port
        let client = try daemon.client(from: clientHost(1))
        for listen in ["127.0.0.1:\(port)", "0.0.0.0:\(port)", "127.0.0.1:\(port)"] {
            daemon.services[0].listen = [listen]
            try daemon.reload()
            #expect(try daemon.ctl.listeners().map(\.address) == [listen])
            #expect(try daemon.landing(clientHost(2)) == "b1")
        }
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: SocketAddress("127.0.0.2", port)) }
        try expectEcho(client)
        try daemon.daemon.stop()
    }

    @Test func aServiceComesAndGoes() throws {
        let servers = try greeters(2)
        let daemon = try Reloadable([servers[0]])
        let first = try daemon.client(from: clientHost(1))
        daemon.services.append(
            Reloadable.Service(
                name: "more", listen: ["127.0.0.2:0"],
                settings: ["idle-timeout = \"1h\"", "half-close-timeout = \"300ms\""],
                backends: Reloadable.backends([servers[1]])))
        try daemon.reload()
        let address = try #require(SocketAddress(try daemon.ctl.listeners()[1].address))
        let clients = try (0..<3).map { try TCPSocket.connect(to: address, from: clientHost($0)) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b2 ")) }
        #expect(try daemon.ctl.run("where", "127.0.0.1").status == 2)
        daemon.services.removeLast()
        let report = try daemon.reload()
        #expect(
            report.changes.map(\.description) == [
                "removed service more", "removed listener more 127.0.0.2:0",
                "removed backend more b1 \(servers[1].address)",
            ])
        #expect(report.removedConnections == 3 && report.homes.map(\.service) == ["chat"])
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: address) }
        for client in clients { try expectEcho(client) }
        // There is one service again, so its name need not be said; the other's still names its connections.
        #expect(try daemon.ctl.locate("127.0.0.1").service == "chat")
        #expect(try daemon.ctl.status().services.map(\.name) == ["chat"])
        #expect(try daemon.ctl.connections("--service", "more").count == 3)
        #expect(try daemon.ctl.backends().map { "\($0.service) \($0.state)" } == ["chat up", "more removed"])
        // Its times are still its own.
        try clients[0].finish()
        #expect(try clients[0].receiveToEnd().end == .fin)
        try daemon.ctl.expect("close", "--backend", "more/b1", "--force")
        #expect(try clients[1].receiveToEnd().end == .fin)
        try expectEcho(first)
        try daemon.daemon.stop()
    }

    /// The time that is left to what is removed, for each of the three; what was removed before keeps its own.
    @Test func whatIsRemovedHasUntilItsDeadline() throws {
        let servers = try greeters(3)
        let daemon = try Reloadable(
            [
                Reloadable.Service(
                    listen: ["127.0.0.1:0", "127.0.0.2:0"], backends: Reloadable.backends(Array(servers.prefix(2)))),
                Reloadable.Service(name: "more", listen: ["127.0.0.3:0"], backends: Reloadable.backends([servers[2]])),
            ])
        let stays = try daemon.client(from: clientHost(0))
        let addresses = try daemon.ctl.listeners().map { try #require(SocketAddress($0.address)) }
        let byListener = try TCPSocket.connect(to: addresses[1], from: clientHost(0))
        let byService = try TCPSocket.connect(to: addresses[2], from: clientHost(0))
        for client in [byListener, byService] { _ = try client.receiveLine() }
        daemon.settings = ["removed-deadline = \"0s\""]
        daemon.services[0].listen.removeLast()
        daemon.services.removeLast()
        let report = try daemon.reload()
        #expect(report.removedConnections == 2 && report.removedDeadlineSeconds == 0)
        #expect(try byListener.receiveToEnd().end == .fin)
        #expect(try byService.receiveToEnd().end == .fin)
        try expectEcho(stays)
        try eventually("only one is left") { try daemon.ctl.status().connections == 1 }

        let home = try daemon.ctl.connections()[0].backend
        daemon.settings = ["removed-deadline = \"1h\""]
        daemon.services[0].backends.removeAll { $0.name == home }
        #expect(try daemon.reload().removedDeadlineSeconds == 3600)
        daemon.settings = ["removed-deadline = \"0s\""]
        try daemon.reload()
        #expect(holdsEcho(stays))
        // Back and gone again: now the new value counts.
        daemon.services[0].backends = Reloadable.backends(Array(servers.prefix(2)))
        try daemon.reload()
        try expectEcho(stays)
        daemon.services[0].backends.removeAll { $0.name == home }
        try daemon.reload()
        #expect(try stays.receiveToEnd().end == .fin)
        #expect(!daemon.daemon.logLines(containing: "removed-deadline", "chat/\(home)", "connections=1").isEmpty)
        try daemon.daemon.stop()
    }

    private func holdsEcho(_ client: TCPSocket) -> Bool {
        holds(for: .milliseconds(1500)) { (try? client.send("x")) != nil && (try? client.receiveText(1)) == "x" }
    }
}
