import ArgumentParser
import Control

struct Log: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Set how much limpetd logs, until the next reload or restart.",
        usage: "limpetctl log [LEVEL]",
        discussion: "Without a level it says which one is in force. An engine that dies or is upgraded keeps it.")

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "The least that is logged: trace, debug, info, notice, warning, error or critical.",
        completion: Completions.level)
    var level: String?

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = if let level { try client.setLogLevel(level) } else { try client.logLevel() }
        let report = reply.body
        switch output.form {
        case .json: try output.json(reply)
        case .plain: output.plain([report.level.rawValue, report.levelConfigured.rawValue])
        case .table:
            let told =
                report.level == report.levelConfigured
                ? "as configured" : "configured \(report.levelConfigured.rawValue)"
            output.line("\(report.level.rawValue), \(told)")
        }
    }
}
