import ArgumentParser
import Control
import Linux

@main
struct Limpetctl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limpetctl",
        abstract: "See and steer a running limpetd.",
        usage: "limpetctl [--control PATH] [--json | --plain] [--wide] [--watch[=S]] VERB ...",
        discussion: """
            A backend is named by service/backend, or by its name alone where only one service has it. Durations are \
            written 500ms, 5s, 10m, 2h or 3d. The options before VERB may follow it too; limpetctl VERB --help says what \
            they do. limpetctl --version prints the versions of limpetctl and limpetd.

            Exit status: 0 done; 1 refused or failed; 2 usage; 3 limpetd is not running; 4 no such object; 5 permission; \
            6 a wait timed out; 7 configuration invalid; 8 refused, --force would.
            """,
        subcommands: [
            Status.self, Backends.self, Connections.self, Listeners.self, Top.self, Where.self, Affinity.self,
            Plan.self, Config.self,
            Metrics.self, Ready.self, Version.self, Drain.self, Undrain.self, Disable.self, Enable.self, Weight.self,
            Check.self, Wait.self, Pause.self, Resume.self, Events.self, Close.self, Rehome.self, Reload.self,
            Upgrade.self, Log.self, Shutdown.self,
        ])

    static func main() {
        StandardStreams.reserve()
        Terminal.ignoreBrokenPipe()
        let given = Array(CommandLine.arguments.dropFirst())
        let verbs = configuration.subcommands.map { $0._commandName }
        var verb: String?
        do {
            let arguments = try Arguments.arranged(given, verbs: verbs)
            verb = arguments.first.flatMap { verbs.contains($0) ? $0 : nil }
            var command = try parseAsRoot(arguments)
            try command.run()
            Terminal.exit(0)
        } catch let error as Failure {
            Diagnostics.report(error)
            Terminal.exit(error.exitStatus)
        } catch {
            Diagnostics.endParsing(with: error, as: Limpetctl.self, verb: verb)
        }
    }
}
