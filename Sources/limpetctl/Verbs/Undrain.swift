import ArgumentParser
import Control

struct Undrain: ActingVerb {
    static let configuration = CommandConfiguration(abstract: "Let a drained backend take connections again.")

    @OptionGroup var options: GlobalOptions

    @Argument(help: "SERVICE/BACKEND, or the backend's name where only one service has it.")
    var backend: String

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try client.undrain(backend)
        try output.backend(reply) { "\($0.fullName): \($0.state.rawValue)" }
    }
}

extension Output {
    /// What became of a backend: its row, or a sentence.
    func backend(_ reply: Reply<BackendsReport>, _ sentence: (BackendRow) -> String) throws(ControlError) {
        switch form {
        case .json: try json(reply)
        case .plain: for row in reply.body.backends { plain(row.plainFields) }
        case .table: for row in reply.body.backends { line(sentence(row)) }
        }
    }
}
