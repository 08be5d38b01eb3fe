import Foundation
import Testing

/// `--accept-proxy`: who the client is says the header that a trusted proxy begins with.
@Suite(.ownThread, .fence)
struct AcceptProxyTests {
    /// In the list of the tests' daemons, and not.
    private static let proxy = "127.0.0.2"
    private static let stranger = "127.0.0.3"

    /// A daemon that trusts 127.0.0.2 alone.
    private func start(_ backends: [SocketAddress], _ settings: String...) throws -> Reloadable {
        try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["accept-proxy = [\"127.0.0.2\"]"] + settings,
                backends: backends.enumerated().map { .init(name: "b\($0.offset + 1)", address: $0.element) })
        ])
    }

    private func refused(_ daemon: Daemon, _ reason: String) throws -> Double {
        try daemon.ctl.metrics().values.reduce(0) { sum, series in
            series.key.hasPrefix("limpet_listener_refused_total{") && series.key.contains("reason=\"\(reason)\"")
                ? sum + series.value : sum
        }
    }

    // MARK: Headers that are right

    /// One byte at a time, all at once, with what the client says right behind it or cut in the middle of it.
    @Test(arguments: ReceivedHeader.all) func anyFragmentation(_ header: ReceivedHeader) throws {
        let backend = try Listener()
        let reloadable = try start([backend.address])
        let daemon = reloadable.daemon
        let all = header.bytes + Array("hello".utf8)
        let cuts = [0, 1, header.bytes.count - 1, header.bytes.count, header.bytes.count + 2]
        for cut in cuts {
            let client = try daemon.connect(from: Self.proxy)
            if cut == 0 {
                client.set(IPPROTO_TCP, TCP_NODELAY, 1)
                for byte in all { try client.send([byte]) }
            } else {
                try client.send(Array(all[..<cut]))
                if cut < header.bytes.count {
                    // It is seen while it waits.
                    let row = try daemon.connections(1)[0]
                    #expect(
                        row.state == "connecting" && row.backend == "-" && row.home == "-" && row.backendAddress == nil)
                    #expect(row.client == client.local.description && row.peer == row.client)
                    #expect(!backend.hasWaiting)
                }
                try client.send(Array(all[cut...]))
            }
            let served = try backend.accept()
            #expect(try served.receiveText(5) == "hello")
            let row = try daemon.connections(1)[0]
            #expect(row.client == header.client ?? client.local.description, "\(row)")
            #expect(row.peer == client.local.description)
            #expect(row.clientLocal == header.local ?? daemon.address.description)
            #expect(row.bytesIn == 5)
            try served.send("you")
            #expect(try client.receiveText(3) == "you")
            try client.finish()
            #expect(try served.receiveToEnd() == ([], .fin))
            served.close()
            #expect(try client.receiveToEnd() == ([], .fin))
            try daemon.waitUntilIdle()
        }
        #expect(try refused(daemon, "proxy-header") == 0)
        try daemon.stop()
    }

    /// It decides who comes where, as it would without a proxy.
    @Test func theClientOfTheHeaderChoosesTheBackend() throws {
        let servers = try (1...3).map { try BackendServer(.greet("b\($0)")) }
        let reloadable = try start(servers.map(\.address))
        let daemon = reloadable.daemon
        for number in 0..<20 {
            let address = "198.51.100.\(number)"
            let client = try daemon.connect(from: Self.proxy)
            try client.send("PROXY TCP4 \(address) 192.0.2.1 \(1000 + number) 80\r\n")
            let wanted = try daemon.ctl.locate(address).chosen
            #expect(try client.receiveText(2) == wanted)
            #expect(try daemon.ctl.connections("--client", "\(address)/32").count == 1)
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A backend that cannot be connected to leaves the header where it is, for the next.
    @Test func theNextBackendIsToldToo() throws {
        let (first, second) = (try Listener.refusing(), try Listener())
        let reloadable = try start(
            [first.address, second.address], "send-proxy = \"v2\"", "send-proxy-tlvs = [\"received\"]",
            "passive-fall = \"off\"")
        let daemon = reloadable.daemon
        let fields: [UInt8] = [0xe0, 0, 3, 1, 2, 3, 4, 0, 1, 9]
        for number in 0..<8 {
            let client = try daemon.connect(from: Self.proxy)
            let header = ReceivedHeader.v2("192.0.2.\(number)", 7, "198.51.100.1", 8, fields: fields)
            try client.send(header + Array("hello".utf8))
            let served = try second.accept()
            #expect(try served.receive(exactly: header.count) == header)
            #expect(try served.receiveText(5) == "hello")
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// More than 255 bytes of header to a backend that does not read, and what the client says behind it.
    @Test func longHeadersThroughASmallBuffer() throws {
        let backend = try Listener(receiveBuffer: 4096)
        let reloadable = try start(
            [backend.address], "send-proxy = \"v2\"", "send-proxy-tlvs = [\"received\", \"unique-id\", \"crc32c\"]",
            "send-buffer = 4096")
        let daemon = reloadable.daemon
        let fields = [0xe7, 0x07, 0xd0] + [UInt8](repeating: 0x5a, count: 2000)
        let header = ReceivedHeader.v2("192.0.2.9", 7, "198.51.100.1", 8, fields: fields)
        let pattern = Pattern(seed: 7)
        let client = try daemon.connect(from: Self.proxy)
        try client.send(header)
        let sending = Background("the client sends") { try client.send(pattern, count: 400_000) }
        let served = try backend.accept()
        let start = try served.receive(exactly: 28 + fields.count)
        #expect(Array(start[..<14]) == Array(header[..<14]) && Array(start[16...]) == Array(header[16...]))
        let rest = Int(start[14]) << 8 + Int(start[15]) - 12 - fields.count
        let own = try served.receive(exactly: rest)
        #expect(own.first == 5 && Array(own[(rest - 7)..<(rest - 4)]) == [3, 0, 4])
        #expect(try served.receive(pattern, upTo: 400_000) == 400_000)
        try sending.value()
        #expect(try daemon.connections(1)[0].bytesIn == 400_000)
        client.close()
        served.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    // MARK: Headers that are wrong

    /// Reset at once, counted and logged; the backend hears nothing of it.
    @Test func whatIsNoHeaderIsReset() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address])
        let daemon = reloadable.daemon
        var count = 0.0
        for (bytes, text) in [
            (Array("hello".utf8), "what came is none"), (Array("PROXY TCP4 1.2.3.4\r\n".utf8), "its line is malformed"),
            (
                [UInt8](repeating: 0x41, count: 200).enumerated().map {
                    $0.offset < 6 ? Array("PROXY ".utf8)[$0.offset] : $0.element
                },
                "it is too long"
            ),
            (ReceivedHeader.signature + [0x31, 0x11, 0, 12], "its version is unknown"),
            (ReceivedHeader.signature + [0x21, 0x11, 8, 0], "it is too long"),
            (ReceivedHeader.v2("1.2.3.4", 1, "2.3.4.5", 2, fields: [3, 0, 4, 0, 0, 0, 0]), "its checksum is wrong"),
        ] as [([UInt8], String)] {
            let client = try daemon.connect(from: Self.proxy)
            try client.send(bytes)
            #expect(try client.receiveToEnd() == ([], .reset))
            count += 1
            try eventually("\(text) is logged: \(daemon.log)") {
                !daemon.logLines(containing: "a trusted proxy was reset", text, "peer=\(Self.proxy)").isEmpty
            }
        }
        #expect(try refused(daemon, "proxy-header") == count)
        #expect(!backend.hasWaiting)
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.listeners()[0].refused == Int(count))
        try daemon.stop()
    }

    @Test func itHasToComeInTime() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address], "accept-proxy-timeout = \"300ms\"")
        let daemon = reloadable.daemon
        for text in [
            "", "PROX", "PROXY TCP4 1.2.3.4 1.2.3.4 1 ", String(decoding: ReceivedHeader.signature, as: UTF8.self),
        ] {
            let client = try daemon.connect(from: Self.proxy)
            if !text.isEmpty { try client.send(text) }
            #expect(try client.receiveToEnd() == ([], .reset))
        }
        #expect(try refused(daemon, "proxy-header") == 4)
        try eventually("it is logged") {
            !daemon.logLines(containing: "a trusted proxy was reset", "it was not there in time").isEmpty
        }
        #expect(!backend.hasWaiting)
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Half a header, and then the end. Without a byte it is no offence: whoever checks by connecting does so.
    @Test func endsInPlaceOfAHeader() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address])
        let daemon = reloadable.daemon
        let cut = try daemon.connect(from: Self.proxy)
        try cut.send("PROXY TC")
        try cut.finish()
        #expect(try cut.receiveToEnd() == ([], .reset))
        let empty = try daemon.connect(from: Self.proxy)
        try empty.finish()
        #expect(try empty.receiveToEnd() == ([], .fin))
        let reset = try daemon.connect(from: Self.proxy)
        try reset.send("PROXY TC")
        reset.reset()
        let urgent = try daemon.connect(from: Self.proxy)
        try urgent.send("PROXY")
        try urgent.sendUrgent(0x20)
        // It may be reset before it has said all of it; then the send is told, and nobody after.
        do {
            try urgent.send("TCP4 1.2.3.4 2.3.4.5 1 2\r\n")
            #expect(try urgent.receiveToEnd() == ([], .reset))
        } catch let failure as SocketFailure {
            #expect(failure.isReset)
        }
        try daemon.waitUntilIdle()
        #expect(try refused(daemon, "proxy-header") >= 2)
        #expect(!backend.hasWaiting)
        try daemon.stop()
    }

    /// A header that waits for its second half costs no processor time.
    @Test func whoWaitsDoesNotSpin() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address], "accept-proxy-timeout = \"10m\"")
        let daemon = reloadable.daemon
        let half = try daemon.connect(from: Self.proxy)
        try half.send("PROXY TCP4 1.2")
        let binary = try daemon.connect(from: Self.proxy)
        try binary.send(Array(ReceivedHeader.v2("1.2.3.4", 1, "2.3.4.5", 2).dropLast()))
        let suspect = try daemon.connect(from: Self.stranger)
        try suspect.send("PROX")
        let served = try backend.accept()
        _ = try daemon.connections(3)
        daemon.expectSleeping()
        // A paused reader makes its sender be watched level by level; what is held back must not be told again and again.
        let block = [UInt8](repeating: 1, count: 1 << 18)
        while try becomes(within: .milliseconds(50), { served.ready(POLLOUT) }) {
            _ = try block.withUnsafeBytes { try served.trySend($0) }
        }
        daemon.expectSleeping()
        try daemon.stop()
    }

    // MARK: Those who should not send one

    /// Ordinary clients are served as ever; whoever begins with a header is reset, counted, logged.
    @Test func strangersAreClientsAndSendNoHeader() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address])
        let daemon = reloadable.daemon
        var kept: [TCPSocket] = []
        for text in ["GET / HTTP/1.0", "P", "PROXYS", "\r\n\r\n\0\r\nQUIT?", "\r", "PROX"] {
            let client = try daemon.connect(from: Self.stranger)
            try client.send(text)
            if text == "P" || text == "\r" || text == "PROX" {
                // Only the next byte tells, or the end.
                if text == "PROX" { try client.finish() } else { try client.send("!") }
            }
            let served = try backend.accept()
            let wanted = text + (text.utf8.count == 1 ? "!" : "")
            #expect(try served.receiveText(wanted.utf8.count) == wanted)
            kept += [client, served]
        }
        kept.removeAll()
        for header in [Array("PROXY TCP4 1.2.3.4 2.3.4.5 1 2\r\n".utf8), ReceivedHeader.v2("1.2.3.4", 1, "2.3.4.5", 2)]
        {
            for isSlow in [false, true] {
                let client = try daemon.connect(from: Self.stranger)
                if isSlow {
                    client.set(IPPROTO_TCP, TCP_NODELAY, 1)
                    let served = try backend.accept()
                    // Whoever learns of the reset by sending is not told again by reading.
                    let isCut = header.contains { (try? client.send([$0])) == nil }
                    #expect(try served.receiveToEnd().bytes == [])
                    if isCut { continue }
                } else {
                    try client.send(header)
                }
                #expect(try client.receiveToEnd() == ([], .reset))
            }
        }
        try eventually("all are counted") { try refused(daemon, "proxy-untrusted") == 4 }
        try eventually("it is logged once") {
            daemon.logLines(containing: "a client was reset: it began with a PROXY header", "peer=\(Self.stranger)")
                .count == 1
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// The backend speaks first, and its client only then; also while a first byte is held back.
    @Test func aServerThatSpeaksFirstDoesNotWait() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address])
        let daemon = reloadable.daemon
        for early in ["", "P", "\r\n\r\n"] {
            let client = try daemon.connect(from: Self.stranger)
            if !early.isEmpty { try client.send(early) }
            let served = try backend.accept()
            let pattern = Pattern(seed: 3)
            let sending = Background("the server speaks") { try served.send(pattern, count: 300_000) }
            #expect(try client.receive(pattern, upTo: 300_000) == 300_000)
            try sending.value()
            #expect(served.isQuiet)
            try client.send("-SSH")
            #expect(try served.receiveText(early.utf8.count + 4) == early + "-SSH")
            // And no byte is waited for any more afterwards.
            try client.send("x")
            #expect(try served.receiveText(1) == "x")
        }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    // MARK: Limits, the end

    /// The limit is that of the client in the header, not the proxy's.
    @Test func limitsAreTheClients() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try start([server.address], "max-connections-per-client = 2")
        let daemon = reloadable.daemon
        func connect(_ address: String) throws -> (TCPSocket, [UInt8]) {
            let client = try daemon.connect(from: Self.proxy)
            try client.send("PROXY TCP4 \(address) 192.0.2.1 1 2\r\n")
            return (client, (try? client.receive(atMost: 2)) ?? [])
        }
        var kept: [TCPSocket] = []
        for number in 0..<6 {
            let (client, greeting) = try connect("198.51.100.\(number / 2)")
            #expect(greeting == Array("b1".utf8))
            kept.append(client)
        }
        #expect(try connect("198.51.100.0").1 == [])
        // Whoever waits for a header is nobody's connection yet; a death counts all of it anew.
        let waiting = try daemon.connect(from: Self.proxy)
        try waiting.send("PROXY TCP4 198.51")
        _ = try daemon.connections(7)
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        #expect(try connect("198.51.100.1").1 == [])
        try waiting.send(".100.2 192.0.2.1 1 2\r\n")
        #expect((try? waiting.receive(atMost: 2)) ?? [] == [])
        #expect(try refused(daemon, "client-limit") == 3)
        kept.removeFirst().close()
        try eventually("the place is free") { try daemon.ctl.status().connections == 5 }
        #expect(try connect("198.51.100.0").1 == Array("b1".utf8))
        kept.removeAll()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func thoseWhoWaitCountAndEndWithTheDaemon() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address], "max-connections = 2", "accept-proxy-timeout = \"10m\"")
        let daemon = reloadable.daemon
        let waiting = try (0..<2).map { _ in try daemon.connect(from: Self.proxy) }
        _ = try daemon.connections(2)
        #expect(try daemon.connect(from: Self.proxy).receiveToEnd() == ([], .reset))
        #expect(try refused(daemon, "service-limit") == 1)
        let row = try daemon.ctl.connections("--state", "connecting")[0]
        try daemon.ctl.expect("close", row.id)
        _ = try daemon.connections(1)
        try daemon.stop()
        #expect(waiting.allSatisfy { (try? $0.receiveToEnd().bytes) == [] })
    }

    /// Who is trusted changes for those that come after, and those that wait go on.
    @Test func aReloadChangesWhoIsTrusted() throws {
        let backend = try Listener()
        let reloadable = try start([backend.address], "accept-proxy-timeout = \"10m\"")
        let daemon = reloadable.daemon
        let waiting = try daemon.connect(from: Self.proxy)
        try waiting.send("PROXY TCP4 1.2.3.4 ")
        _ = try daemon.connections(1)
        #expect(try daemon.ctl.listeners()[0].options == ["accept-proxy=127.0.0.2/32"])
        reloadable.services[0].settings = ["accept-proxy = [\"127.0.0.3\"]"]
        #expect(try reloadable.reload().changes.contains { $0.key == "accept-proxy" })
        let former = try daemon.connect(from: Self.proxy)
        try former.send("hello")
        #expect(try backend.accept().receiveText(5) == "hello")
        let fresh = try daemon.connect(from: Self.stranger)
        try fresh.send("PROXY TCP4 9.8.7.6 1.2.3.4 5 6\r\nhi")
        #expect(try backend.accept().receiveText(2) == "hi")
        reloadable.services[0].settings = []
        try reloadable.reload()
        try waiting.send("192.0.2.1 1 2\r\nlate")
        let served = try backend.accept()
        #expect(try served.receiveText(4) == "late")
        #expect(try daemon.ctl.connections("--client", "1.2.3.4/32").count == 1)
        // Nobody looks any more.
        #expect(try daemon.ctl.listeners()[0].options == [])
        let plain = try daemon.connect(from: Self.proxy)
        try plain.send("PROXY TCP4 9.8.7.6 1.2.3.4 5 6\r\n")
        #expect(try backend.accept().receiveText(7) == "PROXY T")
        try daemon.stop()
    }
}
