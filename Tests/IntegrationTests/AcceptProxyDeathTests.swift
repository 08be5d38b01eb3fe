import Foundation
import Testing

/// PROXY headers and engines that die: at each point of their way, with half of one in, and between two versions.
@Suite(.ownThread, .fence)
struct AcceptProxyDeathTests {
    private static let proxy = "127.0.0.2"

    private func start(_ backends: [SocketAddress], _ settings: String..., inject: String? = nil) throws -> Daemon {
        var setup = Daemon.Setup()
        setup.file =
            """
            [[service]]
            name = "chat"
            listen = "127.0.0.1:0"
            health = "off"
            passive-fall = "off"
            accept-proxy = ["\(Self.proxy)"]
            accept-proxy-timeout = "10m"
            send-proxy = "v2"
            send-proxy-tlvs = ["received"]
            \(settings.joined(separator: "\n"))

            """
            + backends.enumerated().map {
                "[[service.backend]]\nname = \"b\($0.offset + 1)\"\naddress = \"\($0.element)\"\n"
            }
            .joined()
        setup.environment["LIMPET_BACKOFF"] = "off"
        setup.environment["LIMPET_INJECT"] = inject
        return try Daemon(setup)
    }

    private static let fields = [0xe0, 0x01, 0x2c] + [UInt8](repeating: 0x6d, count: 300)

    /// A header with more than 255 bytes, in two pieces, and a conversation: whatever happens, every byte comes once.
    private func converse(
        _ daemon: Daemon, _ backend: Listener, cut: Int, meanwhile: (TCPSocket) throws -> Void = { _ in }
    ) throws {
        let header = ReceivedHeader.v2("198.51.100.7", 4711, "192.0.2.1", 443, fields: Self.fields)
        let all = header + Array("hello".utf8)
        let client = try daemon.connect(from: Self.proxy)
        if cut > 0 { try client.send(Array(all[..<cut])) }
        try meanwhile(client)
        try client.send(Array(all[cut...]))
        let served = try backend.accept()
        #expect(try served.receive(exactly: header.count) == header)
        #expect(try served.receiveText(5) == "hello")
        try served.send("you")
        #expect(try client.receiveText(3) == "you")
        let pattern = Pattern(seed: 5)
        let sending = Background("the client sends") { try client.send(pattern, count: 200_000) }
        #expect(try served.receive(pattern, upTo: 200_000) == 200_000)
        try sending.value()
        let row = try daemon.connections(1)[0]
        #expect(row.client == "198.51.100.7:4711" && row.clientLocal == "192.0.2.1:443", "\(row)")
        #expect(row.peer == client.local.description)
        try eventually("all of it is counted") { try daemon.connections(1)[0].bytesIn == 200_005 }
        try client.finish()
        #expect(try served.receiveToEnd() == ([], .fin))
        served.close()
        #expect(try client.receiveToEnd() == ([], .fin))
        client.close()
        try daemon.waitUntilIdle()
    }

    static let points = [
        "LIMPET_AT_ACCEPTED", "LIMPET_AT_RECORD_WRITTEN", "LIMPET_AT_CLIENT_NAMED", "LIMPET_AT_ADMITTED",
        "LIMPET_AT_PROXY_AWAITED", "LIMPET_AT_PROXY_WHOLE", "LIMPET_AT_PROXY_NOTED", "LIMPET_AT_PROXY_UNWATCHED",
        "LIMPET_AT_PLACE_TAKEN", "LIMPET_AT_SOCKET_OPENED", "LIMPET_AT_BACKEND_NAMED", "LIMPET_AT_CONNECT_STARTED",
        "LIMPET_AT_BACKEND_WATCHED", "LIMPET_AT_CONNECT_TOLD", "LIMPET_AT_HEADER_NAMED", "LIMPET_AT_HEADER_WRITTEN",
        "LIMPET_AT_HEADER_FLAGGED", "LIMPET_AT_ESTABLISHED", "LIMPET_AT_ESTABLISHED_COUNTED", "LIMPET_AT_PROXY_TAKEN",
        "LIMPET_AT_PROXY_RELEASED", "LIMPET_AT_SCRATCH_CLAIMED", "LIMPET_AT_RECEIVED", "LIMPET_AT_SENT",
        "LIMPET_AT_SPLICED_OUT", "LIMPET_AT_SPLICED_OUT_COUNTED", "LIMPET_AT_EOF_READ", "LIMPET_AT_SHUT",
    ]

    @Test(arguments: points) func diesAt(_ point: String) throws {
        let backend = try Listener()
        let daemon = try start([backend.address], inject: "\(try Injection.point(point)):1")
        try converse(daemon, backend, cut: 20) { _ in
            // It may be dying right now.
            try eventually("it waits") { (try? daemon.ctl.connections().count) == 1 }
        }
        #expect(daemon.log.contains("injected death"), "\(point) was not passed: \(daemon.log)")
        try daemon.stop()
    }

    /// Who should send none: what is held back of it is neither lost nor doubled.
    @Test(arguments: ["LIMPET_AT_PROXY_RELEASED", "LIMPET_AT_ADMITTED", "LIMPET_AT_ESTABLISHED"])
    func diesWithFirstBytesHeldBack(_ point: String) throws {
        let backend = try Listener()
        let daemon = try start([backend.address], inject: "\(try Injection.point(point)):1")
        let client = try daemon.connect(from: "127.0.0.3")
        try client.send("PROX")
        let served = try backend.accept()
        #expect(try served.receive(exactly: 28).count == 28)
        try served.send("first")
        #expect(try client.receiveText(5) == "first")
        #expect(served.isQuiet)
        if point != "LIMPET_AT_PROXY_RELEASED" {
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            _ = try daemon.nextEngine(after: engine)
        }
        try client.send("ies are not headers")
        #expect(try served.receiveText(23) == "PROXies are not headers")
        #expect(daemon.log.contains("injected death"))
        client.close()
        served.close()
        try eventually("they are gone") { (try? daemon.ctl.status().connections) == 0 }
        // Nor is a header let through by a death.
        let liar = try daemon.connect(from: "127.0.0.3")
        try liar.send("PROX")
        let deceived = try backend.accept()
        #expect(try deceived.receive(exactly: 28).count == 28)
        let second = try daemon.enginePID
        kill(second, SIGKILL)
        _ = try daemon.nextEngine(after: second)
        try liar.send("Y TCP4 1.2.3.4 2.3.4.5 1 2\r\n")
        #expect(try liar.receiveToEnd() == ([], .reset))
        #expect(try deceived.receiveToEnd().bytes == [])
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test(arguments: [0, 1, 15, 16, 40, 330])
    func killedWithPartOfAHeaderIn(_ cut: Int) throws {
        let backend = try Listener()
        let daemon = try start([backend.address])
        try converse(daemon, backend, cut: cut) { _ in
            for _ in 0..<3 {
                _ = try daemon.connections(1)
                let engine = try daemon.enginePID
                kill(engine, SIGKILL)
                _ = try daemon.nextEngine(after: engine)
            }
        }
        try daemon.stop()
    }

    @Test func upgradedWithHalfAHeaderIn() throws {
        let backend = try Listener()
        let daemon = try start([backend.address])
        try converse(daemon, backend, cut: 100) { _ in
            _ = try daemon.connections(1)
            try daemon.ctl.expect("upgrade")
        }
        try daemon.stop()
    }

    /// The header is whole, the backend hangs, and the engine dies: the next backend is told as well.
    @Test func killedWhileItIsDialled() throws {
        let (hanging, backend) = (try HangingListener(), try Listener())
        let daemon = try start([hanging.address, backend.address], "connect-timeout = \"700ms\"")
        let header = ReceivedHeader.v2("198.51.100.7", 4711, "192.0.2.1", 443, fields: Self.fields)
        var clients: [TCPSocket] = []
        for _ in 0..<8 {
            let client = try daemon.connect(from: Self.proxy)
            try client.send(header + Array("hello".utf8))
            clients.append(client)
        }
        _ = try daemon.connections(8)
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        for _ in 0..<8 {
            let served = try backend.accept()
            #expect(try served.receive(exactly: header.count) == header)
            #expect(try served.receiveText(5) == "hello")
        }
        clients.removeAll()
        try daemon.stop()
    }
}
