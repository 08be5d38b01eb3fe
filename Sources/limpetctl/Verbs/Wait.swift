import ArgumentParser
import Control
import Linux

struct Wait: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Wait until a backend is drained, or up.",
        usage: "limpetctl wait BACKEND drained | up [--timeout D]",
        discussion: """
            Drained: it drains, or is in maintenance, and no connection of it is left. Up: its health and its operators let \
            it take connections; it may be full. The backend is looked at twice a second, and each change is printed.
            """)

    enum Goal: String, CaseIterable {
        case drained, up
    }

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    @Argument(
        help: ArgumentHelp("What is waited for: drained or up.", valueName: "state"),
        completion: .list(["drained", "up"]), transform: Wait.parse)
    var goal: Goal

    @Option(
        help: ArgumentHelp("Give up after this time, with exit status 6.", valueName: "duration"),
        transform: DurationOption.parse)
    var timeout: DurationOption?

    private static func parse(_ text: String) throws -> Goal {
        guard let goal = Goal(rawValue: text) else {
            throw ValidationError("\(text): what can be waited for is drained or up")
        }
        return goal
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let start = Clock.now()
        let reply = try client.backend(backend)
        guard let row = reply.body.backends.first else { throw ControlError(.noSuchObject, "\(backend): it has gone") }
        switch goal {
        case .drained: try DrainWait(name: row.fullName, isOwn: false, limit: timeout).run(client, output)
        case .up: try waitUntilUp(row.fullName, since: start, client, output)
        }
    }

    private func waitUntilUp(
        _ name: BackendName, since start: UInt64, _ client: ControlClient, _ output: Output
    ) throws {
        defer { output.endProgress() }
        var last: BackendRow.State?
        while true {
            let reply = try client.backend(name.description)
            guard let row = reply.body.backends.first else { throw ControlError(.noSuchObject, "\(name): it has gone") }
            let isUp = row.state == .up || row.state == .full
            if row.state != last {
                last = row.state
                switch output.form {
                case .json: try output.json(reply)
                case .plain: output.plain(row.plainFields)
                case .table:
                    if !isUp { output.progress("\(name): \(row.state.rawValue)") }
                }
                output.flush()
            }
            if isUp {
                output.endProgress()
                if output.form == .table { output.line("\(name): \(row.state.rawValue)") }
                return
            }
            if let timeout, Clock.now() - start >= timeout.duration.nanoseconds {
                throw ControlError(.timeout, "\(name): still \(row.state.rawValue) after \(timeout.text)")
            }
            Terminal.sleep(milliseconds: DrainWait.interval)
        }
    }
}
