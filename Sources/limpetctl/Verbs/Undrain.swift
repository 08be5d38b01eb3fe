import ArgumentParser
import Control

struct Undrain: ActingVerb {
    static let configuration = CommandConfiguration(abstract: "Let a drained backend take connections again.")

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try client.undrain(backend)
        try output.backend(reply) { "\($0.fullName): \($0.state.rawValue)" }
    }
}
