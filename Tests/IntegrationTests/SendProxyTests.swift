import Foundation
import Testing

/// `--send-proxy`: the header that tells a backend who its client is.
@Suite(.ownThread, .fence)
struct SendProxyTests {
    /// The header that has to come, from the addresses as the client's own kernel knows them.
    private func header(_ version: String, from client: SocketAddress, to listener: SocketAddress) -> [UInt8] {
        if version == "v1" {
            let family = client.isIPv6 ? "TCP6" : "TCP4"
            return Array("PROXY \(family) \(client.host) \(listener.host) \(client.port) \(listener.port)\r\n".utf8)
        }
        var bytes: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
        bytes += client.isIPv6 ? [0x21, 0x21, 0, 36] : [0x21, 0x11, 0, 12]
        bytes += client.rawAddress + listener.rawAddress
        for port in [client.port, listener.port] { bytes += [UInt8(port >> 8), UInt8(port & 255)] }
        return bytes
    }

    static let versions = ["v1", "v2"]

    /// The header comes before and without any byte of the client's, and is not counted.
    @Test(arguments: versions, ["127.0.0.1", "::1"])
    func theBackendIsToldWhoItsClientIs(_ version: String, _ host: String) throws {
        let backend = try Listener()
        var setup = Daemon.Setup()
        setup.listen = [SocketAddress(host, 0).description]
        setup.backends = [Daemon.Backend(name: "b1", address: backend.address)]
        setup.arguments = ["--send-proxy", version]
        let daemon = try Daemon(setup)
        let client = try daemon.connect(from: host == "::1" ? nil : "127.3.2.1")
        let served = try backend.accept()
        let wanted = header(version, from: client.local, to: daemon.address)
        #expect(try served.receive(exactly: wanted.count) == wanted)
        #expect(served.isQuiet)
        #expect(try daemon.connections(1)[0].bytesIn == 0)
        try client.send("hello")
        #expect(try served.receiveText(5) == "hello")
        try served.send("who")
        #expect(try client.receiveText(3) == "who")
        let row = try daemon.connections(1)[0]
        #expect(row.bytesIn == 5 && row.bytesOut == 3)
        client.close()
        #expect(try served.receiveToEnd() == ([], .fin))
        served.close()
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b1").bytesIn == 5)
        try daemon.stop()
    }

    /// What the client has said and how it has ended, all before the backend has answered, follow the header.
    @Test(arguments: versions)
    func aClientThatWasFasterThanItsBackend(_ version: String) throws {
        let (hanging, second) = (try HangingListener(), try Listener())
        let daemon = try Daemon(
            [hanging.address, second.address], "--connect-timeout", "400ms", "--send-proxy", version)
        let client = try daemon.connect(from: try daemon.source(preferring: "b1"))
        let pattern = Pattern(seed: 90)
        try client.send(pattern, count: 300_000)
        try client.finish()
        let served = try second.accept()
        let wanted = header(version, from: client.local, to: daemon.address)
        #expect(try served.receive(exactly: wanted.count) == wanted)
        #expect(try served.receive(pattern) == 300_000)
        try served.send("answer")
        served.close()
        #expect(try client.receiveToEnd() == (Array("answer".utf8), .fin))
        client.close()
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b2").bytesIn == 300_000)
        try daemon.stop()
    }

    /// The client is gone before its backend has accepted: the kernel no longer knows its address, and nobody is told a
    /// wrong one.
    @Test(arguments: versions)
    func aClientThatResetsBeforeTheBackendHasAccepted(_ version: String) throws {
        let backend = try Listener()
        let daemon = try Daemon([backend.address], "--send-proxy", version)
        var wanted: [[UInt8]] = []
        try daemon.frozen {
            for number in 0..<20 {
                let client = try daemon.connect()
                wanted.append(header(version, from: client.local, to: daemon.address))
                if number % 2 == 0 { try client.send("hello") }
                client.reset()
            }
        }
        try eventually("all are accepted") { try daemon.ctl.listeners()[0].accepted == 20 }
        try daemon.waitUntilIdle()
        while let served = try backend.acceptNow() {
            let bytes = try served.receiveToEnd().bytes
            #expect(bytes.isEmpty || wanted.contains { bytes.starts(with: $0) }, "\(bytes)")
        }
        try daemon.stop()
    }

    /// A backend that accepts and resets is reset to the client; the header changes nothing about that.
    @Test(arguments: versions)
    func aBackendThatResets(_ version: String) throws {
        let backend = try BackendServer(.resetAtOnce)
        let daemon = try Daemon([backend.address], "--send-proxy", version)
        for _ in 0..<20 {
            let client = try daemon.connect()
            #expect(try client.receiveToEnd() == ([], .reset))
        }
        try daemon.waitUntilIdle()
        let row = try daemon.ctl.backend("b1")
        #expect(row.total == 20 && row.connectFailures == 0 && row.bytesIn == 0, "\(row)")
        try daemon.stop()
    }

    /// Where there is no pipe for it the header goes out all the same.
    @Test(arguments: versions)
    func withoutAPipe(_ version: String) throws {
        let listener = try Listener(receiveBuffer: 8_192)
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:0"]
            send-proxy = "\(version)"
            health = "off"
            receive-buffer = 100000
            send-buffer = 100000

            [[service.backend]]
            name = "b1"
            address = "\(listener.address)"
            """
        setup.wrapper = ["prlimit", "--nofile=700:700"]
        let daemon = try Daemon(setup)
        // Sixty stalled directions want a pipe each, and there are 21.
        let block = [UInt8](repeating: 7, count: 1 << 18)
        let stalled = try (0..<60).map { _ in
            Pair(client: try TCPSocket.connect(to: daemon.address), backend: try listener.accept())
        }
        for pair in stalled {
            while try becomes(within: .milliseconds(20), { pair.client.ready(POLLOUT) }) {
                _ = try block.withUnsafeBytes { try pair.client.trySend($0) }
            }
        }
        for _ in 0..<10 {
            let client = try daemon.connect()
            let served = try listener.accept()
            let wanted = header(version, from: client.local, to: daemon.address)
            #expect(try served.receive(exactly: wanted.count) == wanted)
            try client.send("hello")
            #expect(try served.receiveText(5) == "hello")
            try served.send("you")
            #expect(try client.receiveText(3) == "you")
            client.close()
            served.close()
        }
        for pair in stalled {
            pair.client.reset()
            pair.backend.reset()
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Another program's opinion of the header.
    @Test(arguments: versions, ["127.0.0.1", "::1"])
    func haproxyUnderstandsIt(_ version: String, _ host: String) throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        // HAProxy wants a number: this socket keeps one for it, and does not listen.
        let place = try TCPSocket(for: SocketAddress("127.0.0.1", 0))
        place.set(SOL_SOCKET, SO_REUSEPORT, 1)
        guard SocketAddress("127.0.0.1", 0).withSockaddr({ bind(place.fd, $0, $1) }) == 0 else {
            throw SocketFailure(call: "bind", code: errno)
        }
        try """
        defaults
          mode http
          timeout connect 30s
          timeout client 30s
          timeout server 30s
        frontend behind
          bind \(place.local) accept-proxy
          http-request return status 200 content-type text/plain lf-string "%ci %cp %[dst] %[dst_port]"

        """.write(toFile: "\(directory)/haproxy.cfg", atomically: false, encoding: .utf8)
        let haproxy = try ChildProcess(["env", "haproxy", "-db", "-f", "\(directory)/haproxy.cfg"])
        var setup = Daemon.Setup()
        setup.listen = [SocketAddress(host, 0).description]
        setup.backends = [Daemon.Backend(name: "b1", address: place.local)]
        setup.arguments = ["--send-proxy", version]
        let daemon = try Daemon(setup)
        var text = ""
        var client = try daemon.connect()
        try eventually("haproxy answers: \(haproxy.stderr)") {
            client = try daemon.connect()
            try? client.send("GET / HTTP/1.0\r\n\r\n")
            text = String(decoding: try client.receiveToEnd().bytes, as: UTF8.self)
            return !text.isEmpty || haproxy.poll() != nil
        }
        let (from, to) = (client.local, daemon.address)
        #expect(text.hasSuffix("\r\n\(from.host) \(from.port) \(to.host) \(to.port)"), "\(text) \(haproxy.stderr)")
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}

extension SocketAddress {
    /// The address in network order: 4 bytes or 16.
    fileprivate var rawAddress: [UInt8] {
        withSockaddr { pointer, _ in
            let bytes = UnsafeRawPointer(pointer)
            return isIPv6
                ? Array(
                    UnsafeRawBufferPointer(
                        start: bytes + MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!, count: 16))
                : Array(
                    UnsafeRawBufferPointer(start: bytes + MemoryLayout<sockaddr_in>.offset(of: \.sin_addr)!, count: 4))
        }
    }
}
