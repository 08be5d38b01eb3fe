import Foundation
import Testing

/// The units, by what systemd itself says of them, and the daemon within what they allow.
@Suite(
    .ownThread, .fence,
    .enabled(if: UnitFile.canBeAnalysed, "there is no systemd-analyze here (Debian's package systemd)"))
struct UnitTests {
    private static let services = ["limpet.service", "limpet@.service"]

    private final class Scene {
        let directory: String
        init() throws { directory = try temporaryDirectory() }
        deinit { try? FileManager.default.removeItem(atPath: directory) }
    }

    /// 9.6 is what Debian's units of other balancers get. limpetd(8) says what is left of it.
    @Test(arguments: services) func theExposureIsLow(_ name: String) throws {
        let scene = try Scene()
        let unit = try UnitFile(name, in: scene.directory)
        let outcome = try run(["systemd-analyze", "--no-pager", "--offline=yes", "security", unit.path])
        let line = try #require(outcome.stdout.split(separator: "\n").last)
        let words = line.split(separator: " ").map(String.init)
        let score = try #require(words.compactMap(Double.init).last, "\(line)")
        #expect(score <= 1.6, "\(outcome)")
    }

    @Test(arguments: services + ["limpet.socket"]) func nothingIsWrongWithIt(_ name: String) throws {
        let scene = try Scene()
        for other in Self.services + ["limpet.socket"] { _ = try UnitFile(other, in: scene.directory) }
        // A template is looked at as one that it stands for.
        let path = "\(scene.directory)/\(name.replacing("@.", with: "@web."))"
        if path.contains("@") {
            try FileManager.default.copyItem(atPath: "\(scene.directory)/\(name)", toPath: path)
        }
        // Whether the manual is installed here is another matter.
        let outcome = try run(["systemd-analyze", "--man=no", "verify", path])
        #expect(outcome.status == 0 && outcome.stdout.isEmpty && outcome.stderr.isEmpty, "\(outcome)")
    }

    @Test(arguments: services) func itsCommandLinesAreThePrograms(_ name: String) throws {
        let scene = try Scene()
        let unit = try UnitFile(name, in: scene.directory)
        var start = unit.words("ExecStart")
        let position = try #require(start.firstIndex(of: "--config")) + 1
        #expect(["/etc/limpet/limpet.toml", "/etc/limpet/%i.toml"].contains(start[position]))
        start[position] = "\(UnitFile.repository)/etc/limpet.toml"
        let check = try run(start + ["--check"])
        #expect(check.status == 0, "\(check)")
        var reload = unit.words("ExecReload")
        reload[2] = "\(scene.directory)/nobody.sock"
        #expect(try run(reload).status == 3)
        // What the daemon is told of its places is what the unit makes for it.
        let control = start[try #require(start.firstIndex(of: "--control")) + 1]
        let state = start[try #require(start.firstIndex(of: "--state-directory")) + 1]
        #expect("/run/\(unit.words("RuntimeDirectory").joined())/control.sock" == control)
        #expect("/var/lib/\(unit.words("StateDirectory").joined())" == state)
        #expect(unit.words("ExecReload")[2] == control)
    }

    /// The two differ in their names alone.
    @Test func theTemplateIsTheService() throws {
        let scene = try Scene()
        let texts = try Self.services.map { try UnitFile($0, in: scene.directory).text }
        let settings = texts.map { text in
            text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
                $0.replacing("limpet/%i.toml", with: "limpet/limpet.toml").replacing("limpet-%i", with: "limpet")
                    .replacing("Limpet %i,", with: "Limpet,")
            }
        }
        #expect(settings[0] == settings[1])
    }

    @Test(.enabled(if: isRoot, "only root can give directories away")) func theUserAndItsDirectories() throws {
        let scene = try Scene()
        let etc = "\(UnitFile.repository)/etc"
        let root = "\(scene.directory)/root"
        try FileManager.default.createDirectory(atPath: "\(root)/etc", withIntermediateDirectories: true)
        for command in [
            ["systemd-sysusers", "--root=\(root)", "\(etc)/sysusers.d/limpet.conf"],
            ["systemd-tmpfiles", "--root=\(root)", "--create", "\(etc)/tmpfiles.d/limpet.conf.in"],
        ] {
            let outcome = try run(command)
            #expect(outcome.status == 0, "\(outcome)")
        }
        let line = try String(contentsOfFile: "\(root)/etc/passwd", encoding: .utf8).split(separator: "\n")
            .first { $0.hasPrefix("limpet:") }
        let fields = try #require(line).split(separator: ":", omittingEmptySubsequences: false)
        #expect(fields[5] == "/var/lib/limpet" && fields[6] == "/usr/sbin/nologin")
        for (path, mode) in [("run/limpet", 0o750), ("var/lib/limpet", 0o700)] {
            var status = stat()
            #expect(stat("\(root)/\(path)", &status) == 0 && Int(status.st_mode & 0o7777) == mode, "\(path)")
            #expect("\(status.st_uid)" == fields[2] && "\(status.st_gid)" == fields[3])
        }
    }

    // MARK: The filters

    /// As the unit starts it: its user, its capabilities, its filters.
    private func asTheUnit(_ unit: UnitFile) -> [String] {
        let identity =
            isRoot
            ? [
                "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+net_bind_service",
                "--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service",
            ] : []
        return identity + UnitFile.filter(unit.path)
    }

    /// That there is a filter at all: what it is for is refused.
    @Test func theFiltersRefuse() throws {
        let scene = try Scene()
        let filter = UnitFile.filter(try UnitFile("limpet.service", in: scene.directory).path)
        let script = """
            import ctypes, errno, os, socket
            libc = ctypes.CDLL(None, use_errno=True)
            def refused(result): return result == -1 and ctypes.get_errno() == errno.EPERM
            assert refused(libc.chown(b"/", 0, 0)) and refused(libc.setuid(0)) and refused(libc.unshare(0x40000000))
            assert refused(libc.ptrace(0, 0, 0, 0)) and refused(libc.mount(b"none", b"/mnt", b"tmpfs", 0, None))
            try:
                socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                raise SystemExit("a packet socket")
            except OSError as error:
                assert error.errno == errno.EAFNOSUPPORT, error
            print(open("/proc/self/status").read())
            """
        let outcome = try run(filter + ["python3", "-c", script])
        #expect(outcome.status == 0 && outcome.stdout.contains("Seccomp:\t2"), "\(outcome)")
    }

    /// What a daemon does in its life, all within them: names and Unix sockets, reloads, deaths, upgrades, tables.
    @Test func theDaemonLivesWithinTheFilters() throws {
        let scene = try Scene()
        let unit = try UnitFile("limpet.service", in: scene.directory)
        let manager = try NotifySocket("\(scene.directory)/notify")
        let server = try BackendServer(.echo)
        // Where others may write nothing is executed from.
        let open = "\(scene.directory)/open"
        try FileManager.default.createDirectory(atPath: open, withIntermediateDirectories: true)
        chmod(open, 0o777)
        let socket = "\(open)/clients.sock"
        var backends = Reloadable.backends([server])
        let service = Reloadable.Service(
            listen: ["127.0.0.1:0", "unix:\(socket)"], settings: ["health = \"tcp\""], backends: backends)
        let daemon = try Reloadable([service], settings: ["metrics = \"127.0.0.1:0\"", "access-log = \"both\""]) {
            setup in
            setup.user = nil
            setup.wrapper = asTheUnit(unit)
            setup.environment = ["NOTIFY_SOCKET": manager.address, "LIMPET_UPGRADE_PATIENCE": "20000"]
            setup.limpetd = "\(scene.directory)/limpetd"
            _ = try? run(["cp", Programs.limpetd, setup.limpetd])
        }
        try eventually("it is ready") { manager.states == ["READY=1"] }
        let facts = ProcessFacts(pid: daemon.daemon.pid)
        #expect(facts.field("Seccomp", thread: facts.pid) == "2")
        let client = try daemon.daemon.connect()
        try expectEcho(client)

        // Another listener, a name, and a backend that is a file.
        backends.append(Reloadable.Service.Backend(name: "b2", address: server.address, settings: ["backup = true"]))
        daemon.services[0].backends = backends
        daemon.services[0].listen.append("127.0.0.2:0")
        try daemon.reload()
        #expect(try daemon.ctl.listeners().count == 3)
        _ = try daemon.ctl.expect("connections", "--wide")
        _ = try daemon.ctl.expect("status")
        try daemon.ctl.expect("drain", "b1", "--force")
        try daemon.ctl.expect("undrain", "b1")

        let engine = try daemon.daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.daemon.nextEngine(after: engine)
        try expectEcho(client)
        // On a busy machine it may be refused at first.
        try eventually("an upgrade") { try daemon.ctl.run("upgrade").status == 0 }
        try expectEcho(client)
        let replacement = try daemon.daemon.killKeeper()
        let next = try daemon.daemon.enginePID
        kill(next, SIGKILL)
        _ = try daemon.daemon.nextEngine(after: next)
        #expect(try daemon.ctl.status().pid == replacement)
        try expectEcho(client)
        client.close()
        kill(replacement, SIGTERM)
        try eventually("all of it has ended") { daemon.daemon.process.group.isEmpty }
        #expect(daemon.daemon.logLines(containing: "EPERM").isEmpty, "\(daemon.daemon.log)")
        #expect(manager.states == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"])
    }
}
