import ArgumentParser
import Control

struct Metrics: ShowingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Show all metrics in Prometheus' text format, see limpet-metrics(7).")

    @OptionGroup var options: GlobalOptions

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.metrics()
        if output.form == .json { return try output.json(reply) }
        output.write(reply.body.metrics)
    }
}
