import Glibc

/// A program that was started and must be ended and waited for by whoever started it.
struct ChildProcess: Sendable {
    let pid: pid_t

    /// Starts a program with the given descriptors as its standard input, output and error.
    ///
    /// The child has a process group of its own, so that Ctrl-C reaches this program alone, which then ends its
    /// children in order; it starts with no signal blocked and SIGPIPE at its default.
    /// - Parameter output: nil: where this program's own goes.
    /// - Throws: ``EchoError``.
    static func spawn(_ path: String, _ arguments: [String], output: Int32? = nil, errors: Int32? = nil) throws
        -> ChildProcess
    {
        var attributes = posix_spawnattr_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawnattr_init(&attributes)
        posix_spawn_file_actions_init(&actions)
        defer {
            posix_spawnattr_destroy(&attributes)
            posix_spawn_file_actions_destroy(&actions)
        }
        var none = sigset_t()
        sigemptyset(&none)
        var defaults = none
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        if let output { posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) }
        if let errors { posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO) }

        var vector: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        vector.append(nil)
        defer { for argument in vector { free(argument) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, vector, environ)
        guard code == 0 else { throw EchoError("cannot start \(path)", errno: code) }
        return ChildProcess(pid: pid)
    }

    /// Waits for the end.
    /// - Returns: the exit status, or 128 and the signal's number.
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return Self.exitStatus(status)
    }

    /// The exit status if the program has ended; nil while it runs. Once it has answered it must not be asked again.
    func statusIfEnded() -> Int32? {
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? Self.exitStatus(status) : nil
    }

    private static func exitStatus(_ status: Int32) -> Int32 {
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    /// What a program that ran to its end has left.
    struct Outcome {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs a program to its end. Its error output must fit a pipe's buffer, as a command's few lines do.
    /// - Throws: ``EchoError`` when it cannot be started; its own failure is in the outcome.
    static func run(_ path: String, _ arguments: [String]) throws -> Outcome {
        let output = try Pipe()
        let errors = try Pipe()
        let child = try spawn(path, arguments, output: output.writing, errors: errors.writing)
        output.closeWriting()
        errors.closeWriting()
        let text = output.readAll()
        let complaint = errors.readAll()
        return Outcome(status: child.wait(), output: text, errors: complaint)
    }
}

/// A pipe between this program and a child; closed with the last reference.
final class Pipe {
    private let reading: Int32
    private(set) var writing: Int32

    /// Both ends are closed at exec: a child has only what it was given as 0, 1 and 2.
    init() throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw EchoError("pipe", errno: errno) }
        reading = ends[0]
        writing = ends[1]
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        close(reading)
        closeWriting()
    }

    func closeWriting() {
        if writing >= 0 { close(writing) }
        writing = -1
    }

    /// The first line without its end, or what came before the other side closed.
    func readLine() -> String {
        var bytes: [UInt8] = []
        while let byte = read(1).first, byte != UInt8(ascii: "\n") {
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// All until the other side closes.
    func readAll() -> String {
        var bytes: [UInt8] = []
        while true {
            let more = read(65_536)
            if more.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += more
        }
    }

    /// Empty at the end of the stream, and on an error, which for a pipe can only be a broken program.
    private func read(_ limit: Int) -> [UInt8] {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, used in
            repeat { count = Glibc.read(reading, buffer.baseAddress, limit) } while count < 0 && errno == EINTR
            used = max(count, 0)
        }
        return bytes
    }
}
