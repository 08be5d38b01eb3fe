import Foundation
import Testing

/// Who may come in.
@Suite(.ownThread, .fence)
struct AccessListTests {
    /// Whether a client is served; else it was reset.
    private func isServed(_ daemon: Daemon, _ source: String, _ header: String = "", at address: SocketAddress? = nil)
        throws
        -> Bool
    {
        do {
            let client = try TCPSocket.connect(to: address ?? daemon.address, from: source)
            if !header.isEmpty { try client.send(header) }
            return try client.receiveLine().hasPrefix("b1 ")
        } catch let failure as SocketFailure where failure.isReset {
            return false
        }
    }

    @Test func whoIsDeniedIsResetAndCounted() throws {
        let scene = try Reloadable(
            [try BackendServer(.greet("b1"))],
            service: [#"deny = ["127.0.9.0/24", "127.1.0.0/16"]"#, #"allow = ["127.0.0.0/8", "127.1.7.0/24"]"#],
            settings: ["access-log = \"end\""])
        let daemon = scene.daemon
        #expect(try isServed(daemon, "127.0.8.1") && isServed(daemon, "127.1.7.9"))
        for source in ["127.0.9.1", "127.0.9.2", "127.1.8.1"] { #expect(try !isServed(daemon, source), "\(source)") }
        let row = try daemon.ctl.listeners()[0]
        #expect(row.refused == 3 && row.accepted == 2)
        let series = #"limpet_listener_refused_total{service="chat",listener="\#(daemon.address)",reason="denied"}"#
        #expect(try daemon.ctl.metrics()[series] == 3)
        try eventually("one line is written for all of them, and one for each end") {
            daemon.logLines(containing: "a client was reset: an access list does not let it in").count == 1
                && daemon.logLines(containing: "connection ended", "end=denied", "by=limpetd").count == 3
        }
        let denied = try daemon.ctl.locate("127.0.9.77")
        #expect(denied.chosen == nil)
        #expect(denied.reason == "denied, and reset when it connects: deny 127.0.9.0/24 (service chat)")
        #expect(try daemon.ctl.locate("10.0.0.1").reason.contains("no network of allow has it"))
        #expect(try daemon.ctl.locate("127.1.7.7").chosen == "b1")
        try daemon.stop()
    }

    /// In place; whoever is connected stays.
    @Test func aReloadChangesTheLists() throws {
        let scene = try Reloadable([try BackendServer(.greet("b1"))])
        let daemon = scene.daemon
        let old = try scene.client(from: "127.0.9.1")
        scene.services[0].settings = [#"deny = ["127.0.9.0/24"]"#]
        #expect(
            try scene.reload().changes.map(\.description) == [
                #"changed service chat deny [] ["127.0.9.0/24"]"#
            ])
        #expect(try !isServed(daemon, "127.0.9.1") && isServed(daemon, "127.0.8.1"))
        try expectEcho(old)
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        #expect(try !isServed(daemon, "127.0.9.1") && isServed(daemon, "127.0.8.1"))
        try expectEcho(old)
        scene.services[0].settings = []
        try scene.reload()
        #expect(try isServed(daemon, "127.0.9.1"))
        old.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Its contents count as they were read, whatever becomes of the file.
    @Test func aFileOfThousandsOfNetworks() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/deny"
        var networks = (0..<10_000).map { "10.\($0 / 256).\($0 % 256).0/24" }
        func put() throws {
            try networks.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
        }
        try put()
        let scene = try Reloadable([try BackendServer(.greet("b1"))], service: ["deny = [\"@\(path)\"]"])
        let daemon = scene.daemon
        #expect(try isServed(daemon, "127.0.9.1"))
        let hash = try daemon.ctl.status().configHash
        networks.append("127.0.9.0/24")
        try put()
        #expect(
            try scene.reload().changes.map(\.description) == [
                "changed service chat deny @\(path) (10000 networks) @\(path) (10001 networks, others than before)"
            ])
        #expect(try !isServed(daemon, "127.0.9.1") && isServed(daemon, "127.0.8.1"))
        #expect(try daemon.ctl.status().configHash != hash)
        networks[17] = "10.0.17.5/24"
        try put()
        let refused = try scene.tryReload()
        #expect(refused.status == 7)
        #expect(refused.stderr.contains("\(path): line 18: \"10.0.17.5/24\" has bits set past its length"))
        try FileManager.default.removeItem(atPath: path)
        #expect(try scene.tryReload().stderr.contains("\(path): cannot be read"))
        // It goes on with what it read last.
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        #expect(try !isServed(daemon, "127.0.9.1") && isServed(daemon, "127.0.8.1"))
        try daemon.stop()
    }

    /// Both lists have to let a client in: its listener's, and the service's.
    @Test func aListenerHasAListOfItsOwn() throws {
        let server = try BackendServer(.greet("b1"))
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:0", { address = "127.0.0.2:0", allow = ["127.0.7.0/24", "127.0.9.0/24"] }]
            deny = ["127.0.9.0/24"]
            health = "off"
            [[service.backend]]
            name = "b1"
            address = "\(server.address)"
            """
        let daemon = try Daemon(setup)
        let (open, narrow) = (daemon.listeners[0], daemon.listeners[1])
        #expect(try isServed(daemon, "127.0.8.1", at: open) && !isServed(daemon, "127.0.9.1", at: open))
        #expect(try isServed(daemon, "127.0.7.1", at: narrow) && !isServed(daemon, "127.0.8.1", at: narrow))
        #expect(try !isServed(daemon, "127.0.9.1", at: narrow))
        #expect(try daemon.ctl.listeners().map(\.refused) == [1, 2])
        let answer = try daemon.ctl.locate("127.0.8.1")
        #expect(answer.chosen == "b1")
        #expect(
            answer.reason.hasSuffix("; denied at listener 127.0.0.2:0: no network of allow has it")
                || answer.reason.hasSuffix("; denied at listener \(narrow): no network of allow has it"))
        try daemon.stop()
    }

    /// The client is who the trusted proxy says that it is.
    @Test func theAddressInAPROXYHeaderCounts() throws {
        let scene = try Reloadable(
            [try BackendServer(.greet("b1"))],
            service: [#"accept-proxy = ["127.0.6.0/24"]"#, #"deny = ["192.0.2.0/24", "127.0.6.0/24"]"#])
        let daemon = scene.daemon
        func header(_ client: String) -> String { "PROXY TCP4 \(client) 203.0.113.1 40000 80\r\n" }
        #expect(try isServed(daemon, "127.0.6.1", header("198.51.100.7")))
        #expect(try !isServed(daemon, "127.0.6.1", header("192.0.2.7")))
        #expect(try isServed(daemon, "127.0.5.1"))
        #expect(try daemon.ctl.listeners()[0].refused == 1)
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
