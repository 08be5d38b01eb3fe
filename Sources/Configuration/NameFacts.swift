public import Addressing

/// What is known of names: the last good answer to each question. Plain value.
public struct NameFacts: Sendable, Hashable {
    /// By the name as it is configured, and the family that is wanted of it; sorted, never empty.
    public var addresses: [HostQuestion: [IPAddress]] = [:]
    public var services: [HostName: [ServiceRecord]] = [:]

    /// Nothing is known.
    public init() {}
}

extension DaemonConfiguration {
    /// The names whose addresses have to be known, and those whose SRV records have to be.
    /// - Parameter facts: SRV records that are known have names in them whose addresses are wanted, too.
    public func wantedNames(_ facts: NameFacts) -> (addresses: Set<HostQuestion>, services: Set<HostName>) {
        var addresses: Set<HostQuestion> = []
        var wanted: Set<HostName> = []
        for backend in services.lazy.flatMap(\.backends) {
            if let service = backend.service {
                wanted.insert(service)
                for record in facts.services[service] ?? [] {
                    addresses.insert(HostQuestion(record.target, backend.family))
                }
            } else if let host = backend.host {
                addresses.insert(host)
            }
        }
        return (addresses, wanted)
    }

    /// Whether any backend was made of another.
    var hasExpanded: Bool { services.contains { $0.backends.contains { $0.template != nil } } }

    /// Whether any backend is given by a name.
    public var hasNames: Bool {
        services.contains { $0.backends.contains { $0.address.hostName != nil } }
    }
}
