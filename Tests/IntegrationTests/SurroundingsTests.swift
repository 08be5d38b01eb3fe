import Foundation
import Testing

/// What the daemon takes from its surroundings: directories, limits, processors, the user's environment.
@Suite(.ownThread, .fence)
struct SurroundingsTests {
    /// The variables that name an ordinary user's directories.
    private struct Home {
        let directory: String
        let limpetd: String
        let limpetctl: String
        /// Makes a command run as an ordinary user.
        let asUser: [String]

        init() throws {
            directory = try temporaryDirectory()
            chmod(directory, 0o777)
            limpetd = "\(directory)/limpetd"
            limpetctl = "\(directory)/limpetctl"
            for (from, to) in [(Programs.limpetd, limpetd), (Programs.limpetctl, limpetctl)] {
                let outcome = try run(["cp", from, to])
                guard outcome.status == 0 else { throw SocketFailure(call: "cp: \(outcome)", code: EIO) }
            }
            asUser =
                isRoot ? ["setpriv", "--reuid=54322", "--regid=54322", "--clear-groups", "--bounding-set=-all"] : []
        }

        func remove() { try? FileManager.default.removeItem(atPath: directory) }

        var environment: [String: String] { ["XDG_RUNTIME_DIR": directory, "HOME": directory] }
    }

    private static let flags = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9"]

    @Test func anOrdinaryUsersDirectoriesAreTheirOwn() throws {
        let home = try Home()
        defer { home.remove() }
        let daemon = try ChildProcess(home.asUser + [home.limpetd] + Self.flags, environment: home.environment)
        try eventually("limpetctl finds it without being told; limpetd said: \(daemon.stderr)") {
            try run(home.asUser + [home.limpetctl, "ready", "-q"], environment: home.environment).status == 0
        }
        #expect(FileManager.default.fileExists(atPath: "\(home.directory)/limpet/control.sock"))
        var info = stat()
        #expect(stat("\(home.directory)/.local/state/limpet", &info) == 0)
        #expect(info.st_mode & 0o777 == 0o700)
        daemon.signal(SIGTERM)
        #expect(try daemon.wait() == .exit(0))
        #expect(!FileManager.default.fileExists(atPath: "\(home.directory)/limpet/control.sock"))
    }

    @Test func withoutARuntimeDirectoryItAsksForAPath() throws {
        let home = try Home()
        defer { home.remove() }
        let outcome = try run(
            home.asUser + [home.limpetd] + Self.flags, environment: ["HOME": home.directory])
        #expect(outcome.ending == .exit(1), "\(outcome)")
        #expect(outcome.stderr.contains("XDG_RUNTIME_DIR") && outcome.stderr.contains("--control"), "\(outcome)")
    }

    /// The soft limit of descriptors is raised to the hard one, and the limit of connections follows from that.
    @Test func theSoftLimitOfDescriptorsIsRaised() throws {
        let backend = try BackendServer(.echo)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: backend.address)]
        setup.wrapper = ["prlimit", "--nofile=300:2000"]
        let daemon = try Daemon(setup)
        let limits = contents(ofKernelFile: "/proc/\(daemon.pid)/limits")
        let line = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
        #expect(line.split(separator: " ").dropFirst(3).prefix(2) == ["2000", "2000"])
        #expect(try daemon.ctl.status().maxConnections > 300)
        try daemon.stop()
    }

    @Test(arguments: [1, 16])
    func anyNumberOfWorkersServes(_ workers: Int) throws {
        let backend = try BackendServer(.greet("b1"))
        var setup = Daemon.Setup()
        setup.workers = workers
        setup.backends = [Daemon.Backend(name: "b1", address: backend.address)]
        let daemon = try Daemon(setup)
        #expect(try daemon.ctl.status().workers == workers)
        let clients = try (0..<64).map { try daemon.connect(from: clientHost($0)) }
        for client in clients { #expect(try client.receiveLine().hasPrefix("b1 ")) }
        // The kernel spreads them; that all of 64 fall on one of 16 does not happen.
        let used = Set(try daemon.connections(64).map(\.worker))
        #expect(used.isSubset(of: Set(0..<workers)))
        #expect(workers == 1 || used.count > 1)
        for client in clients { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Nobody reads its log any more: it serves on.
    @Test func aClosedLogDoesNotEndIt() throws {
        let backend = try BackendServer(.closeAtOnce)
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let refusing = try Listener.refusing()
        // The shell replaces itself by limpetd, whose standard error is a pipe that nobody holds the other end of.
        let command = [
            "bash", "-c", "exec 2> >(exit 0); sleep 0.2; exec \"$@\"", "bash", Programs.limpetd,
            "--control", "\(directory)/run/control.sock", "--state-directory", "\(directory)/state",
            "--listen", "127.0.0.1:0", "--backend", "\(refusing.address)", "--backend", "\(backend.address)",
            "--health", "off",
        ]
        let daemon = try ChildProcess(command + (isRoot ? ["--user", "root"] : []))
        let ctl = Ctl(control: "\(directory)/run/control.sock")
        try eventually("it is ready") { try ctl.run("ready", "-q").status == 0 }
        let address = try #require(SocketAddress(try ctl.listeners()[0].address))
        // Failures that it would log, and connections that it serves.
        for number in 0..<20 {
            #expect(try TCPSocket.connect(to: address, from: clientHost(number)).receiveToEnd() == ([], .fin))
        }
        #expect(try ctl.backends().map(\.connectFailures).reduce(0, +) > 0)
        daemon.signal(SIGTERM)
        #expect(try daemon.wait() == .exit(0))
    }
}
