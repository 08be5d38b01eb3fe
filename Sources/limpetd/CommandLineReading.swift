import ArgumentParser
import Configuration

/// What came of reading the command line.
enum CommandLineReading {
    case options(Options)
    /// It asked for a text (help, version, a completion script): print it to stdout and exit 0.
    case answered(String)
    /// It was wrong: print this to stderr and exit 2 (the argument parser would exit 64).
    case refused(String)

    static func read(_ arguments: [String]) -> CommandLineReading {
        do {
            let options = try Options.parse(arguments)
            if options.config == nil, options.flags.isEmpty {
                return .refused(
                    "limpetd: nothing to do: give -c FILE, or --listen ADDR:PORT and --backend ADDR:PORT "
                        + "(limpetd --help)\n")
            }
            return .options(options)
        } catch {
            if Options.exitCode(for: error) == .success { return .answered(Options.fullMessage(for: error) + "\n") }
            return .refused("limpetd: \(Options.message(for: error)) (limpetd --help)\n")
        }
    }
}
