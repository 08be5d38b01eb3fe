import ArgumentParser
import Control

struct Shutdown: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "End limpetd.",
        discussion:
            "It answers before the end: connections are closed over their time, once shutdown-delay is over.")

    @OptionGroup var options: GlobalOptions

    @Option(
        help: ArgumentHelp(
            "Time over which connections are closed, each at a quiet moment (default: as configured).",
            valueName: "duration"),
        transform: DurationOption.parse)
    var drain: DurationOption?

    @Flag(help: "Do not ask, even where there are connections.")
    var force = false

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try confirming(force: force) { force throws(ControlError) in
            try client.shutdown(drain: drain?.duration, force: force)
        }
        let count = reply.body.connections
        switch output.form {
        case .json: try output.json(reply)
        case .plain: output.plain([String(count)])
        case .table:
            let time = drain.map { ", to be closed over \($0.text) after shutdown-delay" } ?? " left"
            output.line("limpetd is ending" + (count > 0 ? ": \(Units.connections(count))\(time)" : ""))
        }
    }
}
