import Addressing
import Stickiness

/// Builds the configuration from tables, whether they were read from a file or put together from flags.
///
/// It goes on after an error, so that everything is found at once; whoever calls it asks ``Findings/errors`` before
/// the result is used.
struct ConfigurationBuilder {
    let form: TableReader.Form
    let findings: Findings
    /// Behaviour that a service starts from: the built-in values, then those of `[defaults]`.
    private var pattern = ServiceConfiguration(name: "", listeners: [], backends: [])

    init(form: TableReader.Form, findings: Findings) {
        self.form = form
        self.findings = findings
    }

    /// A whole document.
    mutating func build(_ nodes: [String: TOMLNode]) -> DaemonConfiguration {
        let reader = TableReader(nodes: nodes, place: [], form: form, findings: findings)
        var configuration = DaemonConfiguration(services: [])
        reader.refuseUnknown(in: [.daemon])
        ConfigurationBuilder.readDaemon(reader, into: &configuration)
        readDefaults(reader)
        let tables = reader.tables(ConfigurationKeys.service)
        for (index, table) in (tables ?? []).enumerated() {
            configuration.services.append(service(table, number: index + 1))
        }
        if configuration.services.isEmpty, tables != nil || nodes[ConfigurationKeys.service.name] == nil {
            findings.report([], "no services: add a [[service]] with name, listen and backends")
        }
        ConfigurationRules(form: form, findings: findings).check(configuration)
        return configuration
    }

    /// One service called `default`, from flags alone.
    func build(_ flags: FlagValues) -> DaemonConfiguration {
        let reader = TableReader(nodes: flags.nodes(of: .behaviour), place: [], form: form, findings: findings)
        var service = ServiceConfiguration(name: "default", listeners: [], backends: [])
        service.listeners = ListenReader(reader).read(flags.listen)
        readBehaviour(reader, into: &service)
        for (index, text) in flags.backends.enumerated() {
            let specification = BackendSpecification(text, number: index + 1)
            let place = ["--backend \(quoted(text))"]
            for (problem, suggestion) in specification.problems {
                findings.report(place, problem, suggestion: suggestion)
            }
            service.backends.append(
                backend(
                    TableReader(nodes: specification.nodes, place: place, form: .specification, findings: findings),
                    of: service))
        }
        if service.backends.isEmpty { findings.report([], "no backends: add --backend ADDR:PORT") }
        var configuration = DaemonConfiguration(services: [service])
        ConfigurationBuilder.readDaemon(flags.daemonReader(findings), into: &configuration)
        ConfigurationRules(form: form, findings: findings).check(configuration)
        return configuration
    }

    /// Settings for the whole daemon, over those that are there already.
    static func readDaemon(_ reader: TableReader, into configuration: inout DaemonConfiguration) {
        reader.read(ConfigurationKeys.workers, into: &configuration.workers)
        reader.read(ConfigurationKeys.maxConnections, into: &configuration.maxConnections)
        reader.read(ConfigurationKeys.shutdownDelay, into: &configuration.shutdownDelay)
        reader.read(ConfigurationKeys.shutdownDrain, into: &configuration.shutdownDrain)
        reader.read(ConfigurationKeys.removedDeadline, into: &configuration.removedDeadline)
        reader.read(ConfigurationKeys.control, into: &configuration.controlPath)
        reader.readControl(into: &configuration)
        reader.read(ConfigurationKeys.stateDirectory, into: &configuration.stateDirectory)
        reader.read(ConfigurationKeys.user, into: &configuration.user)
        reader.read(ConfigurationKeys.group, into: &configuration.group)
        reader.read(ConfigurationKeys.sandbox, into: &configuration.sandbox)
        reader.read(ConfigurationKeys.logLevel, into: &configuration.logLevel)
        reader.read(ConfigurationKeys.logFormat, into: &configuration.logFormat)
        reader.read(ConfigurationKeys.accessLog, into: &configuration.accessLog)
        readMetrics(reader, into: &configuration.metrics)
        reader.read(ConfigurationKeys.statusPage, into: &configuration.statusPage.isServed)
        reader.read(ConfigurationKeys.statusPageClients, into: &configuration.statusPage.showsClients)
        readHosts(reader, into: &configuration.statusPage.hosts)
        reader.read(ConfigurationKeys.hashKeyFile, into: &configuration.hashKeyFile)
        reader.read(ConfigurationKeys.affinityEntries, into: &configuration.affinityEntries)
        reader.readNames(into: &configuration)
    }

    private static func readMetrics(_ reader: TableReader, into metrics: inout Endpoint?) {
        switch reader.nodes[ConfigurationKeys.metrics.name] {
        case nil: return
        case .string("off"): metrics = nil
        case .integer(let port)?: metrics = ownPort(UInt16(exactly: port), .integer(port), reader) ?? metrics
        case .string(let text)? where !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }:
            metrics = ownPort(UInt16(text), .string(text), reader) ?? metrics
        case let node?: metrics = reader.endpoint(ConfigurationKeys.metrics, node) ?? metrics
        }
    }

    /// Whoever names no address means this machine alone.
    private static func ownPort(_ port: UInt16?, _ node: TOMLNode, _ reader: TableReader) -> Endpoint? {
        guard let port else {
            reader.refuse(ConfigurationKeys.metrics, node)
            return nil
        }
        return Endpoint(address: IPAddress(v4: 0x7f00_0001), port: port)
    }

    private static func readHosts(_ reader: TableReader, into hosts: inout [String]) {
        guard let node = reader.nodes[ConfigurationKeys.statusPageHosts.name] else { return }
        guard case .array(let nodes) = node else { return reader.refuse(ConfigurationKeys.statusPageHosts, node) }
        var found: [String] = []
        for node in nodes {
            guard case .string(let text) = node, StatusPageConfiguration.isHost(text) else {
                return reader.refuse(ConfigurationKeys.statusPageHosts, node)
            }
            found.append(text)
        }
        hosts = found
    }

    private mutating func readDefaults(_ reader: TableReader) {
        guard let node = reader.nodes[ConfigurationKeys.defaults.name] else { return }
        guard case .table(let table) = node else { return reader.refuse(ConfigurationKeys.defaults, node) }
        let inner = TableReader(nodes: table, place: ["defaults"], form: form, findings: findings)
        inner.refuseUnknown(in: [.behaviour])
        readBehaviour(inner, into: &pattern)
    }

    private func service(_ table: [String: TOMLNode], number: Int) -> ServiceConfiguration {
        // Before its name is known to be one, a service is called by its number.
        let place = [ConfigurationBuilder.call("service", table, number)]
        let reader = TableReader(nodes: table, place: place, form: form, findings: findings)
        reader.refuseUnknown(in: [.service, .behaviour])
        var service = pattern
        service.name = reader.required(ConfigurationKeys.serviceName) ?? ""
        service.listeners = ListenReader(reader).read()
        readBehaviour(reader, into: &service)
        let tables = reader.tables(ConfigurationKeys.backend)
        for (index, table) in (tables ?? []).enumerated() {
            let place = reader.place + [ConfigurationBuilder.call("backend", table, index + 1)]
            let inner = TableReader(nodes: table, place: place, form: form, findings: findings)
            inner.refuseUnknown(in: [.backend])
            service.backends.append(backend(inner, of: service))
        }
        if service.backends.isEmpty, tables != nil || table[ConfigurationKeys.backend.name] == nil {
            findings.report(place, "no backends: add a [[service.backend]] with name and address")
        }
        return service
    }

    private func readBehaviour(_ reader: TableReader, into service: inout ServiceConfiguration) {
        reader.read(ConfigurationKeys.hashOn, into: &service.hashOn)
        reader.read(ConfigurationKeys.ipv4Prefix, into: &service.mask.ipv4)
        reader.read(ConfigurationKeys.ipv6Prefix, into: &service.mask.ipv6)
        reader.read(ConfigurationKeys.connectTimeout, into: &service.connectTimeout)
        reader.read(ConfigurationKeys.connectAttempts, into: &service.connectAttempts)
        reader.read(&service.source)
        reader.read(ConfigurationKeys.passiveFall, into: &service.passiveFall)
        reader.read(ConfigurationKeys.slowStart, into: &service.slowStart)
        reader.read(ConfigurationKeys.whenDown, into: &service.whenDown)
        reader.read(ConfigurationKeys.whenAllDown, into: &service.whenAllDown)
        reader.read(ConfigurationKeys.serviceMaxConnections, into: &service.maxConnections)
        reader.read(ConfigurationKeys.maxConnectionsPerClient, into: &service.maxConnectionsPerClient)
        reader.read(ConfigurationKeys.acceptRatePerClient, into: &service.acceptRatePerClient)
        reader.read(ConfigurationKeys.maxConnecting, into: &service.maxConnecting)
        reader.read(ConfigurationKeys.maxLoadFactor, into: &service.maxLoadFactor)
        reader.read(ConfigurationKeys.idleTimeout, into: &service.idleTimeout)
        reader.read(ConfigurationKeys.halfCloseTimeout, into: &service.halfCloseTimeout)
        reader.read(ConfigurationKeys.userTimeout, into: &service.userTimeout)
        reader.read(ConfigurationKeys.sendProxy, into: &service.sendProxy)
        reader.read(ConfigurationKeys.clientFirst, into: &service.isClientFirst)
        HealthReader(reader).read(into: &service.health)
        reader.read(ConfigurationKeys.receiveBuffer, into: &service.receiveBuffer)
        reader.read(ConfigurationKeys.sendBuffer, into: &service.sendBuffer)
        readKeepalive(reader, into: &service.keepalive)
        reader.readProxy(into: &service)
        reader.readAccess(into: &service)
    }

    private func readKeepalive(_ reader: TableReader, into keepalive: inout Keepalive?) {
        switch reader.nodes[ConfigurationKeys.keepalive.name] {
        case nil: return
        case .string("off"): keepalive = nil
        case .table(let table):
            let inner = TableReader(
                nodes: table, place: reader.place + ["keepalive"], form: form, findings: findings)
            inner.refuseUnknown(in: [.keepalive])
            // What the table leaves out stays as the defaults have it.
            var value = keepalive ?? Keepalive()
            inner.read(ConfigurationKeys.keepaliveIdle, into: &value.idle)
            inner.read(ConfigurationKeys.keepaliveInterval, into: &value.interval)
            inner.read(ConfigurationKeys.keepaliveCount, into: &value.count)
            keepalive = value
        case let node?: reader.refuse(ConfigurationKeys.keepalive, node)
        }
    }

    private func backend(_ reader: TableReader, of service: ServiceConfiguration) -> BackendConfiguration {
        let name = reader.required(ConfigurationKeys.backendName) ?? ""
        var backend = BackendConfiguration(name: name, address: .refused)
        reader.readWhereabouts(of: &backend)
        reader.read(ConfigurationKeys.weight, into: &backend.weight)
        reader.read(ConfigurationKeys.backendMaxConnections, into: &backend.maxConnections)
        if reader.nodes[ConfigurationKeys.backendHealth.name] != nil {
            var check = service.health
            HealthReader(reader).read(into: &check)
            backend.health = check
        }
        reader.read(ConfigurationKeys.backup, into: &backend.isBackup)
        return backend
    }

    /// `service "chat"`, or `service 2` where the name is none.
    private static func call(_ what: String, _ table: [String: TOMLNode], _ number: Int) -> String {
        if case .string(let name) = table["name"], !name.isEmpty { return "\(what) \(quoted(name))" }
        return "\(what) \(number)"
    }
}
