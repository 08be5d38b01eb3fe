import ArgumentParser
import Control

struct Where: ShowingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Show which backend a client's address leads to, and why.")

    @OptionGroup var options: GlobalOptions

    @Argument(help: "The client: ADDRESS, or ADDRESS:PORT where a service hashes the port.")
    var address: String

    @Option(
        help: ArgumentHelp("As if this backend were not there. May be repeated.", valueName: "backend"),
        completion: Completions.backend)
    var without: [String] = []

    @Option(
        help: ArgumentHelp("The service; needed where there are several.", valueName: "name"),
        completion: Completions.service)
    var service: String?

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.locate(address, service: service, without: without)
        if output.form == .json { return try output.json(reply) }
        let report = reply.body
        let ranked = report.preference.enumerated().map {
            RankedPreference(rank: $0 + 1, preference: $1, isChosen: $1.backend == report.chosen)
        }
        if output.form == .table {
            let goal = report.chosen.map { "\(report.service)/\($0)" } ?? "nowhere"
            output.line("\(report.address) goes to \(output.style.paint(goal, .strong)): \(report.reason)")
            output.line("key \(report.key)")
            output.line("")
        }
        output.rows(ranked, Column.preferences)
    }
}
