import Foundation
import Testing

/// A peer that is gone without a word: its cable was cut. Each test has a network of its own, and takes it down.
@Suite(.ownThread, .fence, .enabled(if: isRoot, "only root can have a network of its own"))
struct VanishedPeerTests {
    private func daemon(_ settings: String, _ backend: SocketAddress) throws -> Daemon {
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:0"]
            health = "off"
            \(settings)

            [[service.backend]]
            name = "b1"
            address = "\(backend)"
            """
        return try Daemon(setup)
    }

    /// Data that nobody acknowledges, in either direction.
    @Test(arguments: Way.allCases)
    func userTimeoutFindsAPeerThatVanishedWhileDataWasOnItsWay(_ way: Way) throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let listener = try Listener(receiveBuffer: way == .upstream ? 8_192 : nil)
            let daemon = try daemon("user-timeout = \"2s\"", listener.address)
            let client = try TCPSocket.connect(
                to: daemon.address, receiveBuffer: way == .downstream ? 8_192 : nil)
            let pair = Pair(client: client, backend: try listener.accept())
            // More than the receiver's buffer takes, so that the daemon has bytes in hand.
            let bytes = [UInt8](repeating: 1, count: 100_000)
            try pair.ends(way).sender.send(bytes)
            try eventually("the daemon holds bytes for the receiver") { try daemon.connections(1)[0].bytesIn >= 0 }
            #expect(try daemon.ctl.status().connections == 1)
            try PrivateNetwork.takeDown()
            try daemon.waitUntilIdle()
            try daemon.stop()
        }.value()
    }

    /// An idle connection is found by keepalive. Where there is a user-timeout, that decides when probes that nobody
    /// answers are enough, and their count does not.
    @Test(arguments: [("off", 2), ("3s", 100)])
    func keepaliveFindsAPeerThatVanishedInSilence(_ userTimeout: String, _ count: Int) throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let listener = try Listener()
            let daemon = try daemon(
                """
                user-timeout = "\(userTimeout)"
                keepalive = { idle = "1s", interval = "1s", count = \(count) }
                """, listener.address)
            let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
            try pair.client.send("hello")
            #expect(try pair.backend.receiveText(5) == "hello")
            // While it is there it is left alone, however silent.
            #expect(try holds(for: .seconds(4)) { try daemon.ctl.status().connections == 1 })
            try PrivateNetwork.takeDown()
            try daemon.waitUntilIdle()
            try daemon.stop()
        }.value()
    }

    @Test func withoutKeepaliveAnIdlePeerIsNotMissed() throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let listener = try Listener()
            let daemon = try daemon("keepalive = \"off\"", listener.address)
            let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
            #expect(try daemon.connections(1).count == 1)
            try PrivateNetwork.takeDown()
            #expect(try holds(for: .seconds(4)) { try daemon.ctl.status().connections == 1 })
            withExtendedLifetime(pair) {}
            try daemon.stop()
        }.value()
    }

    /// Nowhere to send the SYN to: the next choice gets the client at once.
    @Test func anUnreachableBackendIsPassedOver() throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let second = try BackendServer(.greet("b2"))
            // No route: this network has nothing but its loopback.
            let daemon = try Daemon([SocketAddress("192.0.2.1", 80), second.address])
            let source = try daemon.source(preferring: "b1")
            #expect(try daemon.connect(from: source).receiveLine().hasPrefix("b2 "))
            let row = try daemon.ctl.backend("b1")
            #expect(row.connectFailures == 1 && row.fallbacks == 1)
            #expect(daemon.logLines(containing: "b1", "unreachable").count == 1, "\(daemon.log)")
            try daemon.waitUntilIdle()
            try daemon.stop()
        }.value()
    }

    /// --check knows which settings of the kernel will bite.
    @Test func checkWarnsOfSettingsThatWillBite() throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let check = [Programs.limpetd, "--check", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9"]
            try PrivateNetwork.setting("net.core.somaxconn", "4096")
            let before = try run(check)
            #expect(before.status == 0 && !before.stderr.contains("somaxconn"), "\(before)")
            try PrivateNetwork.setting("net.core.somaxconn", "100")
            try PrivateNetwork.setting("net.ipv4.ip_local_port_range", "40000 40099")
            let after = try run(check)
            #expect(after.status == 0, "\(after)")
            for word in ["somaxconn", "ip_local_port_range"] { #expect(after.stderr.contains(word), "\(after)") }
            #expect(after.stdout == before.stdout)
        }.value()
    }
}
