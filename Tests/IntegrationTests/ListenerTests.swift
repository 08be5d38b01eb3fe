import Foundation
import Testing

/// Where clients arrive, and what stands in the way of listening there.
@Suite(.ownThread, .fence)
struct ListenerTests {
    private func setup(listen: [String]) -> Daemon.Setup {
        var setup = Daemon.Setup()
        setup.listen = listen
        setup.backends = [Daemon.Backend(name: "b1", address: SocketAddress("127.0.0.1", 9))]
        return setup
    }

    /// The one line that says why it did not start.
    private func reason(_ outcome: Outcome, sourceLocation: SourceLocation = #_sourceLocation) -> String {
        let lines = outcome.stderrLines.filter { !$0.contains("staying root") }
        #expect(outcome.ending == .exit(1), "\(outcome)", sourceLocation: sourceLocation)
        #expect(lines.count == 1, "\(outcome)", sourceLocation: sourceLocation)
        return lines.first ?? ""
    }

    @Test func aPortThatIsTakenIsNamedWithACure() throws {
        let other = try Listener()
        let line = reason(try Daemon.refuses(setup(listen: ["\(other.address)"])))
        #expect(
            line.contains("\(other.address)") && line.contains("EADDRINUSE") && line.contains("ss -ltnp"), "\(line)")
    }

    @Test func anAddressThatIsNotOursIsNamedWithACure() throws {
        let line = reason(try Daemon.refuses(setup(listen: ["192.0.2.1:4711"])))
        #expect(
            line.contains("192.0.2.1:4711") && line.contains("EADDRNOTAVAIL") && line.contains("ip address"), "\(line)")
    }

    /// The second of two addresses fails: the first is not left listening, and nothing has been made.
    @Test func oneBadAddressOfTwoIsEnough() throws {
        let other = try Listener()
        let line = reason(try Daemon.refuses(setup(listen: ["127.0.0.1:0", "\(other.address)"])))
        #expect(line.contains("\(other.address)"), "\(line)")
    }

    /// SO_REUSEPORT would let it in, and half of the clients with it.
    @Test func aSecondDaemonOnTheSamePortIsRefused() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let line = reason(try Daemon.refuses(setup(listen: ["\(daemon.address)"])))
        #expect(line.contains("\(daemon.address)") && line.contains("EADDRINUSE"), "\(line)")
        try expectService(daemon)
        try daemon.stop()
    }

    @Test func aSecondDaemonInTheSameStateDirectoryIsRefused() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        var second = setup(listen: ["127.0.0.1:0"])
        second.stateDirectory = "\(daemon.directory)/state"
        let line = reason(try Daemon.refuses(second))
        #expect(line.contains("\(daemon.directory)/state") && line.contains("--state-directory"), "\(line)")
        try expectService(daemon)
        try daemon.stop()
    }

    @Test func aStateDirectoryThatCannotBeMadeIsRefused() throws {
        var broken = setup(listen: ["127.0.0.1:0"])
        broken.stateDirectory = "/dev/null/limpet"
        let line = reason(try Daemon.refuses(broken))
        #expect(line.contains("/dev/null") && line.contains("ENOTDIR"), "\(line)")
    }

    @Test(arguments: [("127.0.0.1", "::1"), ("::1", "127.0.0.1"), ("::1", "::1")])
    func familiesMayDiffer(_ listen: String, _ host: String) throws {
        let backend = try BackendServer(.greet("b1"), on: host)
        var setup = Daemon.Setup()
        setup.listen = ["\(SocketAddress(listen, 0))"]
        setup.backends = [Daemon.Backend(name: "b1", address: backend.address)]
        let daemon = try Daemon(setup)
        #expect(daemon.address.host == listen)
        let client = try daemon.connect()
        let greeting = try client.receiveLine()
        let row = try daemon.connections(1)[0]
        #expect(row.client == client.local.description)
        #expect(row.clientLocal == daemon.address.description)
        #expect(row.backendAddress == backend.address.description)
        #expect(row.backendLocal.map { "b1 \($0)" } == greeting)
        let choice = try daemon.ctl.locate(listen)
        #expect(choice.chosen == "b1")
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// A client is the same client by whichever address of the service it comes.
    @Test func aServiceMayHaveSeveralAddresses() throws {
        let backends = try (1...4).map { try BackendServer(.greet("b\($0)")) }
        var setup = Daemon.Setup()
        setup.listen = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"]
        setup.backends = backends.enumerated().map {
            Daemon.Backend(name: "b\($0.offset + 1)", address: $0.element.address)
        }
        let daemon = try Daemon(setup)
        #expect(daemon.listeners.map(\.host) == ["127.0.0.1", "127.0.0.2", "::1"])
        for number in 0..<10 {
            let names = try daemon.listeners.prefix(2).map {
                try TCPSocket.connect(to: $0, from: clientHost(number)).receiveLine().prefix(2)
            }
            #expect(names[0] == names[1])
        }
        #expect(try TCPSocket.connect(to: daemon.listeners[2]).receiveLine().hasPrefix("b"))
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.listeners().map(\.accepted) == [10, 10, 1])
        try daemon.stop()
    }

    /// A port in TIME-WAIT from the last run is no obstacle.
    @Test func itMayComeBackToItsPortAtOnce() throws {
        let backend = try BackendServer(.echo)
        let first = try Daemon([backend.address])
        let client = try first.connect()
        try client.send("x")
        _ = try client.receiveText(1)
        try first.stop()
        _ = try client.receiveToEnd()
        var setup = Daemon.Setup()
        setup.listen = ["\(first.address)"]
        setup.backends = [Daemon.Backend(name: "b1", address: backend.address)]
        let second = try Daemon(setup)
        #expect(second.address == first.address)
        try expectService(second)
        try second.stop()
    }

    @Test func controlSocketOfALivingDaemonIsRefusedAndAStaleOneIsReplaced() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let refused = try run(
            [Programs.limpetd, "--control", daemon.ctl.control, "--state-directory", "\(daemon.directory)/second"]
                + ["--listen", "127.0.0.1:0", "--backend", "\(backend.address)"] + (isRoot ? ["--user", "root"] : []))
        #expect(reason(refused).contains(daemon.ctl.control), "\(refused)")
        try expectService(daemon)
        // Killed, it leaves its socket file behind.
        try daemon.kill()
        #expect(FileManager.default.fileExists(atPath: daemon.ctl.control))
        #expect(try daemon.ctl.run("status").status == 3)
        let heir = try ChildProcess(
            [Programs.limpetd, "--control", daemon.ctl.control, "--state-directory", "\(daemon.directory)/state"]
                + ["--listen", "127.0.0.1:0", "--backend", "\(backend.address)"] + (isRoot ? ["--user", "root"] : []))
        try eventually("the heir answers; it said \(heir.stderr)") { try daemon.ctl.run("ready", "-q").status == 0 }
        #expect(try daemon.ctl.status().pid == heir.pid)
        heir.signal(SIGTERM)
        #expect(try heir.wait() == .exit(0))
    }

    /// What stands there and is no socket is not ours to remove.
    @Test func aFileInPlaceOfTheControlSocketIsNotRemoved() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try "precious".write(toFile: "\(directory)/control.sock", atomically: false, encoding: .utf8)
        let outcome = try run(
            [Programs.limpetd, "--control", "\(directory)/control.sock", "--state-directory", "\(directory)/state"]
                + ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9"] + (isRoot ? ["--user", "root"] : []))
        #expect(reason(outcome).contains("\(directory)/control.sock"), "\(outcome)")
        #expect(try String(contentsOfFile: "\(directory)/control.sock", encoding: .utf8) == "precious")
    }

    private func expectService(_ daemon: Daemon) throws {
        for number in 0..<8 {
            let client = try daemon.connect(from: clientHost(number))
            try client.send("ok")
            #expect(try client.receiveText(2) == "ok")
        }
    }
}
