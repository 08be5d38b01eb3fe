/// What was given on the command line, as it was typed; nothing here has been checked.
public struct FlagValues: Sendable, Equatable, Codable {
    /// `--listen`, in order.
    public var listen: [String]
    /// `--backend`, in order: `[NAME=]ADDR:PORT[,weight=W][,max-connections=N][,backup]`.
    public var backends: [String]
    /// The other flags, by key.
    private(set) var settings: [String: String] = [:]

    public init(listen: [String] = [], backends: [String] = []) {
        self.listen = listen
        self.backends = backends
    }

    /// Takes over the flag of a key; nil: it was not given.
    /// - Precondition: the key has a flag, and it is not `--listen` or `--backend`.
    public mutating func set(_ key: ConfigurationKey, _ text: String?) {
        precondition(key.hasFlag && key.section != .service)
        settings[key.name] = text
    }

    /// True where nothing was given.
    public var isEmpty: Bool { listen.isEmpty && backends.isEmpty && settings.isEmpty }

    /// The flags that shape a service and therefore have no place beside a file.
    var serviceKeys: [ConfigurationKey] {
        (listen.isEmpty ? [] : [ConfigurationKeys.listen]) + (backends.isEmpty ? [] : [ConfigurationKeys.backend])
            + ConfigurationKeys.keys(in: .behaviour).filter { $0.hasFlag && settings[$0.name] != nil }
    }

    /// The settings of one section, as tables of a file would hold them.
    func nodes(of section: ConfigurationKey.Section) -> [String: TOMLNode] {
        var nodes: [String: TOMLNode] = [:]
        for key in ConfigurationKeys.keys(in: section) where key.hasFlag {
            guard let text = settings[key.name] else { continue }
            nodes[key.name] = FlagValues.node(text, for: key)
        }
        return nodes
    }

    /// Reads the flags that concern the whole daemon.
    func daemonReader(_ findings: Findings) -> TableReader {
        TableReader(nodes: nodes(of: .daemon), place: [], form: .flags, findings: findings)
    }

    /// A number where the key takes one and the text is one; else the text.
    static func node(_ text: String, for key: ConfigurationKey) -> TOMLNode {
        switch key.kind {
        case .integer, .size: wholeNumber(text[...]).map { .integer($0) } ?? .string(text)
        case .networks, .choices:
            .array(text.split(separator: ",", omittingEmptySubsequences: false).map { .string(String($0)) })
        case .networkList: .array([.string(text)])
        case .boolean: ["true": .boolean(true), "false": .boolean(false)][text] ?? .string(text)
        default: .string(text)
        }
    }
}
