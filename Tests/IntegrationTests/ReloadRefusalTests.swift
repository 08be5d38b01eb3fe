import Foundation
import Testing

/// What cannot be done is refused in words, and then nothing has changed.
@Suite(.ownThread, .fence)
struct ReloadRefusalTests {
    private func greeters(_ count: Int) throws -> [BackendServer] {
        try (1...count).map { try BackendServer(.greet("b\($0)")) }
    }

    /// Reloads, and checks that it is refused, that nothing has changed, and that `--dry-run` says the same.
    private func expectRefusal(
        _ daemon: Reloadable, status: Int32, _ parts: String..., lines: Int = 1,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let client = try daemon.client(from: clientHost(7))
        let before = try daemon.picture()
        for arguments in [["reload", "--dry-run"], ["reload"]] {
            let outcome = try daemon.ctl.run(arguments)
            #expect(outcome.status == status && outcome.stdout.isEmpty, "\(outcome)", sourceLocation: sourceLocation)
            #expect(outcome.stderrLines.count == lines, "\(outcome)", sourceLocation: sourceLocation)
            for part in parts {
                #expect(outcome.stderr.contains(part), "\(part) in \(outcome)", sourceLocation: sourceLocation)
            }
        }
        #expect(try daemon.picture() == before, sourceLocation: sourceLocation)
        try expectEcho(client, sourceLocation: sourceLocation)
    }

    @Test func aFileWithErrorsIsRefusedWithAllOfThem() throws {
        let daemon = try Reloadable(try greeters(2))
        daemon.services[0].settings = ["idle-timeout = 5", "conect-timeout = \"1s\""]
        daemon.services[0].backends[1].settings = ["weight = 0"]
        try daemon.write()
        try expectRefusal(
            daemon, status: 7, "\"idle-timeout\" must be a duration", "did you mean \"connect-timeout\"?",
            "\"weight\" must be an integer from 1 to 256", lines: 3)
        try daemon.write("[[service]")
        try expectRefusal(daemon, status: 7, daemon.path, "line 1")
        try daemon.write("")
        try expectRefusal(daemon, status: 7, "no services")
        try FileManager.default.removeItem(atPath: daemon.path)
        try expectRefusal(daemon, status: 7, daemon.path, "cannot be read", "as user")
        // And the way back.
        daemon.services[0].settings = []
        daemon.services[0].backends[1].settings = []
        #expect(try daemon.reload().changes.isEmpty)
        try daemon.daemon.stop()
    }

    @Test func aHashKeyThatIsNoneIsRefused() throws {
        let daemon = try Reloadable(try greeters(1))
        daemon.settings = ["hash-key-file = \"\(daemon.path)\""]
        try daemon.write()
        try expectRefusal(daemon, status: 7, daemon.path, "32 hexadecimal digits")
        daemon.settings = ["hash-key-file = \"\(daemon.daemon.directory)/missing\""]
        try daemon.write()
        try expectRefusal(daemon, status: 7, "missing", "cannot be read")
        try daemon.daemon.stop()
    }

    /// Whoever started it could read the file; the user that it runs as cannot.
    @Test(.enabled(if: isRoot)) func theFileIsReadAsTheUserThatItRunsAs() throws {
        let servers = try greeters(1)
        let daemon = try Reloadable(
            [Reloadable.Service(listen: ["127.0.0.1:0"], backends: Reloadable.backends(servers))]
        ) { $0.user = "nobody" }
        daemon.servers = servers
        chmod(daemon.daemon.directory, 0o755)
        try daemon.write()
        #expect(try daemon.ctl.run("reload").status == 0)
        chmod(daemon.path, 0o600)
        try expectRefusal(daemon, status: 7, daemon.path, "Permission denied", "as user nobody, whom limpetd runs as")
        try daemon.daemon.stop()
    }

    @Test func whatNeedsARestartIsRefusedByName() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var fixed = [
            "workers = 2", "control = \"\(directory)/run/control.sock\"", "state-directory = \"\(directory)/state\"",
        ]
        if isRoot { fixed += ["user = \"root\"", "group = \"root\""] }
        let servers = try greeters(2)
        let service = Reloadable.Service(listen: ["127.0.0.1:0"], backends: Reloadable.backends(servers))
        let text = { (settings: [String], service: Reloadable.Service) in
            (settings + [service.text]).joined(separator: "\n")
        }
        let path = "\(directory)/limpet.toml"
        try text(fixed, service).write(toFile: path, atomically: false, encoding: .utf8)
        let process = try ChildProcess([Programs.limpetd, "-c", path], directory: directory)
        let ctl = Ctl(control: "\(directory)/run/control.sock")
        try eventually("it serves; it said \(process.stderr)") { try ctl.run("ready", "-q").status == 0 }
        let hash = try ctl.status().configHash
        var others = [
            ("workers", "workers = 3"), ("control", "control = \"\(directory)/other.sock\""),
            ("state-directory", "state-directory = \"\(directory)/other\""),
            ("max-connections", "max-connections = 9999999"),
        ]
        if isRoot { others += [("user", "user = \"nobody\""), ("group", "group = \"daemon\"")] }
        for (key, line) in others {
            // Something else changes too: all or nothing.
            var changed = service
            changed.backends[0].settings = ["weight = 9"]
            let lines = fixed.filter { !$0.hasPrefix("\(key) ") } + [line]
            try text(lines, changed).write(toFile: path, atomically: false, encoding: .utf8)
            let outcome = try ctl.run("reload")
            #expect(outcome.status == 1, "\(outcome)")
            #expect(
                outcome.stderr.hasPrefix("limpetctl: a reload cannot change \(key) from ")
                    && outcome.stderr.hasSuffix(": restart limpetd for that; nothing has changed\n"), "\(outcome)")
            #expect(try ctl.status().configHash == hash && ctl.backend("b1").weight == 1)
        }
        // Both at once are both named.
        try text(["workers = 3"] + fixed.filter { $0.hasPrefix("control") || $0.hasPrefix("user") }, service)
            .write(toFile: path, atomically: false, encoding: .utf8)
        let both = try ctl.run("reload")
        #expect(
            both.stderr.contains("workers from 2 to 3, nor state-directory from \(directory)/state to by user"),
            "\(both)")
        try text(fixed, service).write(toFile: path, atomically: false, encoding: .utf8)
        #expect(try ctl.run("reload").status == 0)
        process.signal(SIGTERM)
        #expect(try process.wait() == .exit(0))
    }

    /// One address of several cannot be had: nothing else of the file is done either, and no port stays open.
    @Test func anAddressInUseRefusesAll() throws {
        let servers = try greeters(3)
        let daemon = try Reloadable(Array(servers.prefix(2)))
        let other = try Listener()
        let free = try Listener(backlog: nil)
        let port = free.address
        free.close()
        daemon.services[0].listen += ["\(port)", "\(other.address)"]
        daemon.services[0].settings = ["idle-timeout = \"1h\""]
        daemon.services[0].backends = Reloadable.backends(servers)
        daemon.services.append(
            Reloadable.Service(name: "more", listen: ["127.0.0.2:0"], backends: Reloadable.backends([servers[0]])))
        try daemon.write()
        try expectRefusal(
            daemon, status: 1, "cannot listen on \(other.address)", "EADDRINUSE", "ss -ltnp", "nothing has changed")
        #expect(throws: SocketFailure.self) { try TCPSocket.connect(to: port) }
        daemon.services[0].listen[2] = "192.0.2.1:4711"
        try daemon.write()
        try expectRefusal(daemon, status: 1, "192.0.2.1:4711", "EADDRNOTAVAIL")
        // Without it everything goes through.
        daemon.services[0].listen.removeLast()
        #expect(try daemon.reload().changes.count == 6)
        #expect(try TCPSocket.connect(to: port).receiveLine().hasPrefix("b"))
        try daemon.daemon.stop()
    }

    @Test func moreThanThereAreSlotsForIsRefused() throws {
        let servers = try greeters(1)
        let daemon = try Reloadable(servers)
        daemon.services[0].backends += (0..<16384).map { number in
            Reloadable.Service.Backend(name: "x\(number)", address: servers[0].address)
        }
        let backends = daemon.services[0].backends.map { "{name=\"\($0.name)\",address=\"\($0.address)\"}" }
        try daemon.write(
            "[[service]]\nname = \"chat\"\nlisten = \"127.0.0.1:0\"\nhealth = \"off\"\nbackend = [\(backends.joined(separator: ","))]\n"
        )
        try expectRefusal(daemon, status: 1, "16385 backends are configured, and one limpetd takes 16384")
        try daemon.daemon.stop()
    }

    @Test func aDaemonThatEndsReloadsNothing() throws {
        let daemon = try Reloadable(try greeters(1), settings: ["shutdown-drain = \"1m\""])
        let client = try daemon.client(from: clientHost(1))
        daemon.daemon.process.signal(SIGTERM)
        try eventually("it is not ready any more") { try daemon.ctl.run("ready", "-q").status == 1 }
        daemon.services[0].settings = ["idle-timeout = \"1h\""]
        let outcome = try daemon.tryReload()
        #expect(outcome.status == 1 && outcome.stderr.contains("limpetd is shutting down"), "\(outcome)")
        try expectEcho(client)
        client.close()
        try daemon.daemon.ended()
    }

    @Test func flagsAloneCanBeReloaded() throws {
        let servers = try greeters(2)
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try "00112233445566778899aabbccddeeff\n".write(toFile: "\(directory)/key", atomically: false, encoding: .utf8)
        let daemon = try Daemon([servers[0].address, servers[1].address], "--hash-key-file", "\(directory)/key")
        let before = try daemon.ctl.status().services[0].mappingHash
        #expect(try daemon.ctl.expect("reload").hasPrefix("nothing has changed"))
        try "ffeeddccbbaa99887766554433221100\n".write(toFile: "\(directory)/key", atomically: false, encoding: .utf8)
        #expect(try daemon.ctl.json(ReloadDocument.self, ["reload"]).changes.map(\.key) == ["hash-key-file"])
        #expect(try daemon.ctl.status().services[0].mappingHash != before)
        try daemon.stop()
    }

    @Test func aHangUpReloadsAndLogsTheOutcome() throws {
        let daemon = try Reloadable(try greeters(2))
        daemon.services[0].backends[0].settings = ["weight = 3"]
        try daemon.write()
        daemon.daemon.process.signal(SIGHUP)
        try eventually("it is logged") { !daemon.daemon.logLines(containing: "reloaded", "changes=1").isEmpty }
        #expect(try daemon.ctl.backend("b1").weight == 3)
        #expect(!daemon.daemon.logLines(containing: "changed backend chat/b1: weight from 1 to 3").isEmpty)
        let before = try daemon.picture()
        try daemon.write("[[service]")
        daemon.daemon.process.signal(SIGHUP)
        try eventually("the refusal is logged") {
            !daemon.daemon.logLines(containing: "error", "reload refused", "line 1").isEmpty
        }
        #expect(try daemon.picture() == before)
        try daemon.write()
        daemon.daemon.process.signal(SIGHUP)
        try eventually("that nothing has changed is logged") {
            !daemon.daemon.logLines(containing: "nothing has changed").isEmpty
        }
        try daemon.daemon.stop()
    }

    /// Each is answered, one after the other, by what the file said when its turn came.
    @Test func manyAtOnceAreAllAnswered() throws {
        let daemon = try Reloadable(try greeters(2))
        daemon.services[0].backends[0].settings = ["weight = 3"]
        try daemon.write()
        let ctl = daemon.ctl
        let asked = (0..<12).map { number in
            Background("reload \(number)") { try ctl.run(number % 3 == 0 ? ["reload", "--dry-run"] : ["reload"]) }
        }
        let outcomes = try asked.map { try $0.value() }
        #expect(outcomes.allSatisfy { $0.status == 0 }, "\(outcomes)")
        #expect(outcomes.count { $0.stdout.contains("reloaded, configuration") } == 1)
        #expect(try daemon.ctl.backend("b1").weight == 3)
        try daemon.daemon.stop()
    }
}
