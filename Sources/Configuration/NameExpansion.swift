public import Addressing

/// A configuration whose backends are those that the name servers tell of. Pure.
///
/// A backend with ``BackendConfiguration/expands`` becomes one for each address, named for it; one with
/// ``BackendConfiguration/service`` one for each SRV record, named for its target. As long as nothing is known of its name,
/// it stays as it is, with no address: a service is never without backends, and what is missing can be seen.
public struct NameExpansion: Sendable, Equatable {
    public private(set) var configuration: DaemonConfiguration
    /// What was left out, and why: one line each.
    public private(set) var omissions: [String] = []

    public init(_ configuration: DaemonConfiguration, _ facts: NameFacts) {
        self.configuration = configuration
        guard configuration.hasNames else { return }
        for index in configuration.services.indices {
            let service = configuration.services[index]
            guard service.backends.contains(where: \.isTemplate) else { continue }
            self.configuration.services[index].backends = expand(service, facts)
        }
    }

    private mutating func expand(_ service: ServiceConfiguration, _ facts: NameFacts) -> [BackendConfiguration] {
        // Those that the file names go first, wherever they stand.
        var taken = Set(service.backends.lazy.filter { !$0.isTemplate }.map(\.name))
        var result: [BackendConfiguration] = []
        for template in service.backends {
            guard template.isTemplate else {
                result.append(template)
                continue
            }
            var added = 0
            for backend in template.backends(facts) {
                if let endpoint = backend.address.endpoint, service.isReached(by: endpoint) {
                    omissions.append(
                        "\(service.name)/\(template.name): \(endpoint) is left out: it is where the service itself listens"
                    )
                } else if taken.insert(backend.name).inserted {
                    result.append(backend)
                    added += 1
                } else {
                    omissions.append(
                        "\(service.name)/\(template.name): \(backend.address) is left out: "
                            + "the service has a backend \(backend.name) already")
                }
            }
            if added == 0, taken.insert(template.name).inserted { result.append(template) }
        }
        return result
    }

    /// The name of a backend at an address: `192.0.2.1-80`, `2001-db8--1-80`.
    public static func name(_ address: IPAddress, port: UInt16) -> String {
        "\(address)-\(port)".replacing(":", with: "-")
    }

    /// The name of a backend at a host: `ws1.example.net-8080`. Where that is too long for a name, its beginning and a hash
    /// of the whole (FNV-1a, 64 bits, in hexadecimal), which is the same everywhere.
    public static func name(_ target: HostName, port: UInt16) -> String {
        let whole = "\(target.text)-\(port)"
        guard whole.utf8.count > longestName else { return whole }
        var digest = Digest()
        digest.add(whole)
        let tail = "_" + digest.text
        return whole.prefix(longestName - tail.utf8.count) + tail
    }

    private static let longestName = 64

    /// The weights of SRV records of one priority as those of backends, 1 to 256, in their order: as they are where none is
    /// above 256, else in proportion to the highest.
    static func weights(_ weights: [UInt16]) -> [Int] {
        let highest = Int(weights.max() ?? 0)
        return weights.map { max(1, highest <= 256 ? Int($0) : (Int($0) * 256 + highest / 2) / highest) }
    }
}

extension BackendConfiguration {
    /// What a template stands for; empty: nothing is known.
    fileprivate func backends(_ facts: NameFacts) -> [BackendConfiguration] {
        var pattern = self
        pattern.expands = false
        pattern.service = nil
        pattern.template = name
        if let service { return records(facts.services[service] ?? [], pattern) }
        guard case .name(_, let port) = address, let host else { return [] }
        // They are addresses, of which there is nothing to choose.
        pattern.family = .any
        return (facts.addresses[host] ?? []).map { address in
            var backend = pattern
            backend.name = NameExpansion.name(address, port: port)
            backend.address = .endpoint(Endpoint(address: address, port: port))
            return backend
        }
    }

    private func records(_ records: [ServiceRecord], _ pattern: BackendConfiguration) -> [BackendConfiguration] {
        var result: [BackendConfiguration] = []
        var names: Set<String> = []
        for (rank, priority) in Set(records.map(\.priority)).sorted().enumerated() {
            let group = records.filter { $0.priority == priority }
            for (record, weight) in zip(group, NameExpansion.weights(group.map(\.weight))) {
                var backend = pattern
                backend.name = NameExpansion.name(record.target, port: record.port)
                backend.address = .name(record.target, port: record.port)
                backend.weight = weight
                backend.backupTier += rank
                // The same server twice is there by the better of its records.
                if names.insert(backend.name).inserted { result.append(backend) }
            }
        }
        return result
    }
}

extension ServiceConfiguration {
    /// Whether a connection to an endpoint would arrive at the service itself: what a name server says is not to make
    /// connections go round in a circle.
    public func isReached(by endpoint: Endpoint) -> Bool {
        listeners.contains { $0.isReached(by: endpoint) }
    }
}
