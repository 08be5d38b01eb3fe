import ArgumentParser
import Control

struct Drain: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Exclude a backend from new connections, at once.",
        discussion: """
            Connections that exist stay as long as they like, unless --deadline says otherwise. Clients that come anew go \
            to the next backend of their order, and nobody else moves.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    @Option(
        help: ArgumentHelp("Close what is left after this time.", valueName: "duration"),
        transform: DurationOption.parse)
    var deadline: DurationOption?

    @Flag(help: "Wait until no connection is left, and show how many are.")
    var wait = false

    @Option(
        help: ArgumentHelp("With --wait: give up after this time, with exit status 6.", valueName: "duration"),
        transform: DurationOption.parse)
    var timeout: DurationOption?

    @Flag(help: "Drain even the last eligible backend of its service.")
    var force = false

    func validate() throws {
        if timeout != nil && !wait { throw ValidationError("--timeout goes with --wait") }
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try confirming(force: force) { force throws(ControlError) in
            try client.drain(backend, deadline: deadline?.duration, force: force)
        }
        guard let row = reply.body.backends.first else { return }
        guard wait else {
            return try output.backend(reply) { row in
                let open = row.connections + row.connecting
                return open == 0
                    ? "\(row.fullName): drained" : "\(row.fullName): draining, \(Units.connections(open)) left"
            }
        }
        output.warnUnsaved(reply.body)
        try DrainWait(name: row.fullName, limit: timeout?.duration, limitText: timeout?.text).run(client, output)
    }
}
