import Addressing
import Backends
import CLayout
import Configuration
import Forwarding
import Linux
import Stickiness

/// Names and slots: which service, backend and listener each number in the shared region means. Immutable; belongs to
/// the control plane.
struct Topology: Sendable {
    struct Service: Sendable {
        let configuration: ServiceConfiguration
        let keyer: SourceKeyer
        let rendezvous: Rendezvous
        /// Slots of its backends, in the order of the configuration.
        let slots: [Int]
        /// Of key, masks, names and effective weights, in hexadecimal.
        let mappingHash: String
    }

    struct Backend: Sendable {
        let service: Int
        let configuration: BackendConfiguration
    }

    let services: [Service]
    /// By slot.
    let backends: [Backend]

    init(_ configuration: DaemonConfiguration) {
        var services: [Service] = []
        var backends: [Backend] = []
        for (index, service) in configuration.services.enumerated() {
            let first = backends.count
            backends += service.backends.map { Backend(service: index, configuration: $0) }
            let rendezvous = Rendezvous(
                key: configuration.hashKey,
                members: service.backends.map { Rendezvous.Member(name: $0.name, weight: Double($0.weight)) })
            let hash = String(rendezvous.mappingHash(mask: service.mask, input: service.hashOn), radix: 16)
            services.append(
                Service(
                    configuration: service,
                    keyer: SourceKeyer(key: configuration.hashKey, mask: service.mask, input: service.hashOn),
                    rendezvous: rendezvous, slots: Array(first..<backends.count),
                    mappingHash: String(repeating: "0", count: 16 - hash.count) + hash))
        }
        self.services = services
        self.backends = backends
    }

    /// The workers' view of it.
    func forwardingTable() -> ForwardingTable {
        ForwardingTable(
            services: services.map { service in
                ForwardingTable.Service(
                    keyer: service.keyer, rendezvous: service.rendezvous,
                    members: zip(service.slots, service.configuration.backends).map { slot, backend in
                        ForwardingTable.Member(slot: UInt16(slot), address: SocketAddress(backend.address))
                    },
                    options: SocketOptions(service.configuration),
                    connectTimeout: service.configuration.connectTimeout.nanoseconds,
                    idleTimeout: service.configuration.idleTimeout?.nanoseconds ?? 0,
                    halfCloseTimeout: service.configuration.halfCloseTimeout?.nanoseconds ?? 0,
                    connectAttempts: service.configuration.connectAttempts,
                    sendProxy: service.configuration.sendProxy?.header)
            })
    }

    /// Writes the backends' first state into the shared region.
    func initialise(_ region: SharedRegion) {
        for (slot, backend) in backends.enumerated() {
            let state = region.backend(slot)
            state.pointee.used = UInt8(LIMPET_SLOT_LIVE)
            state.pointee.intent = Intent.ready.rawValue
            state.pointee.health = Health.unchecked.rawValue
            state.pointee.limit = UInt64(backend.configuration.maxConnections ?? 0)
            state.pointee.since = Clock.wall()
        }
    }

    func serviceIndex(_ name: String) -> Int? {
        services.firstIndex { $0.configuration.name == name }
    }

    func slot(service: String, backend: String) -> Int? {
        guard let index = serviceIndex(service),
            let position = services[index].configuration.backends.firstIndex(where: { $0.name == backend })
        else { return nil }
        return services[index].slots[position]
    }

    /// `service/backend`, for the log.
    func fullName(_ slot: Int) -> String {
        let backend = backends[slot]
        return services[backend.service].configuration.name + "/" + backend.configuration.name
    }
}

extension ProxyVersion {
    fileprivate var header: ProxyHeader.Version {
        switch self {
        case .v1: .v1
        case .v2: .v2
        }
    }
}
