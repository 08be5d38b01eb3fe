public import Addressing

/// Where connections to backends come from.
public struct SourceConfiguration: Sendable, Equatable {
    /// As they are written: addresses, and ranges of them. Empty: the kernel chooses an address.
    public var prefixes: [Prefix] = []
    /// The address of the client that a connection is for.
    public var isTransparent = false
    /// SO_MARK; nil: none.
    public var mark: UInt32?
    /// SO_BINDTODEVICE; nil: any.
    public var device: String?

    public init() {}

    /// A prefix stands for so many addresses at most, its first ones, and a list for so many of each family.
    public static let mostAddresses = 64

    /// The addresses of one family, each once, in the order in which they are written.
    public func addresses(_ family: IPAddress.Family) -> [IPAddress] {
        var found: [IPAddress] = []
        var seen: Set<IPAddress> = []
        for prefix in prefixes where prefix.address.family == family {
            for address in SourceConfiguration.addresses(of: prefix) where seen.insert(address).inserted {
                found.append(address)
            }
        }
        return found
    }

    /// Those that a connection to a backend may come from: the ones of its address's family.
    public func addresses(towards backend: BackendAddress) -> [IPAddress] {
        switch backend {
        case .endpoint(let endpoint): addresses(endpoint.address.family)
        case .unix: []
        case .name: addresses(.v4) + addresses(.v6)
        }
    }

    /// The first ``mostAddresses`` of a range.
    private static func addresses(of prefix: Prefix) -> [IPAddress] {
        let (first, length) = (prefix.network.address, prefix.length)
        let free = first.family.bitCount - length
        let count = free < 6 ? 1 << free : mostAddresses
        // So many fit into the last six bits, and the network has none of these set where it is that large.
        return (0..<UInt64(count)).map { offset in
            first.family == .v4
                ? IPAddress(v4: UInt32(truncatingIfNeeded: first.low + offset))
                : IPAddress(v6High: first.high, low: first.low + offset)
        }
    }

    /// As one writes it: the address alone where the prefix is one.
    static func text(_ prefix: Prefix) -> String {
        prefix.length == prefix.address.family.bitCount ? "\(prefix.address)" : "\(prefix)"
    }

    /// The whole list as one value; nil: the kernel chooses.
    var sourceText: String? {
        prefixes.isEmpty
            ? nil : "[\(prefixes.map { TOMLText.quote(SourceConfiguration.text($0)) }.joined(separator: ", "))]"
    }

    /// Whether a text can name a network interface: 1 to 15 bytes, as the kernel allows (dev_valid_name).
    static func isDevice(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"/:".utf8.contains($0) }
    }
}

extension ConfigurationKeys {
    public static let source = sourceKey(
        "source", .sources, "auto",
        "Local addresses of connections to backends, used in turn; auto leaves the choice to the kernel.")
    public static let sourceDevice = sourceKey(
        "source-device", .device(word: "any"), "any",
        "Network interface of connections to backends (SO_BINDTODEVICE).")
    public static let mark = sourceKey(
        "mark", .integer(1...Int(UInt32.max), word: "off"), "off",
        "Mark of the packets of connections to backends (SO_MARK), by which routes and filters know them.")
    public static let transparent = sourceKey(
        "transparent", .boolean, "false",
        "Whether backends see the client's address as that of the connection.")

    /// In the order of the manual and of the rendered configuration.
    static let sources = [source, sourceDevice, mark, transparent]

    private static func sourceKey(
        _ name: String, _ kind: ConfigurationKey.Kind, _ defaultText: String, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, section: .behaviour, kind: kind, defaultText: defaultText, hasFlag: false, summary: summary)
    }
}

extension SourceConfiguration {
    /// Written out.
    var settings: [Setting] {
        [
            sourceText.map { Setting(ConfigurationKeys.source, raw: $0) } ?? Setting(ConfigurationKeys.source, "auto"),
            Setting(ConfigurationKeys.sourceDevice, device ?? "any"),
            Setting(ConfigurationKeys.mark, number: mark.map(Int.init), otherwise: "off"),
            Setting(ConfigurationKeys.transparent, raw: "\(isTransparent)"),
        ]
    }
}

extension TableReader {
    /// The keys of ``SourceConfiguration``.
    func read(_ source: inout SourceConfiguration) {
        readPrefixes(into: &source.prefixes)
        read(ConfigurationKeys.sourceDevice, into: &source.device)
        var mark = source.mark.map(Int.init)
        read(ConfigurationKeys.mark, into: &mark)
        source.mark = mark.map { UInt32(truncatingIfNeeded: $0) }
        read(ConfigurationKeys.transparent, into: &source.isTransparent)
    }

    private func readPrefixes(into prefixes: inout [Prefix]) {
        let key = ConfigurationKeys.source
        let texts: [TOMLNode]
        switch nodes[key.name] {
        case nil: return
        case .string("auto"):
            prefixes = []
            return
        case .array(let nodes) where !nodes.isEmpty: texts = nodes
        case let node?: texts = [node]
        }
        var found: [Prefix] = []
        for node in texts {
            guard case .string(let text) = node, let prefix = Prefix(text) else { return refuse(key, node) }
            let mapped = prefix.address.unmapped
            guard let clean = mapped == prefix.address ? prefix : Prefix(mapped, length: prefix.length - 96) else {
                return refuse(key, node)
            }
            if let problem = TableReader.problem(clean) {
                return findings.report(placeOfValue(key), "\(quoted(text)) \(problem)")
            }
            found.append(clean)
        }
        var source = SourceConfiguration()
        source.prefixes = found
        for family in [IPAddress.Family.v4, .v6] {
            let count = source.addresses(family).count
            if count > SourceConfiguration.mostAddresses {
                return findings.report(
                    placeOfValue(key),
                    "\(count) \(family == .v4 ? "IPv4" : "IPv6") addresses: at most "
                        + "\(SourceConfiguration.mostAddresses) of a family are used")
            }
        }
        prefixes = found
    }

    /// What is wrong with a range as a source.
    private static func problem(_ prefix: Prefix) -> String? {
        let network = SourceConfiguration.text(prefix.network)
        if prefix.hasHostBits {
            return "has bits set past its length: \(network) is the network, \(prefix.address) the address alone"
        }
        if prefix.address.isUnspecified {
            return "is no address that a connection can come from; \"auto\" leaves the choice to the kernel"
        }
        let first = prefix.address
        if first.family == .v6 && first.high >> 54 == 0x3fa {
            return "is a link-local address, which means something together with an interface alone"
        }
        let isMulticast = first.family == .v4 ? first.low >> 28 == 14 : first.high >> 56 == 0xff
        return isMulticast ? "is no address that a connection can come from" : nil
    }
}

extension ConfigurationRules {
    /// What has to hold between the source of connections and the backends that they go to.
    func checkSource(_ service: ServiceConfiguration, _ place: [String]) {
        let source = service.source
        if source.isTransparent, !source.prefixes.isEmpty {
            findings.report(
                place,
                "\"\(ConfigurationKeys.source.name)\" and \"\(ConfigurationKeys.transparent.name)\" exclude each other: "
                    + "connections come from these addresses or from the client's")
        }
        for (family, name) in [(IPAddress.Family.v4, "IPv4"), (.v6, "IPv6")] {
            let backends = service.backends.filter { backend in
                backend.address.endpoint.map { $0.address.family == family && $0.port != 0 } ?? false
            }
            guard let backend = backends.first else { continue }
            if !source.prefixes.isEmpty, source.addresses(family).isEmpty {
                findings.warn(
                    place,
                    "no \(name) address in \"\(ConfigurationKeys.source.name)\": the kernel chooses the one of "
                        + "connections to backend \(quoted(backend.name)) (\(backend.address))")
            }
            // Proxies tell of clients of either family.
            if source.isTransparent, service.acceptProxy.isEmpty,
                !service.listeners.contains(where: { $0.takes(family) })
            {
                findings.warn(
                    place,
                    "backend \(quoted(backend.name)) (\(backend.address)) gets no connections with \""
                        + "\(ConfigurationKeys.transparent.name)\": no client of this service has an \(name) address")
            }
        }
    }
}

extension ListenerConfiguration {
    /// Whether clients of a family come here, as far as it can be told.
    fileprivate func takes(_ family: IPAddress.Family) -> Bool {
        guard let own = address.endpoint?.address else { return true }
        return own.unmapped.family == family || !isV6Only
    }
}
