import Foundation

/// Reads a ``CommandHelp`` from a text instead of from a program.
enum JSONHelp {
    static func decode(_ text: String) throws -> CommandHelp {
        try JSONDecoder().decode(CommandHelp.self, from: Data(text.utf8))
    }
}
