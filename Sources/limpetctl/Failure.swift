import ArgumentParser
import Control
import Linux

/// Why limpetctl ends without having done what it was asked: lines for stderr, and the exit status.
struct Failure: Error {
    /// nil: there is nothing left to say.
    var message: String?
    /// What else is wrong, a line each.
    var further: [String] = []
    var exitStatus: Int32

    static func usage(_ message: String) -> Failure { Failure(message: message, exitStatus: 2) }

    init(message: String?, exitStatus: Int32) {
        self.message = message
        self.exitStatus = exitStatus
    }

    init(_ error: ControlError) {
        let force = error.code == .needsForce ? "; refused; --force would" : ""
        self.init(message: Printable.line(error.description) + force, exitStatus: error.exit)
        further = (error.further ?? []).map { Printable.line($0) }
    }
}

/// What goes to stderr.
enum Diagnostics {
    static func report(_ failure: Failure) {
        guard let message = failure.message else { return }
        for line in [message] + failure.further { say("limpetctl: \(line)") }
    }

    static func say(_ line: String) {
        _ = Terminal.write(Printable.lines(Array((line + "\n").utf8)), to: 2)
    }

    /// Help goes to stdout with 0, a mistake to stderr with 2, in one line.
    /// - Parameter verb: whose help tells more; nil: the program's own.
    static func endParsing(with error: any Error, as command: any ParsableCommand.Type, verb: String?) -> Never {
        if command.exitCode(for: error).isSuccess {
            var text = command.fullMessage(for: error)
            while text.last?.isNewline == true { text.removeLast() }
            _ = Terminal.write(Array((text + "\n").utf8), to: 1)
            Terminal.exit(0)
        }
        let help = (["limpetctl"] + (verb.map { [$0] } ?? []) + ["--help"]).joined(separator: " ")
        say("limpetctl: \(command.message(for: error)) (\(help))")
        Terminal.exit(2)
    }
}
