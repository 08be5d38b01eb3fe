import Foundation
import Testing

/// Who may do what over the control socket, by groups that the configuration names. They are given by their numbers, so that
/// nobody has to be in the user database.
@Suite(.ownThread, .fence, .enabled(if: isRoot, "only root can be somebody else"))
struct ControlGroupTests {
    private static let (readers, administrators, others) = (4001, 4002, 4003)

    /// Users who are in a group, or in none.
    private final class Users {
        let directory: String
        private let limpetctl: String

        init() throws {
            directory = try temporaryDirectory()
            limpetctl = "\(directory)/limpetctl"
            // Another process copies it: a child that is forked meanwhile could not be executed.
            let copied = try run(["cp", Programs.limpetctl, limpetctl])
            #expect(copied.status == 0, "\(copied)")
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        static func identity(_ user: Int, _ group: Int?) -> [String] {
            ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--bounding-set=-all"]
                + (group.map { ["--groups=\($0)"] } ?? ["--clear-groups"])
        }

        func command(_ daemon: Daemon, user: Int = 12345, in group: Int?, _ verb: [String]) -> [String] {
            Users.identity(user, group) + [limpetctl, "--control", daemon.ctl.control] + verb
        }

        func ask(_ daemon: Daemon, user: Int = 12345, in group: Int?, _ verb: String...) throws -> Outcome {
            try run(command(daemon, user: user, in: group, verb))
        }
    }

    private static let keys = [
        "control-read-group = \"\(readers)\"", "control-admin-group = \"\(administrators)\"",
    ]

    private func scene(
        _ settings: [String] = keys, user: String = "nobody", _ prepare: (inout Daemon.Setup) throws -> Void = { _ in }
    ) throws -> Reloadable {
        let server = try BackendServer(.echo)
        let reloadable = try Reloadable(
            [Reloadable.Service(listen: ["127.0.0.1:0"], backends: Reloadable.backends([server]))], settings: settings
        ) { setup in
            setup.user = user
            try? prepare(&setup)
        }
        reloadable.servers = [server]
        // The file has to be there for whom the daemon runs as.
        chmod(reloadable.path, 0o644)
        chmod(reloadable.daemon.directory, 0o755)
        return reloadable
    }

    private static let changes = [
        ["drain", "b1", "--force"], ["undrain", "b1"], ["disable", "b1", "--force"], ["enable", "b1"],
        ["weight", "b1", "2"], ["weight", "b1", "file"], ["pause", "chat"], ["resume", "chat"], ["log", "debug"],
        ["log", "info"], ["rehome"], ["close", "--idle", "1d"], ["reload"],
    ]

    @Test func readersSeeAndAdministratorsChange() throws {
        let users = try Users()
        let scene = try scene()
        let daemon = scene.daemon
        for verb in [["status"], ["backends"], ["connections"], ["top", "--plain"], ["events", "--no-wait"]] {
            let outcome = try run(users.command(daemon, in: Self.readers, verb))
            #expect(outcome.status == 0, "\(verb): \(outcome)")
        }
        for verb in Self.changes + [["shutdown", "--force"], ["upgrade"]] {
            let outcome = try run(users.command(daemon, in: Self.readers, verb))
            #expect(outcome.status == 5 && outcome.stderr.contains("may read but not change"), "\(verb): \(outcome)")
        }
        #expect(try daemon.ctl.backend("b1").intent == "ready")
        // Who asked for what is in the log, and among the events.
        #expect(!daemon.logLines(containing: "control refused: drain", "b1", "uid=12345", "pid=").isEmpty)
        let events = try daemon.ctl.expect("events", "--since", "start", "--no-wait")
        #expect(events.contains("refused, asked for by uid 12345: drain"), "\(events)")

        for verb in Self.changes {
            let outcome = try run(users.command(daemon, in: Self.administrators, verb))
            #expect(outcome.status == 0, "\(verb): \(outcome)")
        }
        #expect(!daemon.logLines(containing: "control: drain chat/b1", "uid=12345", "pid=").isEmpty)
        // What runs with everybody's connections only root may name.
        let foreign = try users.ask(daemon, in: Self.administrators, "upgrade", "/usr/bin/true")
        #expect(foreign.status == 5 && foreign.stderr.contains("only root"), "\(foreign)")
        // What makes no sense is no matter of rights, and is written down all the same.
        #expect(try users.ask(daemon, in: Self.administrators, "drain", "b9").status == 4)
        #expect(!daemon.logLines(containing: "control refused: drain", "b9", "no such backend", "uid=12345").isEmpty)
        try daemon.stop()
    }

    @Test func strangersAreRefused() throws {
        let users = try Users()
        let scene = try scene()
        let daemon = scene.daemon
        func expectRefusal(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
            // The group that the daemon's user is in is one of them, once another is named.
            for group in [nil, Self.others, 65534] {
                for verb in [["status"], ["drain", "b1", "--force"]] {
                    let outcome = try run(users.command(daemon, in: group, verb))
                    #expect(
                        outcome.ending == .exit(5) && outcome.stderr.contains(text), "\(verb): \(outcome)",
                        sourceLocation: sourceLocation)
                }
            }
        }
        try expectRefusal("may not use the control socket")
        // And where the files would let everybody in, the daemon does not.
        chmod("\(daemon.directory)/run", 0o755)
        chmod(daemon.ctl.control, 0o666)
        try expectRefusal("user 12345 may not use the control socket: only root, user 65534 and members of groups 4001")
        #expect(try daemon.ctl.backend("b1").intent == "ready")
        #expect(!daemon.logLines(containing: "control refused: a conversation", "uid=12345").isEmpty)
        // However many there are: some lines, and a number.
        let before = daemon.logLines(containing: "control refused: a conversation").count
        let script = """
            import socket, sys
            for number in range(300):
                s = socket.socket(socket.AF_UNIX)
                s.connect(sys.argv[1])
                s.sendall(b"GET /v1/status HTTP/1.0\\r\\n\\r\\n")
                assert b"may not use" in s.makefile("rb").read()
            """
        let flood = try run(Users.identity(12345, nil) + ["/usr/bin/python3", "-c", script, daemon.ctl.control])
        #expect(flood.status == 0, "\(flood)")
        let told = daemon.logLines(containing: "control refused: a conversation").count - before
        #expect(told < 100, "\(told)")
        try daemon.stop()
    }

    /// The daemon has given up its rights by then: it may give its file to no other group, and lets others in all the same.
    @Test(arguments: [true, false]) func aReloadExchangesTheGroups(isOrdinary: Bool) throws {
        let users = try Users()
        let scene = try scene(user: "nobody") { setup in
            guard isOrdinary else { return }
            setup.user = nil
            setup.wrapper = Users.identity(65534, nil)
            setup.limpetd = "\(users.directory)/limpetd"
            let copied = try run(["cp", Programs.limpetd, setup.limpetd])
            #expect(copied.status == 0, "\(copied)")
        }
        let daemon = scene.daemon
        #expect(try users.ask(daemon, in: Self.readers, "status").status == 0)
        #expect(try users.ask(daemon, in: Self.administrators, "log", "info").status == 0)
        let follower = try ChildProcess(users.command(daemon, in: Self.readers, ["events", "--since", "start"]))
        try eventually("somebody follows") { !follower.stdout.isEmpty }

        // A dry run lets nobody in.
        scene.settings = ["control-read-group = \"\(Self.others)\""]
        #expect(try scene.tryReload("--dry-run").status == 0)
        #expect(try users.ask(daemon, in: Self.others, "status").status == 5)
        #expect(try users.ask(daemon, in: Self.readers, "status").status == 0)

        try scene.reload()
        #expect(try users.ask(daemon, in: Self.others, "status").status == 0)
        #expect(try users.ask(daemon, in: Self.others, "log", "info").status == 5)
        for group in [Self.readers, Self.administrators] {
            #expect(try users.ask(daemon, in: group, "status").status == 5)
        }
        #expect(try follower.wait() == .exit(5))

        // What cannot be looked up changes nothing.
        scene.settings = ["control-admin-group = \"no-such-group\""]
        let refused = try scene.tryReload()
        #expect(refused.status == 1 && refused.stderr.contains("\"no-such-group\" does not exist"), "\(refused)")
        #expect(try users.ask(daemon, in: Self.others, "status").status == 0)

        // It is all the same after a death.
        #expect(kill(try daemon.enginePID, SIGKILL) == 0)
        #expect(try users.ask(daemon, in: Self.others, "status").status == 0)
        #expect(try users.ask(daemon, in: Self.others, "log", "info").status == 5)
        #expect(try users.ask(daemon, in: Self.readers, "status").status == 5)

        scene.settings = []
        try scene.reload()
        #expect(try users.ask(daemon, in: Self.others, "status").status == 5)
        #expect(try users.ask(daemon, in: 65534, "status").status == 0)
        #expect(try users.ask(daemon, in: 65534, "log", "info").status == 5)
        var status = stat()
        #expect(stat(daemon.ctl.control, &status) == 0 && status.st_mode & 0o777 == 0o660 && status.st_gid == 65534)
        try daemon.stop()
    }

    @Test func whatCannotBeIsSaidAtTheStart() throws {
        let file =
            "[[service]]\nname = \"chat\"\nlisten = \"127.0.0.1:0\"\n"
            + "backend = [{ name = \"b1\", address = \"127.0.0.1:9\" }]\n"
        var setup = Daemon.Setup()
        setup.file = "control-read-group = \"no-such-group\"\n" + file
        let unknown = try Daemon.refuses(setup)
        #expect(unknown.status == 1 && unknown.stderr.contains("control-read-group: group \"no-such-group\" does not"))
        setup.arguments = ["--check"]
        let checked = try Daemon.refuses(setup)
        #expect(checked.status == 0 && checked.stderr.contains("it would not start: control-read-group"))
        // A file system that knows no lists has room for one group.
        setup.arguments = []
        setup.wrapper = [
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            "mkdir \"$0\" && mount -t ramfs none \"$0\" && exec \"$@\"",
        ]
        let mount = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: mount) }
        setup.wrapper.append("\(mount)/run")
        setup.file = "control-admin-group = \"\(Self.administrators)\"\n" + file
        setup.arguments = ["--control", "\(mount)/run/control.sock"]
        let single = try Daemon.refuses(setup)
        #expect(
            single.status == 1 && single.stderr.contains("cannot let in the members of groups")
                && single.stderr.contains("EOPNOTSUPP"), "\(single)")
    }
}
