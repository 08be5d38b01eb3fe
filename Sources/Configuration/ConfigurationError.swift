/// One thing that is wrong with the configuration: where it is, what it is, and what was probably meant.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file as it was named, or `limpetd` for the command line.
    public var source: String
    /// The way to it from outside in, each step as it is shown: `service "chat"`, `backend "ws1"`.
    public var place: [String]
    /// What is wrong, and where it is not obvious how it is put right.
    public var problem: String
    /// The word that was probably meant.
    public var suggestion: String?

    public init(source: String, place: [String] = [], problem: String, suggestion: String? = nil) {
        self.source = source
        self.place = place
        self.problem = problem
        self.suggestion = suggestion
    }

    /// One line: `limpet.toml: service "chat": backend "ws1": unknown key "wieght" (did you mean "weight"?)`.
    public var description: String {
        ([source] + place + [problem]).joined(separator: ": ")
            + (suggestion.map { " (did you mean \"\($0)\"?)" } ?? "")
    }
}

/// Why there is no configuration: everything that was found, not only the first.
public struct ConfigurationFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Whose mistake it is, which decides the exit status.
    public enum Kind: Sendable {
        /// The command line: exit status 2.
        case usage
        /// The configuration file, or a file that it names: exit status 7.
        case configuration
    }

    public var kind: Kind
    /// In the order of the file. Never empty.
    public var errors: [ConfigurationError]

    public init(_ kind: Kind, _ errors: [ConfigurationError]) {
        self.kind = kind
        self.errors = errors
    }

    /// One line for each error.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// A text of the user's in quotes, made fit for one line of a terminal: control characters are escaped, and what
/// is longer than 80 characters is cut.
func quoted(_ text: String) -> String {
    var shown = "\""
    for scalar in text.unicodeScalars.prefix(80) {
        shown += scalar == "\"" ? "\\\"" : isPlain(scalar) ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
    }
    return shown + (text.unicodeScalars.count > 80 ? "…\"" : "\"")
}

/// Somebody else's sentence, in which a text of the user's may stand, made fit for one line of a terminal.
func oneLine(_ sentence: String) -> String {
    var shown = ""
    for scalar in sentence.unicodeScalars.prefix(400) {
        shown += isPlain(scalar) ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
    }
    return shown + (sentence.unicodeScalars.count > 400 ? "…" : "")
}

/// Whether a text of any length can be shown between quotes as it is.
func isPlain(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { $0 != "\"" && isPlain($0) }
}

/// True unless the character could move a cursor, break a line or turn the direction of the text.
private func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: false
    default: true
    }
}
