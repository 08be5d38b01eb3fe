import ArgumentParser
import Control

struct Weight: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Set a backend's weight, or give it back to the configuration.",
        usage: "limpetctl weight BACKEND N | file",
        discussion: """
            The new weight holds for the next connection. Clients move to or from this backend alone, each when it \
            connects again. A weight that changes in the configuration takes its place.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    @Argument(
        help: ArgumentHelp("1 to 256, or the word file: what the configuration says.", valueName: "weight"),
        transform: Weight.parse)
    var weight: Choice

    /// What stands for the weight on the command line.
    enum Choice {
        case number(Int)
        case file
    }

    private static func parse(_ text: String) throws -> Choice {
        if text == WeightText.file { return .file }
        guard let number = Int(text), WeightText.range.contains(number) else {
            throw ValidationError("\(text): a weight is a whole number from 1 to 256, or the word file")
        }
        return .number(number)
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let number: Int? = if case .number(let number) = weight { number } else { nil }
        let reply = try client.setWeight(backend, to: number)
        try output.backend(reply) { row in
            let told = row.weight == row.weightConfigured ? "as configured" : "configured \(row.weightConfigured)"
            return "\(row.fullName): weight \(row.weight), \(told)"
        }
    }
}
