import ArgumentParser
import Control

struct Check: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Check a backend now, and say what was found.",
        discussion: """
            It counts like any other check: a backend that is in doubt may go up or down by it. One in maintenance is \
            checked too, and nothing follows from it.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try client.check(backend)
        let report = reply.body
        switch output.form {
        case .json: try output.json(reply)
        case .plain:
            for row in report.backends {
                output.plain([
                    row.service, row.name, report.outcome.rawValue, report.result, Units.seconds(report.seconds),
                    row.state.rawValue,
                ])
            }
        case .table:
            for row in report.backends {
                output.line(
                    "\(row.fullName): \(report.outcome.rawValue) in \(Units.seconds(report.seconds)) s: "
                        + "\(report.result); the backend is \(row.state.rawValue)")
            }
        }
        guard report.outcome == .passed else {
            output.flush()
            throw Failure(
                message: "\(backend): the check has \(report.outcome == .failed ? "failed" : "not been possible")",
                exitStatus: 1)
        }
    }
}
