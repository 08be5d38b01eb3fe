import ArgumentParser
import Control

struct Rehome: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Bring clients that are away home, by closing their connections at a pace.",
        usage: "limpetctl rehome [SERVICE] [--rate N/s]",
        discussion: """
            Connections whose home would take them now get FIN, those that have been silent for longest first, each at a \
            quiet moment where one comes; their clients go home when they connect again. It returns at once. Asked \
            again, the new rate counts; a rate of 0/s ends it.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(help: "The service; without one, all.", completion: Completions.service)
    var service: String?

    @Option(
        help: ArgumentHelp("Connections to close in a second, 0 to 100000 (default: 10/s).", valueName: "n/s"),
        transform: Rehome.parse)
    var rate: Int?

    private static func parse(_ text: String) throws -> Int {
        guard let rate = RateText.parse(text) else {
            throw ValidationError("\(text): a rate is a whole number from 0 to 100000, such as 20/s")
        }
        return rate
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try client.rehome(service, rate: rate)
        let report = reply.body
        switch output.form {
        case .json: try output.json(reply)
        case .plain: output.plain([String(report.connections), String(report.rate)])
        case .table:
            output.line(
                report.rate == 0
                    ? "no connection is closed any more"
                    : "\(Units.connections(report.connections)) will be closed, \(report.rate) a second")
        }
    }
}
