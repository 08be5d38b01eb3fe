import ArgumentParser
import Glibc

/// `limpet-echo`: WebSocket echo servers to put behind Limpet, and the demonstration that uses them.
///
/// A tool for trying and testing; it is not installed.
@main
struct EchoBackend: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limpet-echo",
        abstract: "WebSocket echo servers to try Limpet with, and a demonstration.",
        discussion: """
            Exit status: 0 done; 1 failed, or a statement of the demonstration was not true; 2 usage; \
            130 interrupted; 143 ended by SIGTERM during a demonstration.
            """,
        subcommands: [ServeCommand.self, DemoCommand.self])

    /// Replaces the argument parser's own entry, which exits 64 on usage errors: here, as in Limpet's other programs,
    /// they exit 2.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            let status = exitCode(for: error)
            if status == .validationFailure {
                writeLine(fullMessage(for: error), to: STDERR_FILENO)
                Glibc.exit(2)
            }
            exit(withError: error)
        }
    }
}

/// Writes a line at once: print(3)-style buffering would keep it back from a reader behind a pipe.
func writeLine(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
    let bytes = Array((text + "\n").utf8)
    var written = 0
    while written < bytes.count {
        let count = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            written += count
        } else if errno != EINTR {
            return  // Nobody reads any more; there is nobody to tell.
        }
    }
}

/// Why a command failed, in words for the person who ran it.
struct EchoError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// - Parameter code: errno, read right after the call.
    init(_ doing: String, errno code: Int32) {
        description = "\(doing): \(String(cString: strerror(code)))"
    }
}
