import Foundation

/// What a program says about its own command line: swift-argument-parser's `--experimental-dump-help`.
struct CommandHelp: Decodable {
    struct Document: Decodable {
        var command: CommandHelp
    }

    struct Argument: Decodable {
        struct Name: Decodable {
            var name: String
        }

        var kind: String
        var names: [Name]?
        var shouldDisplay: Bool
    }

    var commandName: String
    var discussion: String?
    var arguments: [Argument]?
    var subcommands: [CommandHelp]?

    /// Names without dashes of all flags and options. `help` is everywhere and means the same everywhere: it is left out.
    var flags: Set<String> {
        let visible = (arguments ?? []).filter { $0.kind != "positional" && $0.shouldDisplay }
        return Set(visible.flatMap { ($0.names ?? []).map(\.name) }).subtracting(["h", "help"])
    }

    /// The verbs, without `help`.
    var verbs: [CommandHelp] {
        (subcommands ?? []).filter { $0.commandName != "help" }
    }

    /// The numbers that the help lists after `Exit status:`, each before the text that explains it.
    var exitStatuses: Set<Int> {
        guard let list = (discussion ?? "").components(separatedBy: "Exit status:").dropFirst().first else { return [] }
        return Set(list.split(separator: ";").compactMap { entry in Int(entry.split(separator: " ").first ?? "") })
    }

    init(of program: String) throws {
        let outcome = try Program.run(Program.path(of: program), ["--experimental-dump-help"])
        self = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8)).command
    }
}
