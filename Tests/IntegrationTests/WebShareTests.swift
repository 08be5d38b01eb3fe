import Foundation
import Testing

/// What one address may take of the metrics' port, and what one who goes on and on does to the daemon.
@Suite(.ownThread, .fence)
struct WebShareTests {
    @Test(.enabled(if: isRoot, "only root can have a network of its own"))
    func oneAddressLeavesRoomForOthers() throws {
        // Addresses that are not loopback ones need a network that has them.
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            for address in ["192.0.2.1", "192.0.2.7", "192.0.2.8"] {
                let added = try run(["ip", "address", "add", "\(address)/24", "dev", "lo"])
                #expect(added.status == 0, "\(added)")
            }
            let server = try BackendServer(.echo)
            var setup = Daemon.Setup()
            setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
            setup.arguments = ["--metrics", "192.0.2.1:0"]
            let daemon = try Daemon(setup)
            #expect(!daemon.log.isEmpty)
            let web = try WebClient(daemon)
            func ask(_ socket: TCPSocket) throws -> Bool {
                try socket.send("GET /live HTTP/1.1\r\nHost: lb1\r\n\r\n")
                var answer = ""
                while !answer.hasSuffix("live\n") {
                    let bytes = try socket.receive()
                    if bytes.isEmpty { return false }
                    answer += String(decoding: bytes, as: UTF8.self)
                }
                return true
            }
            let first = try TCPSocket.connect(to: web.address, from: "192.0.2.8")
            #expect(try ask(first))
            // Eight conversations, and with each one more the oldest of the same address goes.
            let many = try (0..<20).map { _ in
                let socket = try TCPSocket.connect(to: web.address, from: "192.0.2.7")
                #expect(try ask(socket))
                return socket
            }
            #expect(try ask(first))
            for socket in many.suffix(8) { #expect(try ask(socket)) }
            for socket in many.prefix(12) { #expect(try socket.receiveToEnd().bytes.isEmpty) }
            for socket in many + [first] { socket.close() }
            try daemon.stop()
        }.value()
    }

    /// 64 MiB after the end of what it asked for.
    @Test func whatComesAfterAnUpgradeIsNotKept() throws {
        let server = try BackendServer(.echo)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
        setup.arguments = ["--metrics", "0"]
        let daemon = try Daemon(setup)
        let web = try WebClient(daemon)
        #expect("\(web.address)".hasPrefix("127.0.0.1:"))
        let socket = try TCPSocket.connect(to: web.address)
        try socket.send("GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        let part = String(repeating: "x", count: 64 * 1024)
        let isTaken = (0..<1024).allSatisfy { _ in (try? socket.send(part)) != nil }
        #expect(!isTaken)
        #expect(try web.get("/live").status == 200)
        socket.close()
        try daemon.stop()
    }
}
