import Foundation
import Synchronization
import Testing

/// A daemon that is given its listening sockets.
@Suite(.ownThread, .fence)
struct SocketActivationTests {
    private func setup(_ listen: [String], _ servers: [BackendServer] = [], _ wrapper: [String]) -> Daemon.Setup {
        var setup = Daemon.Setup()
        setup.listen = listen
        setup.backends = servers.enumerated().map {
            Daemon.Backend(name: "b\($0.offset + 1)", address: $0.element.address)
        }
        if servers.isEmpty { setup.backends = [Daemon.Backend(name: "b1", address: SocketAddress("127.0.0.1", 9))] }
        setup.wrapper = wrapper
        return setup
    }

    private func freePort(_ host: String = "127.0.0.1") throws -> UInt16 {
        let listener = try Listener(host, backlog: nil)
        defer { listener.close() }
        return listener.address.port
    }

    private func greeting(_ address: SocketAddress) throws -> String {
        String(try TCPSocket.connect(to: address).receiveLine().prefix { $0 != " " })
    }

    /// By name and by address, beside one that it binds itself; over a death, an upgrade and reloads.
    @Test func listenersAreTaken() throws {
        let servers = try (1...2).map { try BackendServer(.greet("b\($0)")) }
        let port = try freePort("::1")
        let daemon = try Reloadable(
            [
                Reloadable.Service(
                    listen: ["fd:web", "[::1]:\(port)", "127.0.0.3:0"], backends: Reloadable.backends([servers[0]]))
            ]
        ) { setup in
            setup.wrapper = SocketPassing.wrapper("web=tcp:127.0.0.1:0", "other=tcp:::1:\(port)")
        }
        let rows = try daemon.ctl.listeners()
        #expect(rows.map(\.options) == [["fd:web"], ["inherited"], []])
        #expect(rows[1].name == "[::1]:\(port)")
        let addresses = try rows.map { try #require(SocketAddress($0.address)) }
        for address in addresses { #expect(try greeting(address) == "b1") }

        // All workers accept from the one socket.
        var clients: [TCPSocket] = []
        try eventually("both workers have clients") {
            clients.append(try TCPSocket.connect(to: addresses[0]))
            _ = try clients[clients.count - 1].receiveLine()
            return Set(try daemon.ctl.connections().map(\.worker)) == [0, 1]
        }
        #expect(clients.count < 40)

        let engine = try daemon.daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("the next engine serves") { try daemon.daemon.enginePID != engine }
        for address in addresses { #expect(try greeting(address) == "b1") }
        // Nothing of the variables is left for what comes after.
        let environment = { try String(contentsOfFile: "/proc/\(daemon.daemon.pid)/environ", encoding: .utf8) }
        #expect(try environment().contains("LISTEN_FDS"))
        try daemon.ctl.expect("upgrade")
        #expect(try !environment().contains("LISTEN_FDS"))
        for address in addresses { #expect(try greeting(address) == "b1") }

        // Paused, the clients wait; resumed, they are served.
        try daemon.ctl.expect("pause", rows[0].name)
        let waiting = try TCPSocket.connect(to: addresses[0])
        try daemon.ctl.expect("resume", rows[0].name)
        #expect(try waiting.receiveLine().hasPrefix("b1"))

        // A reload leaves them open, and lets them go over to another service.
        daemon.services[0].listen.removeFirst()
        daemon.services.append(
            Reloadable.Service(name: "more", listen: ["fd:web"], backends: Reloadable.backends([servers[0]])))
        daemon.services[1].backends[0].address = servers[1].address
        try daemon.reload()
        #expect(try greeting(addresses[0]) == "b2")
        for client in clients { try expectEcho(client) }
        // Gone is gone, and another name was never there.
        for text in ["fd:web", "fd:none"] {
            if text == "fd:web" {
                daemon.services.removeLast()
                let warnings = try daemon.reload().warnings
                #expect(warnings.count == 1 && warnings[0].hasPrefix("listen fd:web: as long as"), "\(warnings)")
                #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: addresses[0]) }
            }
            daemon.services[0].listen.append(text)
            let outcome = try daemon.tryReload()
            #expect(outcome.status == 1 && outcome.stderr.contains("listen \(text): no socket"), "\(outcome)")
            #expect(try daemon.tryReload("--dry-run").status == 1)
            daemon.services[0].listen.removeLast()
        }
        for client in clients { try expectEcho(client) }
        try daemon.daemon.stop()
    }

    /// Whoever has started the daemon by connecting waits in the queue when the socket gets its options, and has them all
    /// the same.
    @Test(arguments: [nil, "ACCEPTED", "CLIENT_NAMED"])
    func whoCameBeforeTheDaemon(death: String?) throws {
        if death != nil, !Programs.isDebug { return }
        let server = try BackendServer(.greet("b1"))
        let address = SocketAddress("127.0.0.1", try freePort())
        var setup = setup(["fd:web"], [server], SocketPassing.wrapper("web=tcp:\(address)"))
        setup.environment = ["TEST_CLIENTS_FIRST": "1", "LIMPET_BACKOFF": "off"]
        setup.environment["LIMPET_INJECT"] = try death.map { "\(try Injection.point("LIMPET_AT_" + $0)):1" }
        let early = Background("a client connects before the daemon runs") {
            while true {
                do { return try TCPSocket.connect(to: address) } catch let error as SocketFailure {
                    guard error.code == ECONNREFUSED else { throw error }
                    usleep(1000)
                }
            }
        }
        let daemon = try Daemon(setup)
        let client = try early.value()
        #expect(try client.receiveLine().hasPrefix("b1"))
        try client.send("before ")
        try client.sendUrgent(UInt8(ascii: "!"))
        try client.send(" after")
        #expect(try client.receiveText(14) == "before ! after")
        // Its keepalive runs, as it does for the one who comes now.
        let late = try TCPSocket.connect(to: address)
        _ = try late.receiveLine()
        for client in [late, client] {
            try eventually("keepalive runs") { KernelSocket.between(address, client.local)?.timer == 2 }
        }
        // A death knows how many bytes there were.
        kill(try daemon.enginePID, SIGKILL)
        for client in [late, client] { try expectEcho(client) }
        for client in [late, client] { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Whoever shares the socket shuts it down: that is said, nobody spins, and another engine listens again.
    @Test(.enabled(if: isRoot)) func aSocketCeasesToListen() throws {
        let server = try BackendServer(.greet("b1"))
        // A port that the kernel chose would be another then.
        let address = SocketAddress("127.0.0.1", try freePort())
        var setup = setup(["fd:web", "127.0.0.3:0"], [server], SocketPassing.wrapper("web=tcp:\(address)"))
        setup.environment["LIMPET_BACKOFF"] = "off"
        let daemon = try Daemon(setup)
        let (web, other) = (daemon.listeners[0], daemon.listeners[1])
        let client = try TCPSocket.connect(to: web)
        _ = try client.receiveLine()
        let engine = try daemon.enginePID
        try ForeignSockets.withSocket(of: engine, between: web, and: nil) { _ = shutdown($0.fd, Int32(SHUT_RDWR)) }
        try eventually("it is said") {
            daemon.logLines(containing: "a listener's socket does not listen", "fd:web").count == 1
        }
        daemon.expectSleeping()
        let rows = try daemon.ctl.listeners()
        #expect(rows[0].state == "paused" && rows[0].reason == "its socket does not listen")
        #expect(rows[1].state == "accepting" && rows[1].reason == nil)
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: web) }
        #expect(try greeting(other) == "b1")
        try expectEcho(client)
        kill(engine, SIGKILL)
        try eventually("the next engine listens") { (try? greeting(web)) == "b1" }
        #expect(try daemon.ctl.listeners().map(\.state) == ["accepting", "accepting"])
        try expectEcho(client)
        try daemon.stop()
    }

    /// A burst of clients at one socket: each is served, by whichever worker.
    @Test func aBurstAtOneSocket() throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Daemon(setup(["fd:web"], [server], SocketPassing.wrapper("web=tcp:127.0.0.1:0")))
        let clients = try (0..<400).map { try TCPSocket.connect(to: daemon.address, from: clientHost($0 % 200)) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b1")) }
        let workers = try daemon.ctl.connections().map(\.worker)
        #expect(workers.count == 400 && Set(workers) == [0, 1])
        for client in clients { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Engines die and reloads come while clients connect to the one socket: none is refused, none waits in vain.
    @Test func nobodyIsLostAtASharedSocket() throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Reloadable(
            [Reloadable.Service(listen: ["fd:web"], backends: Reloadable.backends([server]))]
        ) { setup in
            setup.wrapper = SocketPassing.wrapper("web=tcp:127.0.0.1:0")
            setup.environment = ["LIMPET_BACKOFF": "off"]
        }
        let address = daemon.daemon.address
        let stop = Flag()
        let served = Atomic(0)
        let swarm = (0..<3).map { thread in
            Background("clients \(thread)") {
                var failures: [String] = []
                while !stop.isSet {
                    do {
                        let client = try TCPSocket.connect(to: address, from: clientHost(thread))
                        if try !client.receiveLine().hasPrefix("b1") { failures.append("no greeting") }
                        served.add(1, ordering: .relaxed)
                    } catch {
                        failures.append("\(error)")
                    }
                }
                return failures
            }
        }
        for round in 0..<12 {
            let goal = served.load(ordering: .relaxed) + 20
            if round % 3 == 2 {
                daemon.services[0].settings = [
                    "idle-timeout = \"\(round + 10)s\"", "send-buffer = \"\(64 + round)KiB\"",
                ]
                try daemon.reload()
            } else {
                kill(try daemon.daemon.enginePID, SIGKILL)
            }
            try eventually("more are served") { served.load(ordering: .relaxed) >= goal }
        }
        stop.set()
        for clients in swarm { #expect(try clients.value() == []) }
        try daemon.daemon.waitUntilIdle()
        try daemon.daemon.stop()
    }

    /// A port below 1024, bound by root, for a daemon that has no right at all.
    @Test(.enabled(if: isRoot)) func anOrdinaryUserServesAPrivilegedPort() throws {
        let server = try BackendServer(.greet("b1"))
        var setup = setup(
            ["fd:web"], [server],
            SocketPassing.wrapper("web=tcp:127.7.7.7:77") + [
                "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--no-new-privs",
            ])
        setup.user = nil
        let daemon = try Daemon(setup)
        #expect(try greeting(SocketAddress("127.7.7.7", 77)) == "b1")
        try daemon.stop()
    }

    private func refusal(_ setup: Daemon.Setup) throws -> String {
        let outcome = try Daemon.refuses(setup)
        #expect(outcome.ending == .exit(1), "\(outcome)")
        return outcome.stderr
    }

    @Test func whatIsNotTakenOrCannotBeIsNamed() throws {
        let one = "web=tcp:127.0.0.1:0"
        #expect(
            try refusal(setup(["127.0.0.1:0"], [], SocketPassing.wrapper(one))).contains(
                "no listener takes what was passed to limpetd: web (127.0.0.1:"))
        #expect(
            try refusal(setup(["fd:wbe"], [], SocketPassing.wrapper(one))).contains(
                "listen fd:wbe: no socket of this name was passed to limpetd; there are web (127.0.0.1:"))
        #expect(
            try refusal(setup(["fd:web"], [], SocketPassing.wrapper("web=udp:127.0.0.1:0"))).contains(
                "descriptor 3 (web), which was passed to limpetd, is a datagram socket"))
        #expect(
            try refusal(setup(["fd:web"], [], SocketPassing.wrapper("web=idle:127.0.0.1:0"))).contains("Accept=no"))
        #expect(
            try refusal(setup(["fd:web"], [], [])).contains(
                "listen fd:web: no socket is left that was passed to limpetd: have it started by its socket unit"))
        // They were for another process.
        var foreign = setup(["fd:web"], [], SocketPassing.wrapper(one))
        foreign.environment["TEST_PID_OFF"] = "1"
        #expect(try refusal(foreign).contains("no socket is left"))
        foreign.environment = ["TEST_LISTEN_FDS": "many"]
        #expect(try refusal(foreign).contains("LISTEN_FDS=many is not a number of sockets"))
    }

    /// What only IP addresses have is refused at the start and at a reload, and nothing has changed.
    @Test(arguments: ["deny = [\"10.0.0.0/8\"]", "intercept = true"])
    func aPassedUnixSocketHasNoOptionsOfAddresses(_ option: String) throws {
        let server = try BackendServer(.greet("b1"))
        let path = FileManager.default.temporaryDirectory.appending(path: "limpet-\(UUID().uuidString).sock").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let wrapper = SocketPassing.wrapper("web=unix:\(path):0")
        let (plain, odd) = ("fd:web", "{ address = \"fd:web\", \(option) }")
        let line =
            "listen fd:web: what was passed is the Unix socket unix:\(path), and \(option.prefix { $0 != " " }) is for IP"
            + " addresses: leave it out"
        let daemon = try Reloadable([
            Reloadable.Service(listen: [plain], backends: Reloadable.backends([server]))
        ]) { setup in setup.wrapper = wrapper }
        let before = try daemon.picture()
        daemon.services[0].listen = [odd]
        for refused in [try daemon.tryReload("--dry-run"), try daemon.tryReload()] {
            #expect(refused.status == 1 && refused.stderr.contains(line), "\(refused)")
        }
        #expect(try daemon.picture() == before)
        try daemon.daemon.stop()
    }
}
