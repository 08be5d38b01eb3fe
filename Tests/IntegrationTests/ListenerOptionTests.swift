import Foundation
import Testing

/// How listeners are bound.
@Suite(.ownThread, .fence)
struct ListenerOptionTests {
    private func daemon(_ listen: String, _ backend: BackendServer) throws -> Reloadable {
        try Reloadable([Reloadable.Service(listen: [listen], backends: Reloadable.backends([backend]))])
    }

    private func port(_ daemon: Reloadable) throws -> UInt16 {
        try #require(SocketAddress(try daemon.ctl.listeners()[0].address)).port
    }

    private func reaches(_ host: String, _ port: UInt16) -> Bool {
        (try? TCPSocket.connect(to: SocketAddress(host, port)).receiveLine().hasPrefix("b1")) ?? false
    }

    /// IPv4 clients of an IPv6 listener are told by their IPv4 addresses, everywhere.
    @Test func bothFamilies() throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try daemon(#"{ address = "[::]:0", v6only = false }"#, backend)
        let port = try port(daemon)
        let clients = try ["127.0.0.1", "::1"].map { try TCPSocket.connect(to: SocketAddress($0, port)) }
        for client in clients { _ = try client.receiveLine() }
        let rows = try daemon.daemon.connections(2)
        #expect(Set(rows.map(\.client)) == Set(clients.map(\.local.description)))
        #expect(Set(rows.map(\.clientLocal)) == ["127.0.0.1:\(port)", "[::1]:\(port)"])
        #expect(Set(rows.map(\.listener)) == ["[::]:\(port)"])
        #expect(try daemon.ctl.listeners().map(\.options) == [["v6only=false"]])
        // After a death it is known as such.
        kill(try daemon.daemon.enginePID, SIGKILL)
        try eventually("the next engine serves") { reaches("127.0.0.1", port) && reaches("::1", port) }
        for client in clients { try expectEcho(client) }
        #expect(try daemon.ctl.listeners().map(\.options) == [["v6only=false"]])
        try daemon.daemon.stop()
    }

    /// It is the same listener with other sockets: nobody who has come by it is let go, none is refused, and what is
    /// counted goes on.
    @Test func aChangeOfTheFamiliesLosesNobody() throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try daemon("[::1]:0", backend)
        daemon.settings = ["removed-deadline = \"0s\""]
        let free = try Listener("::1", backlog: nil)
        let port = free.address.port
        free.close()
        daemon.services[0].listen = ["[::]:\(port)"]
        try daemon.reload()
        #expect(!reaches("127.0.0.1", port))
        let client = try TCPSocket.connect(to: SocketAddress("::1", port))
        _ = try client.receiveLine()
        let stop = Flag()
        let swarm = Background("clients") {
            var failures: [String] = []
            while !stop.isSet {
                do {
                    let client = try TCPSocket.connect(to: SocketAddress("::1", port))
                    if try !client.receiveLine().hasPrefix("b1") { failures.append("no greeting") }
                } catch {
                    failures.append("\(error)")
                }
            }
            return failures
        }
        for isDual in [true, false, true] {
            daemon.services[0].listen = [isDual ? "{ address = \"[::]:\(port)\", v6only = false }" : "[::]:\(port)"]
            let report = try daemon.reload()
            #expect(
                report.changes.map(\.description)
                    == ["changed listener chat [::]:\(port) v6only \(!isDual ? "false true" : "true false")"])
            #expect(report.removedConnections == 0)
            #expect(reaches("127.0.0.1", port) == isDual)
            #expect(reaches("::1", port))
        }
        stop.set()
        let failures = try swarm.value()
        #expect(failures.filter { !$0.contains("ECONNRESET") } == [] && failures.count <= 3, "\(failures)")
        try expectEcho(client)
        let row = try daemon.ctl.listeners()[0]
        #expect(row.options == ["v6only=false"] && row.accepted >= 7)
        // Paused is paused, whatever the sockets.
        try daemon.ctl.expect("pause", "[::]:\(port)")
        daemon.services[0].listen = ["[::]:\(port)"]
        try daemon.reload()
        #expect(try daemon.ctl.listeners().map(\.state) == ["paused"])
        // Now the listener goes, and with it those who had come by its first sockets.
        daemon.services[0].listen = ["[::1]:0"]
        #expect(try daemon.reload().removedConnections == 1)
        #expect(try client.receiveToEnd().end == .fin)
        try daemon.daemon.stop()
    }

    @Test func anAddressThatTheMachineMayGetLater() throws {
        let backend = try BackendServer(.greet("b1"))
        for address in ["192.0.2.1:0", "[2001:db8::1]:0"] {
            let daemon = try daemon("{ address = \"\(address)\", freebind = true }", backend)
            #expect(try daemon.ctl.listeners().map(\.options) == [["freebind"]])
            daemon.services[0].listen = [address.replacingOccurrences(of: ":0", with: ":4711")]
            let outcome = try daemon.tryReload()
            #expect(outcome.status == 1 && outcome.stderr.contains("freebind"), "\(outcome)")
            try daemon.daemon.stop()
        }
    }

    @Test func oneAddressOnEachInterface() throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try daemon(#"{ address = "0.0.0.0:0", device = "lo" }"#, backend)
        let row = try daemon.ctl.listeners()[0]
        let port = try port(daemon)
        #expect(row.name == "0.0.0.0%lo:\(port)" && row.options == ["device=lo"])
        let client = try TCPSocket.connect(to: SocketAddress("127.0.0.1", port))
        _ = try client.receiveLine()
        #expect(try daemon.ctl.connections().map(\.listener) == [row.name])
        try daemon.ctl.expect("pause", row.name)
        try daemon.ctl.expect("resume", row.name)
        // The same without it, and with it again: none waits in vain.
        daemon.services[0].listen = ["0.0.0.0:\(port)"]
        try daemon.reload()
        #expect(reaches("127.0.0.1", port))
        daemon.services[0].listen = ["{ address = \"0.0.0.0:\(port)\", device = \"lo\" }"]
        try daemon.reload()
        #expect(reaches("127.0.0.1", port))
        try expectEcho(client)
        daemon.services[0].listen = ["{ address = \"0.0.0.0:\(port)\", device = \"limpet-none\" }"]
        let outcome = try daemon.tryReload()
        #expect(
            outcome.status == 1 && outcome.stderr.contains("0.0.0.0%limpet-none:\(port)")
                && outcome.stderr.contains("ENODEV") && outcome.stderr.contains("ip link"), "\(outcome)")
        #expect(reaches("127.0.0.1", port))
        try daemon.daemon.stop()
    }
}
