import ArgumentParser
import Control

struct Backends: ShowingVerb {
    static let configuration = CommandConfiguration(abstract: "List the backends.")

    @OptionGroup var options: GlobalOptions

    @Option(help: ArgumentHelp("Only those of this service.", valueName: "name"), completion: Completions.service)
    var service: String?

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.backends(service: service)
        if output.form == .json { return try output.json(reply) }
        output.rows(reply.body.backends, Column.backends(at: reply.time))
        let paused = reply.body.backends.filter { $0.drain?.phase == .paused }
        guard output.form == .table, !paused.isEmpty else { return }
        output.line("")
        for row in paused { output.line("\(row.fullName): its drain is \(row.drain?.sentence ?? "paused")") }
    }
}
