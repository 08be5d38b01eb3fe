public import Addressing

/// Reads what concerns names.
extension TableReader {
    /// Port of name servers where none is given.
    private static let nameServerPort: UInt16 = 53
    /// Name servers that one may give.
    private static let mostResolvers = 8

    /// The name servers, and how they are asked.
    func readNames(into configuration: inout DaemonConfiguration) {
        read(ConfigurationKeys.resolveInterval, into: &configuration.resolveInterval)
        read(ConfigurationKeys.resolveTimeout, into: &configuration.resolveTimeout)
        guard let node = nodes[ConfigurationKeys.resolvers.name] else { return }
        guard case .array(let entries) = node, entries.count <= TableReader.mostResolvers else {
            return refuse(ConfigurationKeys.resolvers, node)
        }
        var servers: [Endpoint] = []
        for entry in entries {
            guard let server = nameServer(entry) else { return }
            servers.append(server)
        }
        configuration.resolvers = servers
    }

    private func nameServer(_ node: TOMLNode) -> Endpoint? {
        guard case .string(let text) = node else {
            refuse(ConfigurationKeys.resolvers, node)
            return nil
        }
        if let address = IPAddress(text)?.unmapped, !address.isUnspecified {
            return Endpoint(address: address, port: TableReader.nameServerPort)
        }
        guard let server = endpoint(ConfigurationKeys.resolvers, node) else { return nil }
        if server.port == 0 || server.address.isUnspecified {
            findings.report(
                placeOfValue(ConfigurationKeys.resolvers), "\"\(server)\" is no address that a server can be asked at")
            return nil
        }
        return server
    }

    /// Where a backend is, by the one of the keys that says it.
    func readWhereabouts(of backend: inout BackendConfiguration) {
        let address = nodes[ConfigurationKeys.address.name]
        switch (address, nodes[ConfigurationKeys.srv.name]) {
        case (let node?, nil):
            backend.address = backendAddress(ConfigurationKeys.address, node) ?? backend.address
        case (nil, let node?): readService(node, into: &backend)
        case (nil, nil):
            let other = form == .file ? " (or \(label(ConfigurationKeys.srv)))" : ""
            findings.report(place, "\(label(ConfigurationKeys.address))\(other) is missing")
        case (_?, _?):
            findings.report(
                place,
                "\(label(ConfigurationKeys.address)) and \(label(ConfigurationKeys.srv)) both say where it is: give one"
            )
        }
        read(ConfigurationKeys.expand, into: &backend.expands)
        read(ConfigurationKeys.family, into: &backend.family)
        if backend.family != .any, backend.address != .refused, backend.address.hostName == nil {
            findings.report(
                place,
                "\(label(ConfigurationKeys.family)) is for a name, and \"\(backend.address)\" is none")
        }
        guard backend.expands, backend.address != .refused else { return }
        if backend.service != nil {
            findings.report(
                place,
                "\(label(ConfigurationKeys.expand)) is for an address: SRV records are backends of their own anyway")
        } else if backend.address.hostName == nil {
            findings.report(
                place,
                "\(label(ConfigurationKeys.expand)) needs the name of a host in \(label(ConfigurationKeys.address)), "
                    + "and \"\(backend.address)\" is none")
        }
    }

    private func readService(_ node: TOMLNode, into backend: inout BackendConfiguration) {
        guard case .string(let text) = node, quoted(text) == "\"\(text)\"" else {
            return refuse(ConfigurationKeys.srv, node)
        }
        // An SRV record is always asked for by its whole name.
        guard let name = HostName(text.hasSuffix(".") ? text : text + ".") else {
            return findings.report(
                placeOfValue(ConfigurationKeys.srv),
                "\(quoted(text)) cannot be a name: write it as in \"_ws._tcp.example.net\"")
        }
        backend.service = name
        backend.address = .name(name, port: 0)
        if nodes[ConfigurationKeys.weight.name] != nil {
            findings.report(
                place,
                "\(label(ConfigurationKeys.weight)) is not for \(label(ConfigurationKeys.srv)): "
                    + "the records have weights of their own")
        }
    }
}

extension BackendAddress {
    /// The name of the host; nil: the address needs none.
    public var hostName: HostName? { if case .name(let name, _) = self { name } else { nil } }
}

extension DaemonConfiguration {
    /// What is set about names.
    var nameSettings: [Setting] {
        [
            Setting(
                ConfigurationKeys.resolvers,
                raw: "[\(resolvers.map { TOMLText.quote("\($0)") }.joined(separator: ", "))]"),
            Setting(ConfigurationKeys.resolveInterval, resolveInterval.map(DurationText.render) ?? "ttl"),
            Setting(ConfigurationKeys.resolveTimeout, DurationText.render(resolveTimeout)),
        ]
    }
}

extension BackendConfiguration {
    /// Where it is, as a file says it.
    var whereabouts: [Setting] {
        let family = Setting(ConfigurationKeys.family, family.rawValue)
        if let service { return [Setting(ConfigurationKeys.srv, service.text), family] }
        let address = Setting(ConfigurationKeys.address, address.description)
        return self.address.hostName == nil
            ? [address] : [address, Setting(ConfigurationKeys.expand, raw: "\(expands)"), family]
    }

    /// What has to be known of the host whose name its address has; nil: it has none.
    public var host: HostQuestion? { address.hostName.map { HostQuestion($0, family) } }

    /// Whether its backends are told by a name server.
    public var isTemplate: Bool { expands || service != nil }
}
