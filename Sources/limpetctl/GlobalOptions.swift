import ArgumentParser
import Control
import Linux

/// The options that every verb takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The control socket (default: $LIMPET_CONTROL, else \(SystemPaths.control) for root and "
                + "$XDG_RUNTIME_DIR/limpet/control.sock for others).", valueName: "path"), completion: .file())
    var control: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Print tab-separated fields without a header.")
    var plain = false

    @Flag(help: "Print all columns.")
    var wide = false

    @Option(
        help: ArgumentHelp("Print again every S seconds (--watch alone: 2).", valueName: "S"),
        transform: GlobalOptions.seconds)
    var watch: Double?

    func validate() throws {
        if json && plain { throw ValidationError("--json and --plain exclude each other") }
    }

    /// The socket to talk to.
    func socketPath() throws(Failure) -> String { try GlobalOptions.socketPath(named: control) }

    /// - Parameter named: by the command line.
    static func socketPath(named: String?) throws(Failure) -> String {
        if let named {
            if named.isEmpty { throw Failure.usage("--control: the path is empty") }
            return named
        }
        if let named = Terminal.environment("LIMPET_CONTROL"), !named.isEmpty { return named }
        if Terminal.effectiveUser == 0 { return SystemPaths.control }
        guard let runtime = Terminal.environment("XDG_RUNTIME_DIR"), !runtime.isEmpty else {
            throw Failure(
                message: "XDG_RUNTIME_DIR is not set, so there is no default place for the control socket; "
                    + "name it with --control or LIMPET_CONTROL", exitStatus: 2)
        }
        return runtime + "/limpet/control.sock"
    }

    private static func seconds(_ text: String) throws -> Double {
        guard let seconds = Double(text), seconds >= 0.1, seconds <= 86_400 else {
            throw ValidationError("a number of seconds from 0.1 to 86400 is wanted")
        }
        return seconds
    }
}

/// An option's value that is a duration, such as 500ms or 2h.
struct DurationOption {
    let duration: Duration
    /// As it was typed.
    let text: String

    static func parse(_ text: String) throws -> DurationOption {
        guard let duration = DurationText.parse(text) else {
            throw ValidationError("a duration such as 500ms, 5s, 10m, 2h or 3d is wanted")
        }
        return DurationOption(duration: duration, text: text)
    }
}
