import Foundation
import Testing

/// A running limpetd with a directory of its own.
///
/// ``stop(_:expecting:)`` at the end of the test checks how it ends; a test that fails before leaves that to `deinit`,
/// which kills it.
final class Daemon: Sendable {
    let process: ChildProcess
    let directory: String
    let ctl: Ctl
    /// The addresses it listens on, as it reports them itself: the kernel chose the ports.
    let listeners: [SocketAddress]
    /// Whether it was told to do what it may not.
    private let triesForbidden: Bool

    /// A backend as the command line takes it.
    struct Backend {
        var name: String
        var address: SocketAddress
        /// Such as `weight=2`.
        var options: [String] = []

        var argument: String { (["\(name)=\(address)"] + options).joined(separator: ",") }
    }

    /// What to start.
    struct Setup {
        var listen = ["127.0.0.1:0"]
        var backends: [Backend] = []
        /// Contents of a configuration file; the flags for listeners and backends are left out then.
        var file: String?
        /// Leaves out all other flags too: the file says what they say.
        var isSetByFile = false
        var workers = 2
        /// `--health` where the flags say what the backends are; nil leaves it out. Most tests have servers that would count
        /// checks as clients, or none.
        var health: String? = "off"
        var arguments: [String] = []
        /// The user to become, where the tests run as root; nil leaves the flag out.
        var user: String? = isRoot ? "root" : nil
        /// A command that starts the daemon, such as `setpriv …`.
        var wrapper: [String] = []
        var limpetd = Programs.limpetd
        /// nil: one of its own.
        var stateDirectory: String?
        var environment: [String: String] = [:]

        /// The whole command line.
        func command(in directory: String) throws -> [String] {
            // What changes its user needs calls that no unit's daemon makes.
            let wrapper = wrapper + (user == nil || user == "root" ? UnitFile.everywhere : [])
            if isSetByFile, let file {
                try file.write(toFile: "\(directory)/limpet.toml", atomically: false, encoding: .utf8)
                return wrapper + [limpetd, "-c", "\(directory)/limpet.toml"] + arguments
            }
            var command = wrapper + [limpetd, "--control", "\(directory)/run/control.sock"]
            command += ["--state-directory", stateDirectory ?? "\(directory)/state", "--workers", String(workers)]
            if let file {
                try file.write(toFile: "\(directory)/limpet.toml", atomically: false, encoding: .utf8)
                command += ["-c", "\(directory)/limpet.toml"]
            } else {
                for address in listen { command += ["--listen", address] }
                for backend in backends { command += ["--backend", backend.argument] }
                if let health, !backends.isEmpty { command += ["--health", health] }
            }
            if let user { command += ["--user", user] }
            // Root alone sees in /proc what a daemon does that nobody may look into.
            if !isRoot, !arguments.contains("--sandbox") { command += ["--sandbox", "off"] }
            return command + arguments
        }
    }

    /// Starts it, and waits until it answers.
    init(_ setup: Setup) throws {
        directory = try temporaryDirectory()
        triesForbidden = setup.environment["LIMPET_TRY"] != nil
        if !setup.wrapper.isEmpty { chmod(directory, 0o777) }
        process = try ChildProcess(
            try setup.command(in: directory), environment: setup.environment, directory: directory)
        ctl = Ctl(control: "\(directory)/run/control.sock")
        do {
            try Daemon.waitUntilReady(process, ctl)
            listeners = try ctl.listeners().map { try #require(SocketAddress($0.address)) }
        } catch {
            try? FileManager.default.removeItem(atPath: directory)
            throw error
        }
    }

    /// One service in front of the given servers, which are named b1, b2 and so on.
    convenience init(_ servers: [SocketAddress], _ arguments: String...) throws {
        var setup = Setup()
        setup.backends = servers.enumerated().map { Backend(name: "b\($0.offset + 1)", address: $0.element) }
        setup.arguments = arguments
        try self.init(setup)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private static func waitUntilReady(_ process: ChildProcess, _ ctl: Ctl) throws {
        try eventually("limpetd listens on its control socket") {
            if let ending = process.poll() { throw DidNotStart(ending: ending, stderr: process.stderr) }
            return FileManager.default.fileExists(atPath: ctl.control)
        }
        try eventually("limpetctl says ready; limpetd said: \(process.stderr)") {
            if let ending = process.poll() { throw DidNotStart(ending: ending, stderr: process.stderr) }
            return try ctl.run("ready", "-q").status == 0
        }
    }

    struct DidNotStart: Error, CustomStringConvertible {
        var ending: Ending
        var stderr: String
        var description: String { "limpetd ended at its start (\(ending)): \(stderr)" }
    }

    /// The keeper.
    var pid: pid_t { process.pid }
    /// The engine that works now.
    var enginePID: pid_t { get throws { try ctl.status().enginePid } }
    /// What /proc says of the engine.
    var engine: ProcessFacts { get throws { ProcessFacts(pid: try enginePID) } }
    var address: SocketAddress { listeners[0] }
    var log: String { process.stderr }

    func logLines(containing parts: String...) -> [String] {
        process.stderrLines.filter { line in parts.allSatisfy { line.localizedCaseInsensitiveContains($0) } }
    }

    /// A client of the first listener.
    func connect(from source: String? = nil) throws -> TCPSocket {
        try TCPSocket.connect(to: address, from: source)
    }

    /// Ends it with a signal, and checks that it ended well.
    func stop(
        _ signal: Int32 = SIGTERM, expecting status: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        process.signal(signal)
        try ended(expecting: status, sourceLocation: sourceLocation)
    }

    /// Ends keeper and engine by SIGKILL: what no daemon survives.
    func kill() throws {
        process.signalGroup(SIGKILL)
        _ = try process.wait()
        try eventually("keeper and engine are gone") { process.group.isEmpty }
    }

    /// Waits for its end, and checks that it was no crash and left nothing behind.
    func ended(
        expecting status: Int32 = 0, within limit: Duration = patience,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let ending = try process.wait(within: limit)
        #expect(ending == .exit(status), "limpetd said: \(log)", sourceLocation: sourceLocation)
        #expect(!log.contains("Fatal error"), "\(log)", sourceLocation: sourceLocation)
        expectNothingRefused(sourceLocation: sourceLocation)
        #expect(
            !FileManager.default.fileExists(atPath: ctl.control), "the control socket is still there",
            sourceLocation: sourceLocation)
    }

    /// What limpetd does is what its sandbox lets it do.
    func expectNothingRefused(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(triesForbidden || !log.contains("the sandbox has refused"), "\(log)", sourceLocation: sourceLocation)
    }

    /// Over a stretch of time in which nothing happens it uses far less processor time than a loop that spins would.
    func expectSleeping(sourceLocation: SourceLocation = #_sourceLocation) {
        let processes = process.group
        let cpuTime = { processes.reduce(Duration.zero) { $0 + $1.cpuTime } }
        let (start, before) = (ContinuousClock.now, cpuTime())
        Thread.sleep(forTimeInterval: 1.5)
        let (elapsed, used) = (ContinuousClock.now - start, cpuTime() - before)
        #expect(
            used < elapsed / 5, "limpetd used \(used) of processor time in \(elapsed) in which nothing happened",
            sourceLocation: sourceLocation)
    }

    /// Starts limpetd where it has to end by itself, and waits for that.
    static func refuses(_ setup: Setup) throws -> Outcome {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        if !setup.wrapper.isEmpty { chmod(directory, 0o777) }
        return try run(try setup.command(in: directory), environment: setup.environment)
    }
}
