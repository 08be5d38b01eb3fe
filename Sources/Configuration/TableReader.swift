import Addressing
import Backends

/// What the checks found, gathered so that one run reports everything. Lives as long as one load, on one thread.
final class Findings {
    /// The file as it was named, or `limpetd` for the command line.
    let source: String
    var errors: [ConfigurationError] = []
    var warnings: [String] = []

    init(source: String) {
        self.source = source
    }

    func report(_ place: [String], _ problem: String, suggestion: String? = nil) {
        errors.append(ConfigurationError(source: source, place: place, problem: problem, suggestion: suggestion))
    }

    func warn(_ place: [String], _ problem: String) {
        warnings.append(ConfigurationError(source: source, place: place, problem: problem).description)
    }
}

/// Reads the values of one table by the registry. A value that does not fit is reported and leaves what stood before.
struct TableReader {
    /// Where a table was written, which decides how its keys and values are called in an error.
    enum Form {
        /// TOML: values have types of their own.
        case file
        /// Flags: everything was typed as text.
        case flags
        /// The text of one `--backend`.
        case specification
    }

    let nodes: [String: TOMLNode]
    let place: [String]
    let form: Form
    let findings: Findings

    /// A value that fits its key.
    enum Value {
        /// The word that stands for "no value": `off`, `auto`.
        case word
        case integer(Int)
        case duration(Duration)
        case text(String)
        case address(IPAddress)
        case boolean(Bool)
    }

    /// How a key is called here: `"weight"` in a file, `--workers` on the command line.
    func label(_ key: ConfigurationKey) -> String { form == .flags ? "--\(key.name)" : "\"\(key.name)\"" }

    /// Where a complaint about the value of a key is placed: `listen`, `--listen`.
    func placeOfValue(_ key: ConfigurationKey) -> [String] {
        place + [form == .flags ? "--\(key.name)" : key.name]
    }

    /// Reports every key that no section among `sections` has.
    func refuseUnknown(in sections: [ConfigurationKey.Section]) {
        let known = ConfigurationKeys.all.filter { sections.contains($0.section) }.map(\.name)
        for name in nodes.keys.sorted() where !known.contains(name) {
            if let home = ConfigurationKeys.all.first(where: { $0.name == name })?.section.whereabouts {
                findings.report(place, "unknown key \"\(name)\" here: it belongs \(home)")
            } else {
                findings.report(
                    place, "unknown key \(quoted(name))", suggestion: suggestion(for: name, among: known))
            }
        }
    }

    /// The value of a key; nil where it is not written or was refused.
    func value(_ key: ConfigurationKey) -> Value? {
        guard let node = nodes[key.name] else { return nil }
        guard let value = fit(node, key.kind) else {
            refuse(key, node)
            return nil
        }
        return value
    }

    func read(_ key: ConfigurationKey, into target: inout Int) {
        if case .integer(let number) = value(key) { target = number }
    }

    func read(_ key: ConfigurationKey, into target: inout Int?) {
        switch value(key) {
        case .integer(let number): target = number
        case .word: target = nil
        default: break
        }
    }

    func read(_ key: ConfigurationKey, into target: inout Duration) {
        if case .duration(let duration) = value(key) { target = duration }
    }

    func read(_ key: ConfigurationKey, into target: inout Duration?) {
        switch value(key) {
        case .duration(let duration): target = duration
        case .word: target = nil
        default: break
        }
    }

    func read(_ key: ConfigurationKey, into target: inout Bool) {
        if case .boolean(let value) = value(key) { target = value }
    }

    func read(_ key: ConfigurationKey, into target: inout String?) {
        switch value(key) {
        case .text(let text): target = text
        case .word: target = nil
        default: break
        }
    }

    func read(_ key: ConfigurationKey, into target: inout String) {
        if case .text(let text) = value(key) { target = text }
    }

    func read<Choice: RawRepresentable<String>>(_ key: ConfigurationKey, into target: inout Choice) {
        if case .text(let text) = value(key), let choice = Choice(rawValue: text) { target = choice }
    }

    /// A word that is none of the choices, such as `off`, stands for nil.
    func read<Choice: RawRepresentable<String>>(_ key: ConfigurationKey, into target: inout Choice?) {
        if case .text(let text) = value(key) { target = Choice(rawValue: text) }
    }

    /// A required text; its absence is reported.
    func required(_ key: ConfigurationKey) -> String? {
        guard nodes[key.name] != nil else {
            findings.report(place, "\(label(key)) is missing")
            return nil
        }
        if case .text(let text) = value(key) { return text }
        return nil
    }

    /// One endpoint, its address unmapped: `::ffff:192.0.2.1` is written in IPv6 and is IPv4.
    func endpoint(_ key: ConfigurationKey, _ node: TOMLNode) -> Endpoint? {
        guard case .string(let text) = node, quoted(text) == "\"\(text)\"" else {
            refuse(key, node)
            return nil
        }
        do throws(EndpointError) {
            return try Endpoint(parsing: text).unmapped.complete()
        } catch {
            findings.report(placeOfValue(key), error.description)
            return nil
        }
    }

    /// The tables of an array of tables; nil where the key is not written.
    func tables(_ key: ConfigurationKey) -> [[String: TOMLNode]]? {
        guard let node = nodes[key.name] else { return nil }
        if case .table = node {
            let header = (key == ConfigurationKeys.backend ? "service." : "") + key.name
            findings.report(place, "\(label(key)) must be an array of tables: write [[\(header)]], not [\(header)]")
            return nil
        }
        guard case .array(let elements) = node else {
            refuse(key, node)
            return nil
        }
        var tables: [[String: TOMLNode]] = []
        for element in elements {
            guard case .table(let table) = element else {
                findings.report(place, "\(label(key)) must be an array of tables, not of \(element.typeDescription)")
                return nil
            }
            tables.append(table)
        }
        return tables
    }

    /// Reports that a value does not fit.
    func refuse(_ key: ConfigurationKey, _ node: TOMLNode) {
        var shown = node.typeDescription
        var meant: String?
        switch (node, key.kind) {
        case (.string(let text), .choice(let words)):
            shown = quoted(text)
            meant = suggestion(for: text, among: words)
        case (.string(let text), _) where form != .file || key.kind.takesText: shown = quoted(text)
        case (.integer(let number), .integer), (.integer(let number), .size): shown = "\(number)"
        case (.integer(let number), .hundredths): shown = "\(number)"
        case (.number(let number), .hundredths): shown = "\(number)"
        default: break
        }
        findings.report(place, "\(label(key)) must be \(key.expectation), not \(shown)", suggestion: meant)
    }

    private func fit(_ node: TOMLNode, _ kind: ConfigurationKey.Kind) -> Value? {
        if case .string(let text) = node, let word = kind.word, text == word { return .word }
        switch (kind, node) {
        case (.integer(let range, _), .integer(let number)), (.size(let range, _), .integer(let number)):
            return range.contains(number) ? .integer(number) : nil
        case (.size(let range, _), .string(let text)):
            return SizeText.parse(text).flatMap { range.contains($0) ? .integer($0) : nil }
        case (.duration(let range, _), .string(let text)):
            return DurationText.parse(text).flatMap { range.contains($0) ? .duration($0) : nil }
        case (.seconds(let range), .string(let text)):
            guard let duration = DurationText.parse(text), range.contains(duration),
                duration.components.attoseconds == 0
            else { return nil }
            return .duration(duration)
        case (.hundredths(let range, _), .integer(let number)):
            return (0...range.upperBound).contains(number) && range.contains(number * 100)
                ? .integer(number * 100) : nil
        case (.hundredths(let range, _), .number(let number)):
            return HundredthsText.exact(number).flatMap { range.contains($0) ? .integer($0) : nil }
        case (.boolean, .boolean(let value)): return .boolean(value)
        case (.choice(let words), .string(let text)): return words.contains(text) ? .text(text) : nil
        case (.name, .string(let text)): return Name.isValid(text) ? .text(text) : nil
        case (.path(let limit), .string(let text)):
            let fits = (1...limit).contains(text.utf8.count) && !text.unicodeScalars.contains { $0.value < 0x20 }
            return fits && !text.unicodeScalars.contains("\u{7f}") ? .text(text) : nil
        case (.text(let limit), .string(let text)): return (1...limit).contains(text.utf8.count) ? .text(text) : nil
        case (.ipAddress, .string(let text)): return IPAddress(text).map { .address($0.unmapped) }
        case (.device, .string(let text)): return SourceConfiguration.isDevice(text) ? .text(text) : nil
        case (.interface, .string(let text)):
            let fits = (1...15).contains(text.utf8.count) && text != "." && text != ".."
            return fits && quoted(text) == "\"\(text)\"" && !text.contains { " :/%".contains($0) } ? .text(text) : nil
        case (.permissions, .string(let text)):
            return PermissionsText.parse(text).map { .integer(Int($0)) }
        case (.account, .string(let text)), (.group, .string(let text)):
            let fits = (1...32).contains(text.unicodeScalars.count)
            return fits && quoted(text) == "\"\(text)\"" && !text.contains { " :/".contains($0) } ? .text(text) : nil
        default: return nil
        }
    }
}

extension ConfigurationKey.Kind {
    /// The word that stands for "no value", where the key takes one.
    fileprivate var word: String? {
        switch self {
        case .integer(_, let word), .duration(_, let word), .size(_, let word), .table(let word),
            .hundredths(_, let word), .device(let word):
            word
        default: nil
        }
    }

    /// Whether some string fits, so that a wrong one is worth showing and not only its type.
    fileprivate var takesText: Bool {
        switch self {
        case .integer(_, let word), .table(let word), .hundredths(_, let word): word != nil
        case .tables, .boolean: false
        default: true
        }
    }
}

extension ConfigurationKey.Section {
    /// Where the keys of a section stand, as an error tells it.
    fileprivate var whereabouts: String {
        switch self {
        case .daemon: "at the top of the file, before the first [defaults] or [[service]]"
        case .service: "in a [[service]]"
        case .listener: "in an inline table of \"listen\""
        case .behaviour: "in a [[service]] or in [defaults]"
        case .backend: "in a [[service.backend]]"
        case .keepalive: "in the table \"keepalive\""
        case .health: "in the table \"health\""
        }
    }
}
