import Glibc
import NIOCore
import Synchronization

/// What the demonstration runs on: three echo servers, limpetd before them, and a directory for its files.
///
/// All that was started or made here is ended and removed by ``tearDown()``, on success, on failure and on a signal.
/// Any thread may call it; the rest belongs to the main thread.
final class Stage: Sendable {
    /// One of the echo servers.
    struct Server: Sendable {
        var name: String
        var address: String
    }

    /// Holds the control socket, the state directory and the log.
    let directory: String
    private let limpetd: String
    private let cast = Mutex(Cast())

    private struct Cast {
        var children: [ChildProcess] = []
        var over = false
    }

    var controlSocket: String { directory + "/control.sock" }
    private var logPath: String { directory + "/limpetd.log" }

    init(limpetd: String) throws {
        self.limpetd = limpetd
        var template = Array("\(Self.temporaryDirectory)/limpet-demo.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw EchoError("cannot make a directory in \(Self.temporaryDirectory)", errno: errno)
        }
        directory = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private static var temporaryDirectory: String {
        getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    }

    /// Starts an echo server as a process of its own, from this program's own file.
    func startServer(named name: String) throws -> Server {
        let pipe = try Pipe()
        _ = try start("/proc/self/exe", ["serve", "--name", name], output: pipe.writing)
        pipe.closeWriting()
        let address = pipe.readLine()
        guard !address.isEmpty else { throw EchoError("the echo server \(name) did not start") }
        return Server(name: name, address: address)
    }

    /// Starts limpetd before the servers, on a port that the kernel chooses. Returns at once.
    func startLimpetd(before servers: [Server]) throws -> ChildProcess {
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else { throw EchoError("cannot write \(logPath)", errno: errno) }
        defer { close(log) }
        var arguments = ["--listen", "127.0.0.1:0"]
        for server in servers {
            arguments += ["--backend", "\(server.name)=\(server.address)"]
        }
        arguments += ["--control", controlSocket, "--state-directory", directory + "/state"]
        if geteuid() == 0 {
            // Only root is asked whom to become. The directory is root's, and so is this show.
            arguments += ["--user", "root"]
        }
        return try start(limpetd, arguments, output: log, errors: log)
    }

    /// What limpetd has logged so far.
    var log: String {
        let descriptor = open(logPath, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += chunk[..<count]
        }
    }

    private func start(_ path: String, _ arguments: [String], output: Int32, errors: Int32? = nil) throws
        -> ChildProcess
    {
        // Under the lock, so that a signal cannot fall between the start and the note of it.
        try cast.withLock { cast in
            guard !cast.over else { throw EchoError("interrupted") }
            let child = try ChildProcess.spawn(path, arguments, output: output, errors: errors)
            cast.children.append(child)
            return child
        }
    }

    /// Ends every child, the last one first, waits for it, and removes the directory.
    /// - Returns: false, after having done nothing, if another call has done it.
    func tearDown() -> Bool {
        cast.withLock { cast in
            guard !cast.over else { return false }
            cast.over = true
            for child in cast.children.reversed() {
                Self.end(child)
            }
            removeTree(directory)
            return true
        }
    }

    /// SIGTERM; SIGKILL for one that has not ended within five seconds.
    private static func end(_ child: ChildProcess) {
        // A child that has ended already stays a zombie until it is waited for, so its number cannot be another's.
        kill(child.pid, SIGTERM)
        for _ in 0..<500 {
            if child.statusIfEnded() != nil { return }
            usleep(10_000)
        }
        kill(child.pid, SIGKILL)
        _ = child.wait()
    }
}
