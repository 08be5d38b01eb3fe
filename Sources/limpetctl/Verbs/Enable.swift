import ArgumentParser
import Control

struct Enable: ActingVerb {
    static let configuration = CommandConfiguration(abstract: "Take a backend out of maintenance.")

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try client.enable(backend)
        try output.backend(reply) { "\($0.fullName): \($0.state.rawValue)" }
    }
}
