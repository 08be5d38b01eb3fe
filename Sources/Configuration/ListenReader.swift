import Addressing
import Backends

/// Reads `listen` and `--listen`.
struct ListenReader {
    let reader: TableReader

    init(_ reader: TableReader) {
        self.reader = reader
    }

    /// Those of a file: a text, a table, or an array of these.
    func read() -> [ListenerConfiguration] {
        let nodes: [TOMLNode] =
            switch reader.nodes[ConfigurationKeys.listen.name] {
            case .array(let nodes): nodes
            case let node?: [node]
            case nil: []
            }
        if nodes.isEmpty {
            reader.findings.report(reader.place, "no listeners: add listen = \"0.0.0.0:80\" or the like")
        }
        var found: [ListenerConfiguration] = []
        // Ranges of ports can make many of few words; that there are too many is said of what has been found until then.
        for (index, node) in nodes.enumerated() where found.count <= ListenReader.enough {
            guard case .table(let table) = node else {
                found += self.read(text: node)
                continue
            }
            // It is called by its address, once that is known to be a text.
            var call = "listen \(index + 1)"
            if case .string(let text) = table[ConfigurationKeys.listenerAddress.name] {
                call = "listen \(quoted(text))"
            }
            let inner = TableReader(
                nodes: table, place: reader.place + [call], form: reader.form, findings: reader.findings)
            inner.refuseUnknown(in: [.listener])
            found += ListenReader(inner).readTable()
        }
        return found
    }

    private static let enough = 100_000

    /// Those of the command line.
    func read(_ texts: [String]) -> [ListenerConfiguration] {
        if texts.isEmpty { reader.findings.report(reader.place, "no listeners: add --listen ADDR:PORT") }
        return texts.flatMap { text in
            let specification = ListenSpecification(text)
            guard specification.hasOptions else { return self.read(text: .string(text)) }
            let place = ["--listen \(quoted(text))"]
            for (problem, suggestion) in specification.problems {
                reader.findings.report(place, problem, suggestion: suggestion)
            }
            let inner = TableReader(
                nodes: specification.nodes, place: place, form: .specification, findings: reader.findings)
            return ListenReader(inner).readTable()
        }
    }

    private func read(text node: TOMLNode) -> [ListenerConfiguration] {
        addresses(ConfigurationKeys.listen, node).map { ListenerConfiguration($0) }
    }

    /// One address, or those of a range of ports.
    private func addresses(_ key: ConfigurationKey, _ node: TOMLNode) -> [ListenerAddress] {
        do throws(PortRangeError) {
            if case .string(let text) = node, let range = try PortRange(text) {
                // They are alike: what is wrong with one is wrong with all.
                guard let first = address(key, .string(range.texts[0])) else { return [] }
                return [first] + range.texts.dropFirst().compactMap { address(key, .string($0)) }
            }
        } catch {
            reader.findings.report(reader.placeOfValue(key), error.problem)
            return []
        }
        return address(key, node).map { [$0] } ?? []
    }

    private func address(_ key: ConfigurationKey, _ node: TOMLNode) -> ListenerAddress? {
        if case .string(let text) = node, text.hasPrefix(UnixPath.prefix), isPlain(text) {
            do throws(UnixPathError) {
                return .unix(try UnixPath(parsing: text))
            } catch {
                reader.findings.report(reader.placeOfValue(key), error.description)
                return nil
            }
        }
        guard case .string(let text) = node, text.hasPrefix(ListenerAddress.inheritedPrefix) else {
            return reader.endpoint(key, node).map { .endpoint($0) }
        }
        let name = text.dropFirst(ListenerAddress.inheritedPrefix.count)
        // What systemd.socket(5) allows, less what would not stand in a line of ours.
        guard (1...255).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7e).contains($0) }),
            !name.contains(where: { ":,\"".contains($0) })
        else {
            reader.findings.report(
                reader.placeOfValue(key),
                "\(quoted(text)): the name of a socket that is passed has 1 to 255 characters, without spaces, colons, "
                    + "commas and quotes")
            return nil
        }
        return .inherited(String(name))
    }

    /// One with options.
    private func readTable() -> [ListenerConfiguration] {
        guard let node = reader.nodes[ConfigurationKeys.listenerAddress.name] else {
            reader.findings.report(reader.place, "\(reader.label(ConfigurationKeys.listenerAddress)) is missing")
            return []
        }
        let addresses = addresses(ConfigurationKeys.listenerAddress, node)
        guard let address = addresses.first else { return [] }
        var listener = ListenerConfiguration(address)
        if case .inherited = address {
            guard checkInherited() else { return [] }
            reader.read(ConfigurationKeys.intercept, into: &listener.isIntercepting)
            reader.readAccess(into: &listener)
            return [listener]
        }
        if case .unix(let path) = address { return readUnix(&listener, path) ? [listener] : [] }
        for key in ListenReader.fileKeys where reader.nodes[key.name] != nil {
            reader.findings.report(reader.place, "\(reader.label(key)) has no place here: it is for Unix sockets")
            return []
        }
        reader.read(ConfigurationKeys.device, into: &listener.device)
        reader.read(ConfigurationKeys.freebind, into: &listener.isFree)
        reader.read(ConfigurationKeys.v6only, into: &listener.isV6Only)
        reader.read(ConfigurationKeys.intercept, into: &listener.isIntercepting)
        reader.readAccess(into: &listener)
        if reader.nodes[ConfigurationKeys.v6only.name] != nil { checkV6Only(&listener) }
        return addresses.map { address in
            var one = listener
            one.address = address
            return one
        }
    }

    private static let addressKeys = [ConfigurationKeys.device, ConfigurationKeys.freebind, ConfigurationKeys.v6only]
    private static let networkKeys = [
        ConfigurationKeys.intercept, ConfigurationKeys.listenerAllow, ConfigurationKeys.listenerDeny,
    ]
    private static let fileKeys = [
        ConfigurationKeys.mode, ConfigurationKeys.listenerOwner, ConfigurationKeys.listenerGroup,
    ]

    /// What a Unix socket has, and what it has not. False: something has no place there.
    private func readUnix(_ listener: inout ListenerConfiguration, _ path: UnixPath) -> Bool {
        let forFiles = path.isAbstract ? ListenReader.fileKeys : []
        let foreign = ListenReader.addressKeys + ListenReader.networkKeys + forFiles
        if let key = foreign.first(where: { reader.nodes[$0.name] != nil }) {
            let why = ListenReader.fileKeys.contains(key) ? "an abstract name has no file" : "it is for IP addresses"
            reader.findings.report(reader.place, "\(reader.label(key)) has no place here: \(why)")
            return false
        }
        if case .integer(let bits)? = reader.value(ConfigurationKeys.mode) { listener.mode = UInt32(bits) }
        reader.read(ConfigurationKeys.listenerOwner, into: &listener.owner)
        reader.read(ConfigurationKeys.listenerGroup, into: &listener.group)
        return true
    }

    /// How it is bound is settled by whoever has bound it.
    private func checkInherited() -> Bool {
        let keys = ListenReader.addressKeys + ListenReader.fileKeys
        guard let key = keys.first(where: { reader.nodes[$0.name] != nil }) else { return true }
        reader.findings.report(
            reader.place, "\(reader.label(key)) has no place here: whoever passes the socket has bound it")
        return false
    }

    /// Any other address is of one family, and so are its clients.
    private func checkV6Only(_ listener: inout ListenerConfiguration) {
        guard let address = listener.address.endpoint?.address else { return }
        let isWrong = address.family == .v4 || !listener.isV6Only && !address.isUnspecified
        guard isWrong else { return }
        listener.isV6Only = true
        reader.findings.report(
            reader.place,
            "\(reader.label(ConfigurationKeys.v6only)) is for [::] alone: every other address takes clients of its own "
                + "family and no others")
    }
}

/// The text of a `--listen`, `ADDR:PORT[,device=NAME][,freebind][,v6only=false]`, taken apart into the table that a file
/// would hold. The values are checked where those of a file are.
struct ListenSpecification {
    private(set) var nodes: [String: TOMLNode] = [:]
    /// What is wrong with the form, and what was probably meant.
    private(set) var problems: [(problem: String, suggestion: String?)] = []
    /// Whether there is more to it than an address.
    let hasOptions: Bool

    init(_ text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        hasOptions = parts.count > 1
        nodes[ConfigurationKeys.listenerAddress.name] = .string(String(parts[0]))
        for part in parts.dropFirst() { add(part) }
    }

    private mutating func add(_ option: Substring) {
        let pair = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(pair[0])
        let options = ConfigurationKeys.keys(in: .listener).filter { $0 != ConfigurationKeys.listenerAddress }
        guard let key = options.first(where: { $0.name == name }) else {
            problems.append(("unknown key \(quoted(name))", suggestion(for: name, among: options.map(\.name))))
            return
        }
        guard nodes[name] == nil else {
            problems.append(("\"\(name)\" is given twice", nil))
            return
        }
        switch (key.kind, pair.count) {
        case (_, 2): nodes[name] = FlagValues.node(String(pair[1]), for: key)
        case (.boolean, _): nodes[name] = .boolean(true)
        default: problems.append(("\"\(name)\" needs a value: \(name)=NAME", nil))
        }
    }
}
