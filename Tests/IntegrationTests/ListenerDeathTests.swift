import Foundation
import Testing

/// Engines that die while listeners change, and while they accept.
@Suite(.ownThread, .fence, .enabled(if: Programs.isDebug))
struct ListenerDeathTests {
    private func reaches(_ host: String, _ port: UInt16) -> Bool {
        (try? TCPSocket.connect(to: SocketAddress(host, port)).receiveLine().hasPrefix("b1")) ?? false
    }

    /// The old sockets are there, or the new ones; and whoever has come by the old ones stays.
    @Test(arguments: ["BOUND", "PUBLISHED", "SETTLED"])
    func whileSocketsGiveWayToOthers(point: String) throws {
        let server = try BackendServer(.greet("b1"))
        let number = try Injection.point("LIMPET_AT_RELOAD_" + point)
        let free = try Listener("::1", backlog: nil)
        let port = free.address.port
        free.close()
        let before = Reloadable.Service(listen: ["[::]:\(port)"], backends: Reloadable.backends([server]))
        let daemon = try Reloadable([before]) { $0.environment = ["LIMPET_INJECT": "\(number):1"] }
        let client = try TCPSocket.connect(to: SocketAddress("::1", port))
        _ = try client.receiveLine()
        try daemon.ctl.expect("pause", "[::]:\(port)")
        let waiting = try TCPSocket.connect(to: SocketAddress("::1", port))
        let engine = try daemon.daemon.enginePID
        daemon.services[0].listen = ["{ address = \"[::]:\(port)\", v6only = false }"]
        try daemon.write()
        #expect(try daemon.ctl.run("reload").status == 1)
        try eventually("another engine answers") {
            try daemon.ctl.run("ready", "-q").status == 0 && daemon.daemon.enginePID != engine
        }
        let isNew = point != "BOUND"
        let row = try #require(try daemon.ctl.listeners().first)
        #expect(row.options == (isNew ? ["v6only=false"] : []) && row.state == "paused")
        try daemon.ctl.expect("resume", "[::]:\(port)")
        #expect(try waiting.receiveLine().hasPrefix("b1"))
        #expect(reaches("::1", port) && reaches("127.0.0.1", port) == isNew)
        // And what was cut short can be done.
        try daemon.reload()
        #expect(reaches("::1", port) && reaches("127.0.0.1", port))
        for client in [client, waiting] { try expectEcho(client) }
        #expect(try daemon.ctl.connections().map(\.listener) == ["[::]:\(port)", "[::]:\(port)"])
        try daemon.daemon.stop()
    }

    /// Of one socket for all workers, each client is somebody's.
    @Test(arguments: ["ACCEPTED", "RECORD_WRITTEN", "CLIENT_NAMED", "ADMITTED"])
    func whileASharedSocketIsAcceptedFrom(point: String) throws {
        let server = try BackendServer(.greet("b1"))
        let number = try Injection.point("LIMPET_AT_" + point)
        var setup = Daemon.Setup()
        setup.listen = ["fd:web"]
        setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
        setup.wrapper = SocketPassing.wrapper("web=tcp:127.0.0.1:0")
        setup.environment = ["LIMPET_INJECT": "\(number):7", "LIMPET_BACKOFF": "off"]
        let daemon = try Daemon(setup)
        let engine = try daemon.enginePID
        let clients = try (0..<20).map { try daemon.connect(from: clientHost($0)) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b1")) }
        #expect(try daemon.enginePID != engine)
        for client in clients { try expectEcho(client) }
        #expect(try daemon.ctl.connections().map(\.listener) == Array(repeating: "\(daemon.address)", count: 20))
        for client in clients { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
