import Foundation
import Testing

/// Listeners that are Unix sockets.
@Suite(.ownThread, .fence)
struct UnixListenerTests {
    /// A directory that goes with the test.
    private final class Place: Sendable {
        let path: String
        init() throws { path = try temporaryDirectory() }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        func socket(_ name: String = "front") -> String { "unix:\(path)/\(name).sock" }
        func exists(_ name: String = "front") -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name).sock") }
        func permissions(_ name: String = "front") throws -> Int {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name).sock")
            return try #require(attributes[.posixPermissions] as? Int)
        }
    }

    private func setup(_ listen: String, _ backend: SocketAddress, _ settings: String = "") -> Daemon.Setup {
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "app"
            listen = \(listen)
            health = "off"
            \(settings)
            [[service.backend]]
            name = "b1"
            address = "\(backend)"
            """
        return setup
    }

    /// Words, streams and both ends, to a backend of either kind.
    @Test(arguments: [false, true]) func carriesBothWays(isUnix: Bool) throws {
        let place = try Place()
        let server = try Listener(isUnix ? place.socket("back") : "127.0.0.1")
        let daemon = try Daemon(setup("\"\(place.socket())\"", server.address))
        #expect(try place.permissions() == 0o660)
        let client = try daemon.connect()
        let served = try server.accept()
        try client.send("question")
        #expect(try served.receiveText(8) == "question")
        try served.send("answer")
        #expect(try client.receiveText(6) == "answer")
        let row = try daemon.connections(1)[0]
        #expect(row.client == "unix:uid=\(getuid())" && row.peer == row.client && row.clientLocal == nil)
        #expect(row.listener == place.socket() && row.backendAddress == server.address.description)
        #expect(row.bytesIn == 8 && row.bytesOut == 6)
        let pattern = Pattern(seed: 301)
        for (sender, receiver) in [(client, served), (served, client)] {
            let work = Background("bulk is sent") { try sender.send(pattern, count: 9_000_000) }
            #expect(try receiver.receive(pattern, upTo: 9_000_000) == 9_000_000)
            try work.value()
        }
        daemon.expectSleeping()
        try client.finish()
        #expect(try served.receiveToEnd() == ([], .fin))
        try served.send("the rest")
        served.close()
        #expect(try client.receiveToEnd() == (Array("the rest".utf8), .fin))
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
        #expect(!place.exists())
    }

    /// What a client has not read when it closes makes that a reset.
    @Test func aClientThatClosesWithSomethingUnread() throws {
        let place = try Place()
        let server = try Listener()
        let daemon = try Daemon(setup("\"\(place.socket())\"", server.address))
        let client = try daemon.connect()
        let served = try server.accept()
        try served.send("unread")
        try eventually("it has come") { client.ready(POLLIN) }
        client.close()
        #expect(try served.receiveToEnd() == ([], .reset))
        served.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Who the client is decides where it goes, what it may, and what is listed.
    @Test func clientsAreUsers() throws {
        let place = try Place()
        let servers = [try BackendServer(.greet("b1")), try BackendServer(.greet("b2"))]
        let daemon = try Reloadable([
            .init(
                listen: [place.socket()], settings: ["max-connections-per-client = 2"],
                backends: Reloadable.backends(servers))
        ])
        daemon.servers = servers
        let user = "unix:uid=\(getuid())"
        let located = try daemon.ctl.locate(user)
        #expect(located.address == user && located.key == user)
        let clients = [try daemon.daemon.connect(), try daemon.daemon.connect()]
        for client in clients { #expect(try client.receiveLine().hasPrefix(located.chosen ?? "-")) }
        #expect(try daemon.ctl.connections("--client", user).count == 2)
        #expect(try daemon.ctl.connections("--client", "unix:uid=54321").isEmpty)
        #expect(try daemon.ctl.connections("--client", "0.0.0.0/0").isEmpty)
        let third = try daemon.daemon.connect()
        #expect(try becomes(within: .seconds(5)) { (try? third.receive())?.isEmpty ?? true })
        for client in clients + [third] { client.close() }
        try daemon.daemon.waitUntilIdle()
        try daemon.daemon.stop()
    }

    /// One socket, and every worker has its share of those who come.
    @Test func allWorkersAccept() throws {
        let place = try Place()
        let server = try Listener()
        let daemon = try Daemon(setup("\"\(place.socket())\"", server.address))
        var ends: [TCPSocket] = []
        for _ in 0..<40 {
            ends.append(try daemon.connect())
            ends.append(try server.accept())
        }
        let rows = try daemon.connections(40)
        #expect(Set(rows.map(\.worker)) == [0, 1])
        for end in ends { end.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A user is in no network: lists do not count, and nobody is trusted to say who it is.
    @Test func networksSayNothingOfUsers() throws {
        let place = try Place()
        let server = try Listener()
        var setup = setup(
            "[\"\(place.socket())\", \"127.0.0.1:0\"]", server.address,
            """
            allow = ["192.0.2.0/24"]
            accept-proxy = ["0.0.0.0/0", "::/0"]
            affinity = "1h"
            """)
        setup.file = "access-log = \"end\"\n" + (setup.file ?? "")
        let daemon = try Daemon(setup)
        let user = "unix:uid=\(getuid())"
        let client = try daemon.connect()
        let served = try server.accept()
        let text = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello"
        for byte in text { try client.send("\(byte)") }
        #expect(try served.receiveText(text.utf8.count) == text)
        let row = try daemon.connections(1)[0]
        #expect(row.client == user && row.peer == user)
        let remembered = try daemon.ctl.expect("affinity", user)
        #expect(remembered.contains(user) && remembered.contains("b1"), "\(remembered)")
        #expect(try daemon.ctl.expect("affinity", "unix:uid=54321").contains(user) == false)
        #expect(try daemon.ctl.locate(user).chosen == "b1")
        // By TCP the list counts.
        let stranger = try TCPSocket.connect(to: daemon.listeners[1])
        try stranger.send("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n")
        #expect(try stranger.receiveToEnd() == ([], .reset))
        client.close()
        #expect(try served.receiveToEnd() == ([], .fin))
        served.close()
        try eventually("its end is told") { !daemon.logLines(containing: "client=\(user) peer=\(user)").isEmpty }
        let line = daemon.logLines(containing: "client=\(user)")[0]
        #expect(line.contains("listener=\(place.socket()) "), "\(line)")
        #expect(line.contains("bytes_in=\(text.utf8.count) "), "\(line)")
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Backends are told that nothing is known of the client.
    @Test(arguments: [
        ("v1", Array("PROXY UNKNOWN\r\n".utf8)),
        ("v2", Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x20, 0, 0, 0]),
    ])
    func headersNameNoUser(_ version: String, _ header: [UInt8]) throws {
        let place = try Place()
        let server = try Listener(place.socket("back"))
        let daemon = try Daemon(setup("\"\(place.socket())\"", server.address, "send-proxy = \"\(version)\""))
        let client = try daemon.connect()
        let served = try server.accept()
        try client.send("hello")
        #expect(try served.receive(exactly: header.count) == header)
        #expect(try served.receiveText(5) == "hello")
        client.close()
        served.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Sockets that are passed, by name and by path; their files are not the daemon's to remove.
    @Test func takesSocketsThatArePassed() throws {
        let place = try Place()
        let server = try BackendServer(.greet("b1"))
        let paths = [place.socket("a"), place.socket("b")]
        let daemon = try Reloadable(
            [
                .init(listen: ["fd:web", paths[1]], backends: Reloadable.backends([server]))
            ]
        ) { setup in
            setup.wrapper = SocketPassing.wrapper("web=\(paths[0]):0", "other=\(paths[1]):0")
        }
        #expect(try daemon.ctl.listeners().map(\.options) == [["fd:web"], ["inherited"]])
        #expect(try daemon.ctl.listeners().map(\.address) == paths)
        func areServed() throws {
            for address in daemon.daemon.listeners {
                let client = try TCPSocket.connect(to: address)
                #expect(try client.receiveLine().hasPrefix("b1"))
            }
        }
        try areServed()
        kill(try daemon.daemon.enginePID, SIGKILL)
        try areServed()
        try daemon.ctl.expect("upgrade")
        try areServed()
        daemon.services[0].settings = ["idle-timeout = \"1h\"", "send-buffer = \"64KiB\""]
        try daemon.reload()
        try areServed()
        daemon.services[0].listen.removeLast()
        try daemon.reload()
        #expect(place.exists("b"))
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: daemon.daemon.listeners[1]) }
        try daemon.daemon.waitUntilIdle()
        try daemon.daemon.stop()
        #expect(place.exists("a"))
    }

    /// What has no place at a socket that is passed.
    @Test(arguments: [
        ("{ address = \"fd:web\", allow = [\"10.0.0.0/8\"] }", "allow is for IP addresses"),
        ("{ address = \"PATH\", mode = \"0600\" }", "leave mode, owner and group out"),
    ])
    func refusesOptionsOfSocketsThatArePassed(_ listen: String, _ problem: String) throws {
        let place = try Place()
        var setup = setup(
            listen.replacingOccurrences(of: "PATH", with: place.socket()), SocketAddress("127.0.0.1", 9))
        setup.wrapper = SocketPassing.wrapper("web=\(place.socket()):0")
        let refused = try Daemon.refuses(setup)
        #expect(refused.status == 1 && refused.stderr.contains(problem), "\(refused)")
    }

    // MARK: The file

    @Test(.enabled(if: isRoot)) func hasItsModeAndItsOwner() throws {
        let place = try Place()
        chmod(place.path, 0o755)
        let server = try Listener()
        let listen = """
            [
                { address = "\(place.socket("a"))", mode = "0600", owner = "daemon", group = "nogroup" },
                { address = "\(place.socket("b"))", mode = "666" }, "unix:@limpet-\(getpid())-\(place.path)",
            ]
            """
        var setup = setup(listen, server.address)
        setup.user = "nobody"
        let daemon = try Daemon(setup)
        #expect(try place.permissions("a") == 0o600 && place.permissions("b") == 0o666)
        let owners = try ["a", "b"].map { name in
            try FileManager.default.attributesOfItem(atPath: "\(place.path)/\(name).sock")[.ownerAccountName] as? String
        }
        #expect(owners == ["daemon", "nobody"])
        for listener in daemon.listeners {
            let client = try TCPSocket.connect(to: listener)
            let served = try server.accept()
            try client.send("x")
            #expect(try served.receiveText(1) == "x")
            client.close()
            served.close()
        }
        let options = try daemon.ctl.expect("listeners", "--json")
        #expect(options.contains("mode=0600") && options.contains("owner=daemon") && options.contains("group=nogroup"))
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// What a daemon has left that was killed is in nobody's way; another's socket and another's file are.
    @Test func whatIsThereAlready() throws {
        let place = try Place()
        let server = try Listener()
        let stale = try Listener(place.socket("stale"))
        stale.close()
        #expect(place.exists("stale"))
        let daemon = try Daemon(setup("\"\(place.socket("stale"))\"", server.address))
        let second = try Daemon.refuses(setup("\"\(place.socket("stale"))\"", server.address))
        #expect(second.status == 1 && second.stderr.contains("another program listens there (ss -lxp"), "\(second)")
        let client = try daemon.connect()
        try server.accept().close()
        client.close()
        try "x".write(toFile: "\(place.path)/file.sock", atomically: false, encoding: .utf8)
        let third = try Daemon.refuses(setup("\"\(place.socket("file"))\"", server.address))
        #expect(third.status == 1 && third.stderr.contains("what is there is no socket"), "\(third)")
        #expect(place.exists("file"))
        let nowhere = try Daemon.refuses(setup("\"unix:\(place.path)/none/x.sock\"", server.address))
        #expect(nowhere.status == 1 && nowhere.stderr.contains("make the directory first"), "\(nowhere)")
        let nobody = try Daemon.refuses(
            setup("{ address = \"\(place.socket("n"))\", owner = \"no-such-user\" }", server.address))
        #expect(nobody.status == 1 && nobody.stderr.contains("user \"no-such-user\" does not exist"), "\(nobody)")
        #expect(!place.exists("n"))
        // One that has taken its place is not removed.
        unlink("\(place.path)/stale.sock")
        let other = try Listener(place.socket("stale"))
        try daemon.stop()
        #expect(place.exists("stale"))
        other.close()
    }

    // MARK: Deaths, reloads, upgrades

    /// Connections and the socket outlive the engine, the image, and the moment between accept and record.
    @Test func outlivesDeathsAndUpgrades() throws {
        let place = try Place()
        let server = try Listener(place.socket("back"))
        var setup = setup("\"\(place.socket())\"", server.address)
        setup.environment["LIMPET_BACKOFF"] = "off"
        let daemon = try Daemon(setup)
        let client = try daemon.connect()
        let served = try server.accept()
        for round in 0..<4 {
            try client.send("in\(round)")
            if round % 2 == 0 {
                let engine = try daemon.enginePID
                kill(engine, SIGKILL)
                // Somebody comes while nobody is there.
                let late = try daemon.connect()
                _ = try daemon.nextEngine(after: engine)
                let taken = try server.accept()
                try late.send("late")
                #expect(try taken.receiveText(4) == "late")
                late.close()
                taken.close()
            } else {
                try daemon.ctl.expect("upgrade")
            }
            #expect(try served.receiveText(3) == "in\(round)")
            try served.send("out\(round)")
            #expect(try client.receiveText(4) == "out\(round)")
        }
        client.close()
        served.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
        #expect(!place.exists())
    }

    /// A reload adds and takes away; the file goes, and whoever is there stays. Whom a file belongs to it cannot change.
    @Test func comesAndGoesWithAReload() throws {
        let place = try Place()
        let server = try BackendServer(.echo)
        let daemon = try Reloadable([server], listen: ["127.0.0.1:0", place.socket("other")])
        daemon.services[0].listen.append(place.socket())
        try daemon.reload()
        #expect(place.exists())
        let client = try TCPSocket.connect(to: try #require(SocketAddress(place.socket())))
        try client.send("x")
        #expect(try client.receiveText(1) == "x")
        try daemon.ctl.expect("pause", place.socket())
        let waiting = try TCPSocket.connect(to: try #require(SocketAddress(place.socket())))
        try waiting.send("y")
        #expect(waiting.isQuiet)
        try daemon.ctl.expect("resume", place.socket())
        #expect(try waiting.receiveText(1) == "y")
        let before = try daemon.picture()
        let file = try String(contentsOfFile: daemon.path, encoding: .utf8)
        try daemon.write(
            file.replacingOccurrences(
                of: "\"\(place.socket())\"", with: "{ address = \"\(place.socket())\", mode = \"0600\" }"))
        let refused = try daemon.ctl.run("reload")
        #expect(refused.status != 0 && refused.stderr.contains("mode"), "\(refused)")
        #expect(try daemon.picture() == before && place.permissions() == 0o660)
        daemon.services[0].listen.removeLast()
        try daemon.reload()
        #expect(!place.exists())
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: try #require(SocketAddress(place.socket()))) }
        try client.send("z")
        #expect(try client.receiveText(1) == "z")
        client.close()
        waiting.close()
        try daemon.daemon.waitUntilIdle()
        try daemon.daemon.stop()
    }
}
