import Foundation
import Synchronization
import Testing

/// Checks that find out how backends are, in front of servers that are played.
@Suite(.ownThread, .fence)
struct HealthTests {
    static func service(_ check: String, _ addresses: [SocketAddress], _ more: String...) -> Reloadable.Service {
        Reloadable.Service(
            listen: ["127.0.0.1:0"], settings: ["health = \(check)"] + more,
            backends: addresses.enumerated().map { .init(name: "b\($0.offset + 1)", address: $0.element) })
    }

    private static let fast =
        "interval = \"100ms\", fast-interval = \"100ms\", down-interval = \"100ms\", timeout = \"1s\""
    private static let tcp = "{ \(fast) }"
    private static let http = "{ type = \"http\", path = \"/up\", \(fast) }"

    private func expect(_ state: String, of backend: String, _ daemon: Daemon) throws {
        try eventually("\(backend) is \(state); limpetd said: \(daemon.log)") {
            try daemon.ctl.backend(backend).state == state
        }
    }

    /// Clients of the backend that went go to their second choice and come home; nobody else moves at all.
    @Test func downAndUpAgain() throws {
        var servers = try (1...3).map { try BackendServer(.greet("b\($0)")) }
        let reloadable = try Reloadable([Self.service(Self.tcp, servers.map(\.address))])
        let daemon = reloadable.daemon
        let sources = (0..<40).map { clientHost($0) }
        let before = try reloadable.landings(sources)
        #expect(Set(before.values) == ["b1", "b2", "b3"])
        let row = try daemon.ctl.backend("b1")
        #expect(row.state == "up" && row.health == "up" && row.check == "tcp" && row.checkResult == "connected")
        #expect(row.checkedAt != nil && row.nextCheck != nil)

        let port = servers[0].address.port
        try servers[0].stop()
        try expect("down", of: "b1", daemon)
        #expect(try daemon.ctl.backend("b1").checkResult == "connect refused")
        #expect(!daemon.logLines(containing: "backend down: connect refused", "chat/b1").isEmpty)
        let during = try reloadable.landings(sources)
        for source in sources {
            let second = try daemon.ctl.locate(source).preference.map(\.backend).first { $0 != "b1" }
            #expect(during[source] == (before[source] == "b1" ? second : before[source]))
        }

        servers[0] = try BackendServer(.greet("b1"), port: port)
        try expect("up", of: "b1", daemon)
        #expect(try reloadable.landings(sources) == before)
        try daemon.stop()
    }

    /// A check that is lost among others changes nothing for anybody.
    @Test func oneLostCheckIsNoNews() throws {
        let number = Atomic(0)
        let flaky = try PlayedServer { socket in
            _ = try socket.receive()
            let isLost = number.add(1, ordering: .relaxed).newValue % 3 == 0
            try socket.send("HTTP/1.1 \(isLost ? 503 : 200) X\r\nContent-Length: 0\r\n\r\n")
            _ = try socket.receiveToEnd()
        }
        let reloadable = try Reloadable([Self.service(Self.http, [flaky.address])])
        try eventually("ten were lost") { number.load(ordering: .relaxed) >= 30 }
        #expect(try reloadable.ctl.backend("b1").state == "up")
        #expect(reloadable.daemon.logLines(containing: "backend down").isEmpty)
        try reloadable.daemon.stop()
    }

    /// Two daemons with one configuration, of which one cannot reach a backend: they agree on every order, and on every
    /// answer as soon as they see the same.
    @Test func twoDaemonsAgree() throws {
        let servers = try (1...3).map { try BackendServer(.greet("b\($0)")) }
        var blind = Self.service(Self.tcp, servers.map(\.address))
        let refusing = try Listener.refusing()
        blind.backends[0].settings = ["health = { port = \(refusing.address.port), fall = 1 }"]
        let one = try Reloadable([Self.service(Self.tcp, servers.map(\.address))])
        let other = try Reloadable([blind])
        #expect(try other.ctl.backend("b1").state == "down")
        #expect(try one.ctl.status().services[0].mappingHash == other.ctl.status().services[0].mappingHash)
        let sources = (0..<40).map { clientHost($0) }
        func answers(_ reloadable: Reloadable) throws -> [WhereDocument] {
            try sources.map { try reloadable.ctl.locate($0) }
        }
        let (ours, theirs) = (try answers(one), try answers(other))
        for (left, right) in zip(ours, theirs) {
            #expect(left.preference.map(\.backend) == right.preference.map(\.backend))
            let isElsewhere = left.chosen == "b1"
            #expect((left.chosen == right.chosen) == !isElsewhere)
        }
        try refusing.startListening()
        try expect("up", of: "b1", other.daemon)
        #expect(try answers(other).map(\.chosen) == ours.map(\.chosen))
        for reloadable in [one, other] { try reloadable.daemon.stop() }
    }

    /// Whoever comes before anything is known is accepted once it is known.
    @Test func theStartWaitsForTheFirstRound() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let reloadable = try Reloadable([
            Self.service("{ fall = 1, \(Self.fast) }", [refusing.address, second.address])
        ])
        #expect(try reloadable.ctl.backend("b1").state == "down")
        #expect(try reloadable.ctl.backend("b2").state == "up")
        // Nobody was sent to it first.
        #expect(try reloadable.landing(try reloadable.daemon.source(preferring: "b1")) == "b2")
        #expect(try reloadable.ctl.backend("b1").connectFailures == 0)
        try reloadable.daemon.stop()
    }

    /// A check that takes for ever holds the start up for its time-out and no longer; clients are served all the same.
    @Test func theStartWaitsForTheTimeOutAtMost() throws {
        let silent = try PlayedServer { socket in _ = try socket.receiveToEnd() }
        let reloadable = try Reloadable([
            Self.service(
                "{ type = \"http\", path = \"/\", timeout = \"300ms\", fall = 100, interval = \"100ms\" }",
                [silent.address])
        ])
        #expect(try reloadable.ctl.backend("b1").state == "checking")
        let client = try reloadable.daemon.connect()
        try eventually("checking ones are used while none is up") {
            try reloadable.daemon.connections(1)[0].state == "open"
        }
        client.close()
        try reloadable.daemon.stop()
    }

    @Test func aNewBackendGetsNobodyBeforeItsFirstPass() throws {
        let isUp = Mutex(false)
        let late = try PlayedServer { socket in
            _ = try socket.receive()
            if isUp.withLock({ $0 }) { try socket.send("HTTP/1.1 200 OK\r\n\r\n") }
            _ = try socket.receiveToEnd()
        }
        let first = try BackendServer(.greet("b1"))
        var service = Self.service(Self.tcp, [first.address])
        let reloadable = try Reloadable([service])
        let health = "health = { type = \"http\", path = \"/\", timeout = \"200ms\", fall = 100 }"
        service.backends.append(.init(name: "b2", address: late.address, settings: [health]))
        reloadable.services = [service]
        try reloadable.reload()
        let source = try reloadable.daemon.source(preferring: "b2")
        let row = try reloadable.ctl.backend("b2")
        #expect(row.state == "checking" && row.check == "http")
        for _ in 0..<10 { #expect(try reloadable.landing(source) == "b1") }
        let place = try reloadable.ctl.locate(source)
        #expect(place.preference[0].reason == "checking" && place.chosen == "b1")
        isUp.withLock { $0 = true }
        try expect("up", of: "b2", reloadable.daemon)
        #expect(try reloadable.ctl.locate(source).chosen == "b2")
        try reloadable.daemon.stop()
    }

    /// Whatever a server answers: it is down, in words that name it, after a bounded time and with bounded memory.
    @Test(arguments: [
        ("garbage", "no HTTP answer: it sent \"\\x1b[2Jgarbage"), ("silence", "timed out after 1s: no answer"),
        ("drip", "timed out after 1s: no whole answer"), ("flood", "no HTTP status in its first 64 KiB"),
        ("close", "closed the connection without an answer"),
        ("reset", "reset the connection before an answer was complete"), ("503", "HTTP 503, wanted 200-399"),
    ])
    func badAnswers(_ manner: String, _ words: String) throws {
        let bad = try PlayedServer { socket in
            // What was not read would make every end a reset.
            _ = try socket.receive()
            switch manner {
            case "garbage": try socket.send("\u{1b}[2Jgarbage\r\n")
            case "drip":
                for character in "HTTP/1.1 200 and no end of it" {
                    try socket.send(String(character))
                    usleep(400_000)
                }
            case "flood": try socket.send(Array("HTTP/1.1 ".utf8) + [UInt8](repeating: 0x61, count: 10_000_000))
            case "close": return
            case "reset": return socket.reset()
            case "503": try socket.send("HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n")
            default: break
            }
            _ = try socket.receiveToEnd()
        }
        let good = try PlayedServer { socket in
            _ = try socket.receive()
            try socket.send("HTTP/1.1 200 OK\r\n\r\n")
            _ = try socket.receiveToEnd()
        }
        let reloadable = try Reloadable([Self.service(Self.http, [bad.address, good.address])])
        try expect("down", of: "b1", reloadable.daemon)
        // A server that is slow, as the machine is busy, has run into the time-out first; not each time.
        try eventually("it is said why") {
            (try reloadable.ctl.backend("b1").checkResult ?? "-").hasPrefix(words)
        }
        #expect(try reloadable.ctl.backend("b2").state == "up")
        try eventually("who asks is told why") {
            let asked = try reloadable.ctl.run("check", "b1")
            #expect(asked.status == 1 && asked.stdout.contains("failed in "), "\(asked)")
            return asked.stdout.contains(words)
        }
        let fine = try reloadable.ctl.run("check", "b2")
        #expect(fine.status == 0 && fine.stdout.contains("passed in ") && fine.stdout.contains("HTTP 200"), "\(fine)")
        // Each check ends its connection.
        let before = bad.count
        try eventually("more checks") { bad.count >= before + 5 }
        #expect(bad.openCount <= 4)
        try reloadable.daemon.stop()
    }

    /// The kernel accepts for a process that does not: a tcp check passes, one that wants an answer does not.
    @Test func aProcessThatHangs() throws {
        let hanging = try Listener()
        let reloadable = try Reloadable([
            Self.service(Self.tcp, [hanging.address])
        ])
        #expect(try reloadable.ctl.backend("b1").state == "up")
        reloadable.services[0].settings = ["health = \(Self.http)"]
        try reloadable.reload()
        #expect(try reloadable.ctl.backend("b1").state == "up", "what is known goes on")
        try expect("down", of: "b1", reloadable.daemon)
        #expect(try reloadable.ctl.backend("b1").checkResult == "timed out after 1s: no answer")
        // Off, and it counts as up at once.
        reloadable.services[0].settings = ["health = \"off\""]
        try reloadable.reload()
        let row = try reloadable.ctl.backend("b1")
        #expect(row.state == "up" && row.check == "off" && row.checkResult == nil && row.nextCheck == nil)
        let refused = try reloadable.ctl.run("check", "b1")
        #expect(refused.status == 1 && refused.stderr.contains("has no check"), "\(refused)")
        try reloadable.daemon.stop()
    }

    @Test func aQueueThatIsFull() throws {
        let full = try Listener(backlog: 0)
        // A queue of none holds one; the next SYN is not answered.
        let first = try TCPSocket.connect(to: full.address)
        let check = "{ timeout = \"300ms\", interval = \"100ms\", fast-interval = \"100ms\" }"
        let reloadable = try Reloadable([Self.service(check, [full.address])])
        try expect("down", of: "b1", reloadable.daemon)
        #expect(try reloadable.ctl.backend("b1").checkResult == "timed out after 300ms: no connection")
        first.close()
        try reloadable.daemon.stop()
    }

    /// What is known goes on when the engine dies, and in an upgrade.
    @Test(arguments: ["death", "upgrade"])
    func whatIsKnownOutlivesTheEngine(_ way: String) throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let check = "{ interval = \"200ms\", fall = 2, rise = 3, timeout = \"1s\" }"
        let reloadable = try Reloadable([Self.service(check, [refusing.address, second.address])])
        let daemon = reloadable.daemon
        try expect("down", of: "b1", daemon)
        let since = try daemon.ctl.backend("b1").since
        let client = try reloadable.client(from: try daemon.source(preferring: "b1"))
        let engine = try daemon.enginePID
        if way == "death" { Glibc.kill(engine, SIGKILL) } else { try daemon.ctl.expect("upgrade") }
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        let row = try daemon.ctl.backend("b1")
        #expect(row.state == "down" && row.since == since)
        #expect(try daemon.ctl.backend("b2").state == "up")
        try expectEcho(client)
        try refusing.startListening()
        try expect("up", of: "b1", daemon)
        client.close()
        try daemon.stop()
    }

    /// In maintenance nothing is checked, and what was known stays.
    @Test func maintenance() throws {
        let server = try PlayedServer { socket in _ = try socket.receiveToEnd() }
        let other = try BackendServer(.greet("b2"))
        let reloadable = try Reloadable([Self.service(Self.tcp, [server.address, other.address])])
        try eventually("it is checked again and again") { server.count >= 3 }
        try reloadable.ctl.expect("disable", "b1")
        #expect(try reloadable.ctl.backend("b1").nextCheck == nil)
        // One may have been under way.
        try eventually("none is under way") { server.openCount == 0 }
        let count = server.count
        try reloadable.ctl.expect("check", "b1")
        try eventually("the one that was asked for") { server.count == count + 1 }
        try reloadable.ctl.expect("enable", "b1")
        #expect(try reloadable.ctl.backend("b1").state == "up")
        try eventually("it is checked again") { server.count >= count + 3 }
        try reloadable.daemon.stop()
    }

    /// Workers' failures take it down at once; the check takes it up again.
    @Test func failedConnectsTakeACheckedBackendDown() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let elsewhere = try BackendServer(.sink)
        let check = "{ interval = \"1h\", fast-interval = \"100ms\", port = \(elsewhere.address.port) }"
        let reloadable = try Reloadable([Self.service(check, [refusing.address, second.address])])
        #expect(try reloadable.ctl.backend("b1").state == "up")
        let source = try reloadable.daemon.source(preferring: "b1")
        for _ in 0..<3 { #expect(try reloadable.landing(source) == "b2") }
        try eventually("b1 is taken down and comes up again by its check") {
            !reloadable.daemon.logLines(containing: "backend down: connects fail", "b1").isEmpty
                && !reloadable.daemon.logLines(containing: "backend up: connected", "b1").isEmpty
        }
        try reloadable.daemon.stop()
    }

    @Test(arguments: ["v1", "v2"])
    func theCheckHasAHeaderWhereConnectionsHave(_ version: String) throws {
        let heard = Mutex<[UInt8]>([])
        let server = try PlayedServer { socket in
            let bytes = try socket.receive()
            heard.withLock { if $0.isEmpty { $0 = bytes } }
            try socket.send("HTTP/1.1 200 OK\r\n\r\n")
        }
        let reloadable = try Reloadable([
            Self.service(Self.http, [server.address], "send-proxy = \"\(version)\"")
        ])
        #expect(try reloadable.ctl.backend("b1").state == "up")
        let start =
            version == "v1"
            ? Array("PROXY UNKNOWN\r\nGET /up HTTP/1.1\r\n".utf8)
            : Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x20, 0, 0, 0] + Array("GET /up HTTP/1.1\r\n".utf8)
        #expect(heard.withLock { $0.starts(with: start) })
        try reloadable.daemon.stop()
    }

    /// Every change with its cause, one JSON object per line, also over the death of an engine.
    @Test func events() throws {
        let (first, second) = (try BackendServer(.sink), try BackendServer(.greet("b2")))
        let port = first.address.port
        let reloadable = try Reloadable([Self.service(Self.tcp, [first.address, second.address])])
        let daemon = reloadable.daemon
        try first.stop()
        try expect("down", of: "b1", daemon)
        let json = try ChildProcess([Programs.limpetctl, "--control", daemon.ctl.control, "--json", "events"])
        let table = try ChildProcess([Programs.limpetctl, "--control", daemon.ctl.control, "events"])
        // When they follow nothing tells: so there are changes until both have told one.
        try eventually("both tell a change") {
            let server = try BackendServer(.sink, port: port)
            try expect("up", of: "b1", daemon)
            try server.stop()
            try expect("down", of: "b1", daemon)
            return table.stdout.contains("up: connected") && json.stdout.contains("connected")
        }
        struct Event: Decodable {
            var schema: Int
            var version: String
            var time: String
            var event: String
            var service: String?
            var backend: String?
            var old: String?
            var new: String?
            var cause: String?
            var count: Int?
        }
        let line = try #require(json.stdout.split(separator: "\n").map(String.init).first { $0.contains("connected") })
        let event = try Ctl.decode(Event.self, line)
        #expect(event.event == "health" && event.service == "chat" && event.backend == "b1")
        #expect(event.old == "down" && event.new == "up" && event.cause == "connected" && event.count == nil)
        #expect(table.stdout.contains("chat/b1: down -> up: connected"))
        // It goes on with the next engine, and ends with the daemon.
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        let before = json.stdout.count
        try eventually("the next engine's changes are told") {
            let server = try BackendServer(.sink, port: port)
            try expect("up", of: "b1", daemon)
            try server.stop()
            try expect("down", of: "b1", daemon)
            return json.stdout.count > before
        }
        try daemon.stop()
        for process in [json, table] { #expect(try process.wait() == .exit(3), "\(process.stderr)") }
    }
}
