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

    /// A range is as many listeners, which come and go one by one.
    @Test func aRangeOfPorts() throws {
        let backend = try BackendServer(.greet("b1"))
        // Ports that nobody else is given meanwhile: they lie below those that the kernel chooses.
        var first = UInt16(20_100) + UInt16(getpid() % 40) * 100
        var daemon: Reloadable?
        while daemon == nil, first < 30_000 {
            do {
                daemon = try self.daemon("127.0.0.9:\(first)-\(first + 49)", backend)
            } catch let error as Daemon.DidNotStart where error.description.contains("EADDRINUSE") {
                first += 100
            }
        }
        let running = try #require(daemon)
        #expect(try running.ctl.listeners().map(\.name) == (first..<first + 50).map { "127.0.0.9:\($0)" })
        let clients = try [first, first + 49].map { try TCPSocket.connect(to: SocketAddress("127.0.0.9", $0)) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b1")) }
        running.services[0].listen = ["127.0.0.9:\(first + 40)-\(first + 59)"]
        let report = try running.reload()
        #expect(report.changes.filter { $0.description.hasPrefix("removed listener") }.count == 40)
        #expect(report.changes.filter { $0.description.hasPrefix("added listener") }.count == 10)
        #expect(report.changes.count == 50 && report.removedConnections == 1)
        #expect(!reaches("127.0.0.9", first) && reaches("127.0.0.9", first + 59))
        for client in clients { try expectEcho(client) }
        // Each is paused by itself.
        try running.ctl.expect("pause", "127.0.0.9:\(first + 41)")
        #expect(try running.ctl.listeners().filter { $0.state == "paused" }.count == 1)
        try running.daemon.stop()
    }

    /// Who has said nothing yet has not arrived. The kernel sees to that, and lets a silent client in after a while.
    @Test func clientsThatSpeakFirst() throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try Reloadable(
            [backend], service: ["client-first = true", "connect-timeout = \"1s\""])
        // The kernel hands over who is silent after a second, which may be over where the machine is busy: then again.
        var pairs: [(silent: TCPSocket, talker: TCPSocket)] = []
        try eventually("who speaks is let in before who does not") {
            let (silent, talker) = (try daemon.daemon.connect(), try daemon.daemon.connect())
            pairs.append((silent, talker))
            try talker.send("x")
            _ = try talker.receiveLine()
            #expect(try talker.receiveText(1) == "x")
            let clients = try daemon.ctl.connections().map(\.client)
            return clients.contains(talker.local.description) && !clients.contains(silent.local.description)
        }
        let (silent, talker) = try #require(pairs.last)
        #expect(try daemon.ctl.listeners().map(\.options) == [["client-first"]])
        // A reload switches it off and on for those who come from then on.
        daemon.services[0].settings = []
        try daemon.reload()
        #expect(try daemon.ctl.listeners().map(\.options) == [[]])
        let greeted = try daemon.daemon.connect()
        #expect(try greeted.receiveLine().hasPrefix("b1"))
        daemon.services[0].settings = ["client-first = true", "connect-timeout = \"1s\""]
        try daemon.reload()
        var waiting: [TCPSocket] = []
        try eventually("who does not speak waits") {
            waiting.append(try daemon.daemon.connect())
            return try !daemon.ctl.connections().map(\.client).contains(waiting[waiting.count - 1].local.description)
        }
        let late = try #require(waiting.last)
        for client in [silent, late] { #expect(try client.receiveLine().hasPrefix("b1")) }
        for client in [silent, talker, greeted, late] { try expectEcho(client) }
        try daemon.daemon.stop()
    }

    /// What root has bound is the daemon's user's: other sockets can stand beside it later.
    @Test(.enabled(if: isRoot)) func rootsSocketsGiveWayToAnOrdinaryUsers() throws {
        let backend = try BackendServer(.greet("b1"))
        let free = try Listener("::1", backlog: nil)
        let port = free.address.port
        free.close()
        let service = Reloadable.Service(
            listen: ["[::]:\(port)", "127.0.0.1:0"], backends: Reloadable.backends([backend]))
        let daemon = try Reloadable([service]) { setup in
            setup.user = "nobody"
            setup.wrapper = ["env"]
        }
        let other = try #require(SocketAddress(try daemon.ctl.listeners()[1].address)).port
        let client = try TCPSocket.connect(to: SocketAddress("::1", port))
        _ = try client.receiveLine()
        daemon.services[0].listen = ["{ address = \"[::]:\(port)\", v6only = false }", "0.0.0.0:\(other)"]
        try daemon.reload()
        #expect(reaches("127.0.0.1", port) && reaches("::1", port) && reaches("127.0.0.2", other))
        try expectEcho(client)
        try daemon.daemon.stop()
    }
}
