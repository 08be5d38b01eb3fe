import ArgumentParser
import Control

struct Listeners: ShowingVerb {
    static let configuration = CommandConfiguration(abstract: "List the listening addresses.")

    @OptionGroup var options: GlobalOptions

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.listeners()
        if output.form == .json { return try output.json(reply) }
        output.rows(reply.body.listeners, Column.listeners)
    }
}
