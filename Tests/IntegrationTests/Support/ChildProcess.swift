import Foundation
import Synchronization

/// posix_spawn_file_actions_addclosefrom_np(3), which the Glibc import lacks. It lets descriptors here be without
/// FD_CLOEXEC: no child inherits any.
private let closeFrom = unsafeBitCast(
    dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"),
    to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)

/// How a process ended.
enum Ending: Equatable, CustomStringConvertible {
    case exit(Int32)
    case signal(Int32)

    var description: String {
        switch self {
        case .exit(let status): "exit \(status)"
        case .signal(let number): "killed by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}

/// A process that the test started. It inherits no descriptor but 0, 1 and 2; what it writes goes to files.
///
/// It leads a process group of its own, with all that it starts in turn. It is always ended and reaped, by its process
/// id: at the latest when the object goes, and then with its group, unless it had ended by itself in good order.
final class ChildProcess: Sendable {
    let pid: pid_t
    private let command: [String]
    private let directory: String
    private let ownsDirectory: Bool
    private let ending = Mutex<Ending?>(nil)

    /// - Parameters:
    ///   - directory: where `stdout` and `stderr` are written; nil: one of its own, removed at the end.
    ///   - input: a descriptor that becomes its standard input; nil: there is none.
    ///   - terminal: a descriptor that becomes all three of its standard streams.
    init(
        _ command: [String], environment: [String: String] = [:], directory: String? = nil, input: Int32? = nil,
        terminal: Int32? = nil
    ) throws {
        self.command = command
        ownsDirectory = directory == nil
        self.directory = try directory ?? temporaryDirectory()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let terminal {
            for stream in 0...2 { posix_spawn_file_actions_adddup2(&actions, terminal, Int32(stream)) }
        } else if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for (fd, name) in [(Int32(1), "stdout"), (2, "stderr")] where terminal == nil {
            posix_spawn_file_actions_addopen(
                &actions, fd, "\(self.directory)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o644)
        }
        _ = closeFrom(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test runner may ignore or block signals; the child starts from the defaults.
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        let variables = environment.merging(["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"]) { a, _ in a
        }
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var settings: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for string in arguments + settings { free(string) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, command[0], &actions, &attributes, &arguments, &settings)
        guard code == 0 else { throw SocketFailure(call: "start \(command[0])", code: code) }
        self.pid = pid
    }

    deinit {
        switch poll() {
        case nil:
            signalGroup(SIGKILL)
            waitpid(pid, nil, 0)
        case .signal: signalGroup(SIGKILL)
        case .exit: break
        }
        if ownsDirectory { try? FileManager.default.removeItem(atPath: directory) }
    }

    var stdout: String { contents("stdout") }
    var stderr: String { contents("stderr") }
    /// The non-empty lines of stderr.
    var stderrLines: [String] { stderr.split(separator: "\n").map(String.init) }
    var stdoutLines: [String] { stdout.split(separator: "\n").map(String.init) }

    private func contents(_ name: String) -> String {
        FileManager.default.contents(atPath: "\(directory)/\(name)").map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    func signal(_ number: Int32) { if poll() == nil { kill(pid, number) } }

    /// Sends a signal to the process and to all that it has started: what a terminal does, and what it takes to end a
    /// daemon whose one process starts the other anew.
    func signalGroup(_ number: Int32) { kill(-pid, number) }

    /// The processes of the group that have not ended.
    var group: [ProcessFacts] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        // A first thread that has ended is a zombie while others of its process still end, and hold the descriptors.
        return processes.compactMap { pid_t($0) }.map(ProcessFacts.init).filter {
            $0.group == pid && !($0.isZombie && $0.threadIDs.count <= 1)
        }
    }

    /// How it ended; nil while it runs.
    func poll() -> Ending? {
        ending.withLock {
            if let known = $0 { return known }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            $0 = status & 0x7f == 0 ? .exit(status >> 8 & 0xff) : .signal(status & 0x7f)
            return $0
        }
    }

    /// Waits until it has ended.
    func wait(within limit: Duration = patience) throws -> Ending {
        try eventually(
            "process \(pid) ends (\(command.prefix(8).joined(separator: " "))); stderr: \(stderr)", within: limit
        ) { poll() != nil }
        return poll()!
    }
}

/// What a command did, after its end.
struct Outcome: CustomStringConvertible {
    var ending: Ending
    var stdout: String
    var stderr: String

    /// The exit status; -1 when a signal ended it.
    var status: Int32 { if case .exit(let status) = ending { status } else { -1 } }
    var stderrLines: [String] { stderr.split(separator: "\n").map(String.init) }
    var description: String { "\(ending)\n--- stdout\n\(stdout)\n--- stderr\n\(stderr)" }
}

/// Runs a command to its end.
@discardableResult
func run(_ command: [String], environment: [String: String] = [:], within limit: Duration = patience) throws -> Outcome
{
    let child = try ChildProcess(command, environment: environment)
    let ending = try child.wait(within: limit)
    return Outcome(ending: ending, stdout: child.stdout, stderr: child.stderr)
}

/// A new directory that other users may enter. The caller removes it.
func temporaryDirectory() throws -> String {
    var template = Array("\(FileManager.default.temporaryDirectory.path)/limpet-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SocketFailure(call: "mkdtemp", code: errno) }
    let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    chmod(path, 0o755)
    return path
}
