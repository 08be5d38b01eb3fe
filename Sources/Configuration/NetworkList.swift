import Addressing
import Backends

/// Lists of networks and of words, as keys take them.
extension TableReader {
    /// Networks that one key may name.
    static let mostNetworks = 256

    /// The networks of a key; nil: it is not written, or was refused.
    func networks(_ key: ConfigurationKey) -> [Prefix]? {
        guard let texts = texts(key) else { return nil }
        if texts.count > TableReader.mostNetworks {
            findings.report(
                placeOfValue(key),
                "\(texts.count) networks: \(TableReader.mostNetworks) at most; several that lie side "
                    + "by side can be written as one")
            return nil
        }
        var networks: [Prefix] = []
        for text in texts {
            guard let network = network(key, text) else { return nil }
            networks.append(network)
        }
        return networks
    }

    /// One network; nil: it was refused.
    func network(_ key: ConfigurationKey, _ text: String) -> Prefix? {
        switch NetworkText.read(text) {
        case .success(let network): return network
        case .failure(let problem):
            findings.report(placeOfValue(key), problem.description)
            return nil
        }
    }

    /// The words of a key, each of them once; nil: it is not written, or was refused.
    func choices(_ key: ConfigurationKey) -> [String]? {
        guard case .choices(let words) = key.kind, let texts = texts(key) else { return nil }
        var found: [String] = []
        for text in texts {
            guard words.contains(text) else {
                let known = words.map { "\"\($0)\"" }.joined(separator: ", ")
                findings.report(
                    placeOfValue(key), "\(quoted(text)) is none of \(known)",
                    suggestion: suggestion(for: text, among: words))
                return nil
            }
            if !found.contains(text) { found.append(text) }
        }
        return found
    }

    /// The texts of an array; nil: it is not written, or was refused.
    func texts(_ key: ConfigurationKey) -> [String]? {
        guard let node = nodes[key.name] else { return nil }
        guard case .array(let nodes) = node else {
            refuse(key, node)
            return nil
        }
        var texts: [String] = []
        for node in nodes {
            guard case .string(let text) = node else {
                refuse(key, node)
                return nil
            }
            texts.append(text)
        }
        return texts
    }
}

extension Setting {
    init(_ key: ConfigurationKey, networks: [Prefix]) {
        self.init(key, raw: "[\(networks.map { TOMLText.quote("\($0)") }.joined(separator: ", "))]")
    }
}
