import Addressing
import Configuration
import Names

/// The last good answers as the document keeps them: an engine that takes over goes on with them. The document that names
/// the slots has them, so that the one always fits the other.
struct KeptName: Codable, Sendable, Equatable {
    enum Kind: String, Codable, Sendable {
        case addresses, services
    }

    var kind: Kind
    /// As configured, with its dot at the end where it has one.
    var name: String
    /// The one family of addresses that is wanted; nil: any.
    var family: String?
    /// Addresses, or SRV records as a zone file has them.
    var records: [String]
}

extension NameFacts {
    /// In the order of their names, so that the same facts make the same text.
    var kept: [KeptName] {
        let hosts = addresses.sorted { "\($0.key)" < "\($1.key)" }.map {
            KeptName(
                kind: .addresses, name: "\($0.key.name)", family: $0.key.family == .any ? nil : $0.key.family.rawValue,
                records: $0.value.map(\.description))
        }
        return hosts
            + services.sorted { "\($0.key)" < "\($1.key)" }.map {
                KeptName(kind: .services, name: "\($0.key)", records: $0.value.map(\.description))
            }
    }

    /// What cannot be read is not known: it is asked for again at once.
    init(_ kept: [KeptName]) {
        self.init()
        for entry in kept {
            guard let name = HostName(entry.name) else { continue }
            switch entry.kind {
            case .addresses:
                guard let family = NameFamily(rawValue: entry.family ?? NameFamily.any.rawValue) else { continue }
                addresses[HostQuestion(name, family)] = entry.records.compactMap { IPAddress($0) }.nonEmpty
            case .services: services[name] = entry.records.compactMap { ServiceRecord(zoneText: $0) }.nonEmpty
            }
        }
    }

    /// What is known of a question; nil: nothing.
    func records(_ question: NameQuestion) -> [String]? {
        switch question {
        case .addresses(let host): addresses[host]?.map(\.description)
        case .services(let name): services[name]?.map(\.description)
        }
    }

    /// Takes over what an answer says. What it has nothing good to say about stays as it was: a family whose servers did
    /// not answer, and everything where there is no record at all.
    /// - Returns: what is wrong with it, as the end of a sentence; nil: nothing. And the records of it that are left out.
    mutating func take(_ answer: NameAnswer, to question: NameQuestion) -> (failure: String?, leftOut: Int) {
        switch question {
        case .addresses(let host):
            let known = addresses[host] ?? []
            let wanted = (answer.v4.records + answer.v6.records).filter { host.family.includes($0.family) }
            var found: [IPAddress] = []
            var failure: String?
            for (part, family) in [(answer.v4, IPAddress.Family.v4), (answer.v6, .v6)] {
                switch part {
                case .found, .nothing: break
                case .failed(let text):
                    found += known.filter { $0.family == family }
                    failure = text
                }
            }
            // An IPv4-mapped address comes as IPv6 and is IPv4.
            let sorted = Set(found + wanted).sorted()
            guard !wanted.isEmpty else {
                return (failure ?? NameFacts.sentence(answer.v4, answer.v6, host.family), answer.leftOut)
            }
            addresses[host] = Array(sorted.prefix(NameAnswer.mostRecords))
            return (failure, answer.leftOut + max(0, sorted.count - NameAnswer.mostRecords))
        case .services(let name):
            switch answer.services {
            case .found(let records, _): services[name] = records
            case .nothing(let absence): return (NameFacts.sentence(absence, "SRV records"), answer.leftOut)
            case .failed(let text): return (text, answer.leftOut)
            }
            return (nil, answer.leftOut)
        }
    }

    /// What is to be said of records that are left out while others are used; nil: nothing.
    func omission(_ question: NameQuestion, leftOut: Int) -> String? {
        guard leftOut > 0, let used = records(question)?.count else { return nil }
        let all = "\(used + leftOut) records"
        return used == NameAnswer.mostRecords
            ? "\(all), the lowest \(used) are used" : "\(all), \(leftOut) left out: no server can be at such a place"
    }

    private static func sentence(
        _ v4: NameAnswer.Part<IPAddress>, _ v6: NameAnswer.Part<IPAddress>, _ family: NameFamily
    ) -> String {
        let isMissing = [v4, v6].contains(.nothing(.noName))
        let kind =
            switch family {
            case .any: ""
            case .ipv4: "IPv4 "
            case .ipv6: "IPv6 "
            }
        return sentence(isMissing ? .noName : .noRecords, kind + "addresses")
    }

    private static func sentence(_ absence: NameAnswer.Absence, _ what: String) -> String {
        switch absence {
        case .noName: "there is no such name (NXDOMAIN)"
        case .noRecords: "the name has no \(what)"
        }
    }
}

extension NameAnswer {
    /// Seconds for which it counts; nil: nothing in it counts.
    var ttl: UInt32? {
        func ttl<Record>(_ part: Part<Record>) -> UInt32? { if case .found(_, let ttl) = part { ttl } else { nil } }
        return [ttl(v4), ttl(v6), ttl(services)].compactMap { $0 }.min()
    }

    /// Whether some server could not be asked, or did not say.
    var isFailure: Bool {
        func failed<Record>(_ part: Part<Record>) -> Bool { if case .failed = part { true } else { false } }
        return failed(v4) || failed(v6) || failed(services)
    }
}

extension Array {
    fileprivate var nonEmpty: [Element]? { isEmpty ? nil : self }
}

extension ServiceRecord {
    /// Reads what ``description`` writes.
    fileprivate init?(zoneText: String) {
        let parts = zoneText.split(separator: " ")
        guard parts.count == 4, let priority = UInt16(parts[0]), let weight = UInt16(parts[1]),
            let port = UInt16(parts[2]), let target = HostName(parts[3] + ".")
        else { return nil }
        self.init(target: target, port: port, priority: priority, weight: weight)
    }
}

extension DaemonConfiguration {
    /// What has to be asked.
    func questions(_ facts: NameFacts) -> Set<NameQuestion> {
        let wanted = wantedNames(facts)
        return Set(wanted.addresses.map { .addresses($0) } + wanted.services.map { .services($0) })
    }

    /// How it is asked.
    var resolverSettings: ResolverSettings { ResolverSettings(servers: resolvers, timeout: resolveTimeout) }

    var namePace: NamePace { NamePace(interval: resolveInterval) }
}
