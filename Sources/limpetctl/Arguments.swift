import Backends

/// The order of words on the command line, which people may choose more freely than the argument parser takes them.
enum Arguments {
    /// Options that may stand before the verb.
    private static let general = ["--control", "--json", "--plain", "--wide", "--watch", "--version", "--help"]
    /// Options that the argument parser answers by itself.
    private static let parsersOwn = ["--generate-completion-script", "--experimental-dump-help"]

    /// Moves the options that stand before the verb behind it, gives a bare `--watch` its number, and lets `--version`
    /// be the verb that it means.
    /// - Throws: ``Failure`` for an unknown verb, for none at all, and for an unknown option before it.
    static func arranged(_ given: [String], verbs: [String]) throws(Failure) -> [String] {
        // What shells ask in order to complete a line.
        if given.first == "---completion" { return given }
        var leading: [String] = []
        var rest = given[...]
        while let word = rest.first, word.hasPrefix("-"), word != "--" {
            switch word {
            case "--version":
                return ["version", "--even-alone"] + leading + rest.dropFirst().map(withNumber)
            case "--json", "--plain", "--wide", "--watch":
                leading.append(withNumber(rest.removeFirst()))
            case "--control":
                leading.append(rest.removeFirst())
                if let path = rest.popFirst() { leading.append(path) }
            case _ where word.hasPrefix("--control=") || word.hasPrefix("--watch="):
                leading.append(rest.removeFirst())
            case "-h", "--help",
                _ where parsersOwn.contains { word.hasPrefix($0) }:
                return leading + rest.map(withNumber)
            default:
                let name = String(word.prefix { $0 != "=" })
                let guess = suggestion(for: name, among: general).map { " (did you mean \($0)?)" } ?? ""
                throw Failure.usage(
                    "\(name): no such option before a verb\(guess); a verb's own options stand after it; "
                        + "limpetctl --help lists all verbs")
            }
        }
        guard let verb = rest.popFirst() else { throw Failure.usage("a verb is missing; limpetctl --help lists them") }
        guard verbs.contains(verb) || verb == "help" else {
            let guess = suggestion(for: verb, among: verbs).map { " (did you mean \($0)?)" } ?? ""
            throw Failure.usage("\(verb): no such verb\(guess); limpetctl --help lists them")
        }
        // `help drain` takes no options.
        return verb == "help" ? ["help"] + rest : [verb] + leading + rest.map(withNumber)
    }

    private static func withNumber(_ word: String) -> String {
        word == "--watch" ? "--watch=2" : word
    }
}
