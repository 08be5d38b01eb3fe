import Addressing
import Backends
import CLayout
import Configuration
import Forwarding
import Linux
import Names
import Stickiness

/// Names and slots: which service, backend and listener each number in the shared region means, the retired ones
/// included. Made of the active configuration, the slot tables and the weights in force; immutable.
struct Topology: Sendable {
    struct Service: Sendable {
        let configuration: ServiceConfiguration
        let keyer: SourceKeyer
        let rendezvous: Rendezvous
        /// Slots of its backends, in the order of the configuration.
        let slots: [Int]
        /// In force, in the same order.
        let weights: [Double]
        /// Of key, masks, names and effective weights, in hexadecimal.
        let mappingHash: String
    }

    struct Backend: Sendable {
        /// Slot of its service; nil: retired, and its service's slot is somebody else's by now.
        let service: Int?
        let serviceName: String
        /// Retired: its name and address, as they were.
        let configuration: BackendConfiguration
        let isLive: Bool
    }

    let tables: SlotTables
    /// By slot. A retired one is as it was last.
    let services: [Service]
    let backends: [Backend]
    /// Slots of the live services, in the order of the configuration.
    let liveServices: [Int]
    /// By slot of a live listener: those that it had before with other sockets, and whose connections are still its own.
    let formerListeners: [Int: [Int]]
    /// Clients that are to be remembered, at most.
    let affinityEntries: Int
    /// What is known of the names of backends.
    let names: NameFacts
    /// Indices of the network interfaces that backends' addresses name, as they were when this was made; 0: there was none.
    let links: [Zone: UInt32]
    /// By slot, of those that are live.
    private let listeners: [ListenerConfiguration?]
    /// By slot, of the retired ones too: some who waited there are yet to be taken in.
    let listenerRules: [AccessRules?]
    /// What the backends were made of that stand for others, by service and name.
    private let templates: [String: NameQuestion]

    /// - Parameters:
    ///   - tables: made for this configuration.
    ///   - weight: what is in force for a backend, by its slot and what the configuration says.
    ///   - previous: the one before, which knows the retired services already: reading their text again would cost memory
    ///     that the library never gives back.
    init(
        _ configuration: DaemonConfiguration, _ tables: SlotTables, names: NameFacts = NameFacts(),
        after previous: Topology? = nil, weight: (_ slot: Int, _ configured: Int) -> Double
    ) throws(StartError) {
        self.tables = tables
        formerListeners = Dictionary(
            tables.successors.enumerated().compactMap { slot, successor in successor.map { ($0, [slot]) } }
        ) { $0 + $1 }
        self.names = names
        templates = Topology.templates(configuration)
        let configuration = NameExpansion(configuration, names).configuration
        let serviceSlots = Dictionary(tables.services.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in
            first
        }
        let backendSlots = Dictionary(
            tables.backends.enumerated().map { (SlotTables.key($0.element.service, $0.element.name), $0.offset) }
        ) { first, _ in first }
        let configured = Dictionary(configuration.services.map { ($0.name, $0) }) { first, _ in first }
        var known: [Int: BackendConfiguration] = [:]
        var services: [Service] = []
        for (slot, entry) in tables.services.enumerated() {
            let service: ServiceConfiguration
            if let live = configured[entry.name], entry.use == .live {
                service = live
            } else if let known = previous?.services.dropFirst(slot).first?.configuration, known.name == entry.name {
                service = known
            } else {
                service = try Topology.retired(entry)
            }
            // A backend of a retired service may have lost its slot: only connections that are being dialled would need it.
            let members = service.backends.compactMap { backend in
                backendSlots[SlotTables.key(service.name, backend.name)].map { (slot: $0, backend: backend) }
            }
            let weights = members.map { weight($0.slot, $0.backend.weight) }
            if entry.use == .live { for member in members { known[member.slot] = member.backend } }
            services.append(
                Service(service, configuration.hashKey, members.map(\.slot), members.map(\.backend), weights))
        }
        self.services = services
        links = Topology.links(of: services)
        var backends: [Backend] = []
        for (slot, entry) in tables.backends.enumerated() {
            let configuration: BackendConfiguration
            if let live = known[slot] { configuration = live } else { configuration = try Topology.retired(entry) }
            backends.append(
                Backend(
                    service: serviceSlots[entry.service], serviceName: entry.service, configuration: configuration,
                    isLive: entry.use == .live))
        }
        self.backends = backends
        liveServices = configuration.services.compactMap { serviceSlots[$0.name] }
        affinityEntries = configuration.affinityEntries
        // Names are rendered anew whenever they are asked for: once, then, of each.
        let listeners = Dictionary(
            configuration.services.flatMap { service in
                service.listeners.map { (SlotTables.key(service.name, $0.name), $0) }
            }
        ) { first, _ in first }
        let live = tables.listeners.map { entry in
            entry.use == .live ? listeners[SlotTables.key(entry.service, entry.address)] : nil
        }
        self.listeners = live
        let successors = tables.successors
        listenerRules = tables.listeners.enumerated().map { slot, entry in
            if entry.use == .live { return live[slot]?.access.rules }
            if let successor = successors[slot] { return live[successor]?.access.rules }
            guard entry.isRestricted == true else { return nil }
            // After a death nobody knows any more whom it let in.
            return previous?.listenerRules.dropFirst(slot).first ?? AccessRules.nobody
        }
    }

    private static func templates(_ configuration: DaemonConfiguration) -> [String: NameQuestion] {
        guard configuration.hasNames else { return [:] }
        var templates: [String: NameQuestion] = [:]
        for service in configuration.services {
            for backend in service.backends where backend.isTemplate {
                let name =
                    backend.service.map { NameQuestion.services($0) }
                    ?? backend.host.map { .addresses($0) }
                templates[SlotTables.key(service.name, backend.name)] = name
            }
        }
        return templates
    }

    private static func retired(_ entry: SlotTables.Service) throws(StartError) -> ServiceConfiguration {
        do throws(ConfigurationFailure) {
            let text = entry.configuration ?? ""
            return try ConfigurationLoader.parse(text, source: "removed service \(entry.name)").configuration.services[
                0]
        } catch {
            throw StartError("\(error)")
        }
    }

    private static func retired(_ entry: SlotTables.Backend) throws(StartError) -> BackendConfiguration {
        do throws(BackendAddressError) {
            return BackendConfiguration(name: entry.name, address: try BackendAddress(parsing: entry.address))
        } catch {
            throw StartError("removed backend \(entry.service)/\(entry.name): \(error)")
        }
    }

    /// What workers connect to: one address, or those that are known of a name.
    private func member(_ service: Service, _ index: Int) -> ForwardingTable.Member {
        let addresses: [SocketAddress] =
            switch service.configuration.backends[index].address {
            case .endpoint(let endpoint): [SocketAddress(located(endpoint))]
            case .unix(let path): [SocketAddress(path)]
            case .name:
                endpoints(service.configuration.backends[index], of: service.configuration).map(SocketAddress.init)
            }
        return ForwardingTable.Member(
            slot: UInt16(service.slots[index]), address: addresses.first ?? SocketAddress(),
            others: Array(addresses.dropFirst()), hasAddress: !addresses.isEmpty, tenths: service.tenths(index))
    }

    /// The workers' view of it.
    func forwardingTable() -> ForwardingTable {
        ForwardingTable(
            services: services.map { service in
                ForwardingTable.Service(
                    keyer: service.keyer, rendezvous: service.rendezvous,
                    members: service.slots.indices.map { member(service, $0) },
                    options: SocketOptions(service.configuration),
                    connectTimeout: service.configuration.connectTimeout.nanoseconds,
                    idleTimeout: service.configuration.idleTimeout?.nanoseconds ?? 0,
                    halfCloseTimeout: service.configuration.halfCloseTimeout?.nanoseconds ?? 0,
                    connectAttempts: service.configuration.connectAttempts,
                    whenAllDown: service.configuration.whenAllDown, limits: ServiceLimits(service.configuration),
                    sendProxy: service.configuration.sendProxy?.header,
                    proxyAdditions: ProxyAdditions(service.configuration),
                    acceptProxy: AcceptedProxies(service.configuration),
                    source: ConnectionSource(service.configuration.source),
                    rules: service.configuration.access.rules,
                    affinity: service.configuration.affinity?.nanoseconds ?? 0)
            }, listenerRules: listenerRules)
    }

    // MARK: Names of hosts

    /// Where a backend is that is given by a name, in the order in which it is tried; empty: nothing is known.
    private func endpoints(_ backend: BackendConfiguration, of service: ServiceConfiguration) -> [Endpoint] {
        guard case .name(_, let port) = backend.address, let host = backend.host, backend.service == nil
        else { return [] }
        return (names.addresses[host] ?? []).map { Endpoint(address: $0, port: port) }.filter {
            !service.isReached(by: $0)
        }
    }

    /// The same of a live backend, by its slot.
    func endpoints(_ slot: Int) -> [Endpoint] {
        guard backends[slot].isLive, let service = backends[slot].service else { return [] }
        return endpoints(backends[slot].configuration, of: services[service].configuration)
    }

    /// Whether nobody knows where a live backend is.
    func isNowhere(_ slot: Int) -> Bool {
        let backend = backends[slot]
        return backend.isLive && backend.configuration.address.hostName != nil && endpoints(slot).isEmpty
    }

    /// The name that a live backend hangs on; nil: it hangs on none.
    func question(_ slot: Int) -> NameQuestion? {
        let backend = backends[slot]
        guard backend.isLive, let service = backend.service else { return nil }
        if let name = backend.configuration.service { return .services(name) }
        if let host = backend.configuration.host { return .addresses(host) }
        // It was made of the addresses of another.
        guard let template = backend.configuration.template,
            let original = templates[SlotTables.key(services[service].configuration.name, template)]
        else { return nil }
        return original
    }

    /// What the configuration says of a live listener.
    func configuration(ofListener slot: Int) -> ListenerConfiguration? { listeners[slot] }

    // MARK: By name

    /// Slot of a live service.
    func serviceIndex(_ name: String) -> Int? {
        liveServices.first { services[$0].configuration.name == name }
    }

    /// Slot of a live backend.
    func slot(service: String, backend: String) -> Int? {
        guard let index = serviceIndex(service),
            let position = services[index].configuration.backends.firstIndex(where: { $0.name == backend })
        else { return nil }
        return services[index].slots[position]
    }

    /// Slot of a service, whether live or retired.
    func anyService(_ name: String) -> Int? { tables.services.firstIndex { $0.name == name } }

    /// Slot of a backend, whether live or retired.
    func anySlot(service: String, backend: String) -> Int? {
        tables.backends.firstIndex { $0.name == backend && $0.service == service }
    }

    /// `service/backend`, for the log.
    func fullName(_ slot: Int) -> String {
        backends[slot].serviceName + "/" + backends[slot].configuration.name
    }
}

extension Topology.Service {
    /// Tenths of a backend's weight, of which there are whole ones also during a slow start.
    func tenths(_ index: Int) -> Int { Int((weights[index] * 10).rounded()) }

    fileprivate init(
        _ service: ServiceConfiguration, _ key: HashKey, _ slots: [Int], _ backends: [BackendConfiguration],
        _ weights: [Double]
    ) {
        var configuration = service
        configuration.backends = backends
        let rendezvous = Rendezvous(
            key: key,
            members: zip(backends, weights).map { Rendezvous.Member($0, weight: $1) })
        let hash = String(rendezvous.mappingHash(mask: service.mask, input: service.hashOn), radix: 16)
        self.init(
            configuration: configuration, keyer: SourceKeyer(key: key, mask: service.mask, input: service.hashOn),
            rendezvous: rendezvous, slots: slots, weights: weights,
            mappingHash: String(repeating: "0", count: 16 - hash.count) + hash)
    }
}

extension Rendezvous.Member {
    /// - Parameter weight: that is in force.
    init(_ backend: BackendConfiguration, weight: Double) {
        self.init(name: backend.name, weight: weight, tier: backend.backupTier)
    }
}

extension ServiceLimits {
    init(_ service: ServiceConfiguration) {
        self.init(
            connections: UInt64(service.maxConnections ?? 0), perClient: UInt32(service.maxConnectionsPerClient ?? 0),
            ratePerClient: UInt32(service.acceptRatePerClient ?? 0), connecting: service.maxConnecting,
            loadFactor: service.maxLoadFactor ?? 0)
    }
}

extension ProxyAdditions {
    init(_ service: ServiceConfiguration) {
        self.init()
        for field in service.sendProxyFields {
            switch field {
            case .uniqueID: insert(.uniqueID)
            case .checksum: insert(.checksum)
            case .received: insert(.received)
            }
        }
    }
}

extension AcceptedProxies {
    init?(_ service: ServiceConfiguration) {
        if service.acceptProxy.isEmpty { return nil }
        self.init(networks: service.acceptProxy, timeout: service.acceptProxyTimeout.nanoseconds)
    }
}

extension ProxyVersion {
    var header: ProxyHeader.Version {
        switch self {
        case .v1: .v1
        case .v2: .v2
        }
    }
}
