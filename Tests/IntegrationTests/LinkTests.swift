import Foundation
import Testing

/// Network interfaces: listeners that are bound to one, and link-local addresses. In a network of their own, with two
/// interfaces at the ends of one cable.
@Suite(.ownThread, .fence, .enabled(if: isRoot))
struct LinkTests {
    /// `one` and `two`, each with fe80::1, and 10.9.0.1 on the first.
    private static func inANetwork(_ body: @escaping @Sendable () throws -> Void) throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            try command("ip link add one type veth peer name two")
            for name in ["one", "two"] {
                try command("ip link set \(name) addrgenmode none")
                try command("ip link set \(name) up")
                try command("ip address add fe80::1/64 dev \(name) nodad")
            }
            try command("ip address add fe80::2/64 dev one nodad")
            try command("ip address add 10.9.0.1/24 dev one")
            try body()
        }.value()
    }

    @discardableResult
    private static func command(_ text: String) throws -> Outcome {
        let outcome = try run(text.split(separator: " ").map(String.init))
        try #require(outcome.status == 0, "\(text): \(outcome)")
        return outcome
    }

    /// The same address on two links is two addresses, and the link is told wherever the address is.
    @Test func linkLocalAddresses() throws {
        try Self.inANetwork {
            let backend = try BackendServer(.greet("b1"), on: "fe80::1%two")
            let daemon = try Reloadable(
                [
                    Reloadable.Service(
                        listen: ["[fe80::1%one]:4711"],
                        backends: [.init(name: "b1", address: SocketAddress("fe80::1%two", backend.address.port))])
                ], settings: ["access-log = \"both\""])
            #expect(try daemon.ctl.listeners().map(\.name) == ["[fe80::1%one]:4711"])
            let client = try TCPSocket.connect(to: SocketAddress("fe80::1%one", 4711), from: "fe80::2%one")
            #expect(try client.receiveLine().hasPrefix("b1"))
            let row = try #require(try daemon.ctl.connections().first)
            #expect(row.client == "[fe80::2%one]:\(client.local.port)" && row.peer == row.client)
            #expect(row.listener == "[fe80::1%one]:4711" && row.clientLocal == row.listener)
            #expect(row.backendAddress == "[fe80::1%two]:\(backend.address.port)")
            #expect(row.backendLocal?.hasPrefix("[fe80::1%two]:") == true)
            try eventually("the access log has the link") {
                !daemon.daemon.logLines(containing: "client=[fe80::2%one]:\(client.local.port)").isEmpty
            }
            // Where a client belongs has nothing to do with its link.
            let keys = try ["fe80::2", "fe80::2%one", "fe80::2%two"].map { try daemon.ctl.locate($0).key }
            #expect(Set(keys).count == 1)
            #expect(try daemon.ctl.connections("--client", "fe80::/10").count == 1)

            let engine = try daemon.daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("the next engine serves") { try daemon.daemon.enginePID != engine }
            try expectEcho(client)
            #expect(try daemon.ctl.connections().map(\.client) == [row.client])
            // By another link, the same address; and by a number.
            let index = if_nametoindex("two")
            daemon.services[0].listen.append("[fe80::1%\(index)]:4711")
            try daemon.reload()
            #expect(try daemon.ctl.listeners().map(\.name) == ["[fe80::1%one]:4711", "[fe80::1%two]:4711"])
            let other = try TCPSocket.connect(to: SocketAddress("fe80::1%two", 4711))
            #expect(try other.receiveLine().hasPrefix("b1"))
            try daemon.ctl.expect("pause", "[fe80::1%two]:4711")
            #expect(try daemon.ctl.listeners().map(\.state) == ["accepting", "paused"])

            daemon.services[0].listen[1] = "[fe80::1%three]:4711"
            var outcome = try daemon.tryReload()
            let line = "service chat: listen [fe80::1%three]:4711: this machine has no network interface three (ip link"
            #expect(outcome.status == 1 && outcome.stderr.contains(line), "\(outcome)")
            daemon.services[0].listen.removeLast()
            daemon.services[0].backends[0].address.host = "fe80::1%three"
            outcome = try daemon.tryReload()
            #expect(outcome.status == 1 && outcome.stderr.contains("service chat: backend b1: "), "\(outcome)")
            outcome = try run([Programs.limpetd, "--check", "-c", daemon.path])
            #expect(outcome.stderr.contains("warning: it would not start: service chat: backend b1: "), "\(outcome)")
            daemon.services[0].backends[0].address.host = "fe80::1%two"
            daemon.settings = ["metrics = \"[fe80::1%three]:0\""]
            outcome = try daemon.tryReload()
            #expect(outcome.stderr.contains("metrics: this machine has no network interface three"), "\(outcome)")
            daemon.settings = ["metrics = \"[fe80::1%two]:4712\""]
            try daemon.reload()
            let web = try TCPSocket.connect(to: SocketAddress("fe80::1%two", 4712))
            try web.send("GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let answer = try web.receiveLine()
            #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer)")
            try expectEcho(client)
            try daemon.daemon.stop()
        }
    }

    /// A check of a backend goes by its link as connections do.
    @Test func aLinkLocalBackendIsChecked() throws {
        try Self.inANetwork {
            let backend = try BackendServer(.echo, on: "fe80::1%two")
            let daemon = try Reloadable([
                Reloadable.Service(
                    listen: ["127.0.0.1:0"], settings: ["health = \"tcp\"", "health-interval = \"100ms\""],
                    backends: [.init(name: "b1", address: SocketAddress("fe80::1%two", backend.address.port))])
            ])
            try eventually("the backend is up") { try daemon.ctl.backend("b1").state == "up" }
            try daemon.daemon.stop()
        }
    }

    /// An interface that is made again has another index, which a backend's connections go by without a reload.
    @Test func anInterfaceThatIsMadeAgain() throws {
        try Self.inANetwork {
            let first = try BackendServer(.greet("b1"), on: "fe80::1%two")
            let daemon = try Reloadable([
                Reloadable.Service(
                    listen: ["127.0.0.1:0"],
                    backends: [.init(name: "b1", address: SocketAddress("fe80::1%two", first.address.port))])
            ])
            #expect(try daemon.daemon.connect().receiveLine().hasPrefix("b1"))
            let index = if_nametoindex("two")
            try Self.command("ip link delete two")
            try eventually("it is said that the interface is gone") {
                daemon.daemon.logLines(containing: "there is no network interface two now").count == 1
            }
            try Self.command("ip link add two type veth peer name three")
            try Self.command("ip link set three up")
            try Self.command("ip link set two addrgenmode none")
            try Self.command("ip link set two up")
            try Self.command("ip address add fe80::1/64 dev two nodad")
            #expect(if_nametoindex("two") != index)
            let second = try BackendServer(.greet("b2"), on: "fe80::1%two", port: first.address.port)
            try eventually("it is said that the interface is there again") {
                daemon.daemon.logLines(containing: "network interface two was made anew").count == 1
            }
            try eventually("clients reach the backend again") {
                (try? daemon.daemon.connect().receiveLine().hasPrefix("b2")) == true
            }
            #expect(second.address.port == first.address.port)
            try daemon.daemon.stop()
        }
    }

    /// Clients of another interface are refused by the kernel; two services share an address, one for each interface.
    @Test func aListenerForEachInterface() throws {
        try Self.inANetwork {
            let servers = try (1...2).map { try BackendServer(.greet("b\($0)")) }
            let daemon = try Reloadable([
                Reloadable.Service(
                    name: "lo", listen: [#"{ address = "0.0.0.0:4711", device = "lo" }"#],
                    backends: Reloadable.backends([servers[0]])),
                Reloadable.Service(
                    name: "one", listen: [#"{ address = "0.0.0.0:4711", device = "one" }"#],
                    backends: Reloadable.backends([servers[1]])),
            ])
            #expect(try daemon.ctl.listeners().map(\.name) == ["0.0.0.0%lo:4711", "0.0.0.0%one:4711"])
            let client = try TCPSocket.connect(to: SocketAddress("127.0.0.1", 4711))
            #expect(try client.receiveLine().hasPrefix("b1"))
            #expect(try daemon.ctl.connections().map(\.listener) == ["0.0.0.0%lo:4711"])
            // The kernel counts whom it gets from itself as a client of the interface that has the address.
            let other = try TCPSocket.connect(to: SocketAddress("10.9.0.1", 4711))
            #expect(try other.receiveLine().hasPrefix("b2"))
            #expect(try daemon.ctl.connections("--service", "one").map(\.listener) == ["0.0.0.0%one:4711"])
            // The same after a death, and of a client that no engine has taken in yet.
            try daemon.ctl.expect("pause", "0.0.0.0%lo:4711")
            let waiting = try TCPSocket.connect(to: SocketAddress("127.0.0.1", 4711))
            let engine = try daemon.daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("the next engine serves") { try daemon.daemon.enginePID != engine }
            try daemon.ctl.expect("resume", "lo")
            #expect(try waiting.receiveLine().hasPrefix("b1"))
            daemon.services.removeFirst()
            try daemon.reload()
            #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: SocketAddress("127.0.0.1", 4711)) }
            for client in [client, other, waiting] { try expectEcho(client) }
            try daemon.daemon.stop()
        }
    }
}
