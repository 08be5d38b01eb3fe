import Addressing
import Backends

/// The text of a `--backend`, `[NAME=]ADDR:PORT[,weight=W][,max-connections=N][,backup]`, taken apart into the table
/// that a file would hold. The values are checked where those of a file are.
struct BackendSpecification {
    /// The whole text, as it was typed.
    let text: String
    private(set) var nodes: [String: TOMLNode] = [:]
    /// What is wrong with the form, and what was probably meant.
    private(set) var problems: [(problem: String, suggestion: String?)] = []

    private static let options = [
        ConfigurationKeys.weight, ConfigurationKeys.backendMaxConnections, ConfigurationKeys.backup,
    ]

    /// - Parameter number: the position among the backends, from 1; it makes the name `b1`, `b2`, … of one without.
    init(_ text: String, number: Int) {
        self.text = text
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        // No name has a colon: this is an address, whose path may have the sign.
        let isPath = parts[0].hasPrefix(UnixPath.prefix)
        let target = parts[0].split(separator: "=", maxSplits: isPath ? 0 : 1, omittingEmptySubsequences: false)
        nodes[ConfigurationKeys.backendName.name] = .string(target.count == 2 ? String(target[0]) : "b\(number)")
        nodes[ConfigurationKeys.address.name] = .string(String(target[target.count - 1]))
        for part in parts.dropFirst() { add(part) }
    }

    private mutating func add(_ option: Substring) {
        let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(pair[0])
        guard let key = BackendSpecification.options.first(where: { $0.name == name }) else {
            let known = BackendSpecification.options.map(\.name)
            problems.append(("unknown key \(quoted(name))", suggestion(for: name, among: known)))
            return
        }
        guard nodes[name] == nil else {
            problems.append(("\"\(name)\" is given twice", nil))
            return
        }
        switch (key.kind, pair.count) {
        case (.boolean, 1): nodes[name] = .boolean(true)
        case (.boolean, _): problems.append(("\"\(name)\" takes no value", nil))
        case (_, 2): nodes[name] = FlagValues.node(String(pair[1]), for: key)
        default: problems.append(("\"\(name)\" needs a value: \(name)=N", nil))
        }
    }
}
