import ArgumentParser
import Control

struct Config: ShowingVerb {
    static let configuration = CommandConfiguration(abstract: "Show the effective configuration as TOML.")

    @OptionGroup var options: GlobalOptions

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.configuration()
        if output.form == .json { return try output.json(reply) }
        output.write(reply.body.toml)
    }
}
