import ArgumentParser
import Control

struct Disable: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Take a backend into maintenance, at once.",
        usage: "limpetctl disable BACKEND [--close [--over D]] [--force]",
        discussion: """
            It gets no new connections. Connections that exist stay, unless --close says otherwise. \
            Clients that come anew go to the next backend of their order, and nobody else moves.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    @Flag(help: "Close its connections, over a second.")
    var close = false

    @Option(
        help: ArgumentHelp("With --close: over this time, each at a quiet moment.", valueName: "duration"),
        transform: DurationOption.parse)
    var over: DurationOption?

    @Flag(help: "Disable even the last eligible backend of its service; with --close, do not ask.")
    var force = false

    func validate() throws {
        if over != nil && !close { throw ValidationError("--over goes with --close") }
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try confirming(force: force) { force throws(ControlError) in
            try client.disable(backend, close: close, over: over?.duration, force: force)
        }
        try output.backend(reply) { row in
            let open = row.connections + row.connecting
            if open == 0 { return "\(row.fullName): maintenance" }
            return "\(row.fullName): maintenance, \(Units.connections(open)) \(close ? "closing" : "kept")"
        }
    }
}
