import Foundation
import Testing

/// Whom the daemon runs as, and what it may do.
@Suite(.ownThread, .fence, .enabled(if: isRoot, "only root can give privileges away"))
struct PrivilegeTests {
    /// Numbers in /proc/PID/status: capability 10 is CAP_NET_BIND_SERVICE.
    private static let bindServiceOnly = "0000000000000400"
    private static let nothing = "0000000000000000"

    private func setup(user: String?, listen: String = "127.0.0.1:0", _ backend: SocketAddress) -> Daemon.Setup {
        var setup = Daemon.Setup()
        setup.listen = [listen]
        setup.user = user
        setup.backends = [Daemon.Backend(name: "b1", address: backend)]
        return setup
    }

    @Test func everyThreadKeepsOneCapabilityAndNoMore() throws {
        let backend = try BackendServer(.echo)
        var setup = setup(user: "nobody", backend.address)
        // Groups to lose.
        setup.wrapper = ["setpriv", "--groups=0,1,4"]
        let daemon = try Daemon(setup)
        // Work first, so that all threads that there will ever be are there.
        for _ in 0..<4 { try expectEcho(daemon) }
        let facts = try daemon.engine
        let user = try #require(getpwnam("nobody")?.pointee)
        let ids = { (id: UInt32) in Array(repeating: "\(id)", count: 4).joined(separator: "\t") }
        var expected = [
            "Uid": ids(user.pw_uid), "Gid": ids(user.pw_gid), "Groups": "\(user.pw_gid)", "NoNewPrivs": "1",
        ]
        for set in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] { expected[set] = Self.bindServiceOnly }
        var lasting = 0
        for thread in facts.threadIDs {
            let found = expected.keys.map { ($0, facts.field($0, thread: thread)) }
            // Some threads are there for one task.
            guard facts.threadIDs.contains(thread) else { continue }
            lasting += 1
            for (name, value) in found { #expect(value == expected[name], "\(name) of thread \(thread)") }
        }
        #expect(lasting >= 4)
        // One line says what it still has.
        #expect(daemon.logLines(containing: "nobody", "CAP_NET_BIND_SERVICE").count == 1)
        try daemon.stop()
    }

    /// The key of the hash is in it, and the clients' bytes.
    @Test func otherProcessesOfItsUserCannotReadItsMemory() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon(setup(user: "nobody", backend.address))
        var status = stat()
        for pid in [daemon.pid, try daemon.enginePID] {
            #expect(stat("/proc/\(pid)/mem", &status) == 0 && status.st_uid == 0)
        }
        try daemon.stop()
    }

    /// What was in the memory of an engine that died is nobody's: one line says why, and not what.
    @Test(arguments: [SIGSEGV, SIGABRT, SIGILL]) func aFaultOfTheEngineIsOneLine(_ fault: Int32) throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon(setup(user: "nobody", backend.address))
        let before = daemon.log
        let engine = try daemon.enginePID
        kill(engine, fault)
        try eventually("the next engine answers") { try daemon.enginePID != engine }
        var lines: [Substring] = []
        try eventually("both processes have had their say") {
            lines = daemon.log.dropFirst(before.count).split(separator: "\n")
            return lines.count >= 2
        }
        // Keeper and engine write at the same time.
        #expect(lines.count == 2 && lines.contains { $0.contains("engine died") }, "\(lines)")
        #expect(lines.contains { $0.contains("serving again") }, "\(lines)")
        try daemon.stop()
    }

    /// Every place where text comes out: log, --check, and what the control socket answers.
    @Test func theKeyIsShownNowhere() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (path, key) = ("\(directory)/key", "c0ffee00112233445566778899aabbcc")
        try (key + "\n").write(toFile: path, atomically: false, encoding: .utf8)
        chmod(path, 0o640)
        let backend = try BackendServer(.echo)
        var setup = setup(user: "root", backend.address)
        setup.arguments = ["--hash-key-file", path, "--log-level", "trace"]
        let daemon = try Daemon(setup)
        var texts = try ["config", "status", "backends", "listeners", "version"].map {
            try daemon.ctl.expect($0, "--json")
        }
        texts.append(try daemon.ctl.expect("where", "127.0.0.1", "--json"))
        try daemon.stop()
        texts.append(daemon.log)
        setup.arguments.append("--check")
        let check = try Daemon.refuses(setup)
        #expect(check.status == 0 && check.stdout.contains(path), "\(check)")
        texts += [check.stdout, check.stderr]
        // One digit short: the error says so without showing the rest.
        try key.dropLast().write(toFile: path, atomically: false, encoding: .utf8)
        let refused = try Daemon.refuses(setup)
        #expect(refused.status == 7 && refused.stderr.contains(path), "\(refused)")
        for text in texts + [refused.stderr] { #expect(!text.lowercased().contains("c0ffee")) }
    }

    @Test func theGroupMayBeNamed() throws {
        let backend = try BackendServer(.echo)
        var setup = setup(user: "nobody", backend.address)
        setup.arguments = ["--group", "daemon"]
        let daemon = try Daemon(setup)
        let facts = try daemon.engine
        let group = try #require(getgrnam("daemon")?.pointee)
        for thread in facts.threadIDs {
            #expect(
                facts.field("Gid", thread: thread)?.split(separator: "\t").allSatisfy { $0 == "\(group.gr_gid)" }
                    == true)
        }
        try daemon.stop()
    }

    /// Root that stays root takes the group as well; whoever cannot is told so.
    @Test func theGroupIsNeverPassedOver() throws {
        let backend = try BackendServer(.echo)
        var setup = setup(user: "root", backend.address)
        setup.arguments = ["--group", "daemon"]
        let group = try #require(getgrnam("daemon")?.pointee)
        let daemon = try Daemon(setup)
        let facts = try daemon.engine
        for thread in facts.threadIDs {
            let ids = facts.field("Gid", thread: thread)
            #expect(ids?.split(separator: "\t").allSatisfy { $0 == "\(group.gr_gid)" } == true)
        }
        var socket = stat()
        #expect(stat(daemon.ctl.control, &socket) == 0 && socket.st_gid == group.gr_gid)
        try daemon.stop()

        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var ordinary = try ordinary("127.0.0.1:0", backend.address, in: directory)
        ordinary.arguments = ["--group", "daemon"]
        let outcome = try Daemon.refuses(ordinary)
        #expect(outcome.status == 1 && outcome.stderr.contains("only root can take the group \"daemon\""), "\(outcome)")
    }

    @Test func aPrivilegedPortIsBoundBeforeTheDrop() throws {
        // A network of its own, so that no web server is in the way.
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let backend = try BackendServer(.echo)
            let daemon = try Daemon(setup(user: "nobody", listen: "127.0.0.1:80", backend.address))
            #expect(daemon.address.port == 80)
            try expectEcho(daemon)
            try daemon.stop()
        }.value()
    }

    @Test func anUnknownUserOrGroupIsNamed() throws {
        let somewhere = SocketAddress("127.0.0.1", 9)
        let user = try Daemon.refuses(setup(user: "no-such-user", somewhere))
        #expect(user.ending == .exit(1) && user.stderr.contains("no-such-user"), "\(user)")
        var setup = setup(user: "nobody", somewhere)
        setup.arguments = ["--group", "no-such-group"]
        let group = try Daemon.refuses(setup)
        #expect(group.ending == .exit(1) && group.stderr.contains("no-such-group"), "\(group)")
    }

    @Test(.enabled(if: getpwnam("limpet") == nil, "there is a user limpet here"))
    func rootWithoutAUserIsToldWhatToDo() throws {
        let outcome = try Daemon.refuses(setup(user: nil, SocketAddress("127.0.0.1", 9)))
        #expect(outcome.ending == .exit(2), "\(outcome)")
        #expect(outcome.stderr.contains("--user root"), "\(outcome)")
    }

    @Test func rootMayStayRootAndIsWarned() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon(setup(user: "root", backend.address))
        #expect(daemon.logLines(containing: "warning", "root").count == 1)
        try daemon.stop()
    }

    /// A configuration that the user cannot read would fail at the first reload: better now.
    @Test func aFileThatTheUserCannotReadIsRefused() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let key = "\(directory)/key"
        try "00112233445566778899aabbccddeeff\n".write(toFile: key, atomically: false, encoding: .utf8)
        chmod(key, 0o600)
        var setup = setup(user: "nobody", SocketAddress("127.0.0.1", 9))
        let control = "\(directory)/run/control.sock"
        setup.arguments = ["--hash-key-file", key, "--control", control]
        let outcome = try Daemon.refuses(setup)
        #expect(outcome.ending == .exit(1) && outcome.stderr.contains(key), "\(outcome)")
        #expect(outcome.stderr.contains("nobody"), "\(outcome)")
        // It got as far as making the directory, and leaves no socket in it that looks like a daemon's.
        #expect(FileManager.default.fileExists(atPath: "\(directory)/run"))
        #expect(!FileManager.default.fileExists(atPath: control))
    }

    /// A service manager may set a umask that would keep the group out of the directory of the control socket.
    @Test func theUmaskDoesNotKeepTheGroupOut() throws {
        let backend = try BackendServer(.echo)
        var setup = setup(user: "nobody", backend.address)
        setup.wrapper = ["sh", "-c", #"umask 0077 && exec "$@""#, "sh"]
        let daemon = try Daemon(setup)
        var status = stat()
        #expect(stat("\(daemon.directory)/run", &status) == 0 && status.st_mode & 0o777 == 0o750)
        #expect(stat(daemon.ctl.control, &status) == 0 && status.st_mode & 0o777 == 0o660)
        try daemon.stop()
    }

    // MARK: An ordinary user

    private static let asNobody = [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all",
    ]

    /// The daemon where an ordinary user can run it from.
    private func ordinary(_ listen: String, _ backend: SocketAddress, in directory: String) throws -> Daemon.Setup {
        var setup = setup(user: nil, listen: listen, backend)
        setup.wrapper = Self.asNobody
        setup.limpetd = "\(directory)/limpetd"
        try copy(Programs.limpetd, to: setup.limpetd)
        return setup
    }

    @Test func anOrdinaryUserNeedsNothing() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let backend = try BackendServer(.echo)
        let daemon = try Daemon(try ordinary("127.0.0.1:0", backend.address, in: directory))
        try expectEcho(daemon)
        let facts = try daemon.engine
        for thread in facts.threadIDs {
            #expect(facts.field("CapPrm", thread: thread) == Self.nothing)
            #expect(facts.field("Uid", thread: thread)?.hasPrefix("65534\t") == true)
        }
        // Its own user may change what it likes.
        let change = try run(
            Self.asNobody + [try copyOfCtl(in: directory), "--control", daemon.ctl.control, "drain", "b1", "--force"])
        #expect(change.status == 0, "\(change)")
        try daemon.stop()
    }

    @Test func anOrdinaryUserCannotHavePort80() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let backend = SocketAddress("127.0.0.1", 9)
        let outcome = try Daemon.refuses(try ordinary("127.0.0.1:80", backend, in: directory))
        #expect(outcome.ending == .exit(1), "\(outcome)")
        for part in ["127.0.0.1:80", "EACCES", "CAP_NET_BIND_SERVICE"] {
            #expect(outcome.stderr.contains(part), "\(part) is not in \(outcome)")
        }
    }

    @Test func aStrangerMayNotUseTheControlSocket() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let backend = try BackendServer(.echo)
        let daemon = try Daemon(setup(user: "root", backend.address))
        let limpetctl = try copyOfCtl(in: directory)
        for verb in [["status"], ["drain", "b1", "--force"], ["shutdown", "--force"]] {
            let outcome = try run(Self.asNobody + [limpetctl, "--control", daemon.ctl.control] + verb)
            #expect(outcome.ending == .exit(5), "\(verb): \(outcome)")
            #expect(!outcome.stderr.isEmpty)
        }
        #expect(try daemon.ctl.backend("b1").intent == "ready")
        try daemon.stop()
    }

    /// The daemon's group may read and may not change; its user may do both, and so may root.
    @Test func theGroupMayReadAndItsUserMayChange() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let backend = try BackendServer(.echo)
        var setup = setup(user: "nobody", backend.address)
        setup.arguments = ["--group", "daemon"]
        let daemon = try Daemon(setup)
        let group = try #require(getgrnam("daemon")?.pointee).gr_gid
        let limpetctl = try copyOfCtl(in: directory)
        let member = ["setpriv", "--reuid=12345", "--regid=12345", "--groups=\(group)", "--bounding-set=-all"]
        let command = [limpetctl, "--control", daemon.ctl.control]
        let reading = try run(member + command + ["backends"])
        #expect(reading.status == 0, "\(reading)")
        for verb in [
            ["drain", "b1", "--force"], ["undrain", "b1"], ["disable", "b1", "--force"], ["enable", "b1"],
            ["weight", "b1", "2"], ["weight", "b1", "file"],
        ] {
            let changing = try run(member + command + verb)
            #expect(changing.status == 5, "\(verb): \(changing)")
        }
        #expect(try daemon.ctl.backend("b1").intent == "ready")
        let owner = try run(Self.asNobody + command + ["drain", "b1", "--force"])
        #expect(owner.status == 0, "\(owner)")
        #expect(try daemon.ctl.backend("b1").intent == "drain")
        try daemon.ctl.expect("undrain", "b1")
        try daemon.stop()
    }

    private func copyOfCtl(in directory: String) throws -> String {
        let path = "\(directory)/limpetctl"
        try copy(Programs.limpetctl, to: path)
        return path
    }

    /// Another process copies it: a child that was forked while we had it open for writing could not be executed.
    private func copy(_ program: String, to path: String) throws {
        let outcome = try run(["cp", program, path])
        #expect(outcome.status == 0, "\(outcome)")
    }

    private func expectEcho(_ daemon: Daemon) throws {
        let client = try daemon.connect()
        try client.send("ok")
        #expect(try client.receiveText(2) == "ok")
    }
}
