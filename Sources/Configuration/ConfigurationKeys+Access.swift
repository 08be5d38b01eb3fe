import Addressing
import Backends

/// The keys of access lists and of affinity.
extension ConfigurationKeys {
    public static let allow = ConfigurationKey(
        name: "allow", section: .behaviour, kind: .networkList, defaultText: "[]", hasFlag: false,
        summary: "Networks whose clients are let in; with one, nobody else is.")
    public static let deny = ConfigurationKey(
        name: "deny", section: .behaviour, kind: .networkList, defaultText: "[]", hasFlag: false,
        summary: "Networks whose clients are reset.")
    public static let listenerAllow = ConfigurationKey(
        name: "allow", section: .listener, kind: .networkList, defaultText: "[]", hasFlag: false,
        summary: "The same for those that come by this listener, beside the service's list.")
    public static let listenerDeny = ConfigurationKey(
        name: "deny", section: .listener, kind: .networkList, defaultText: "[]", hasFlag: false,
        summary: "The same for those that come by this listener, beside the service's list.")
    public static let affinity = ConfigurationKey(
        name: "affinity", section: .behaviour,
        kind: .duration(.seconds(1)...Duration.seconds(365 * 86_400), word: "off"), defaultText: "off", hasFlag: false,
        summary: "Time after a client's last connection for which it keeps its backend, whatever its home is.")
    public static let affinityEntries = ConfigurationKey(
        name: "affinity-entries", section: .daemon,
        kind: .integer(1024...DaemonConfiguration.mostAffinityEntries, word: nil), defaultText: "65536", hasFlag: false,
        summary: "Clients that are remembered, over all services; rounded up to a power of two.")

    static let accessKeys = [allow, deny, affinity]
    static let listenerAccessKeys = [listenerAllow, listenerDeny]
}

extension TableReader {
    /// Networks that one key may name beside its files.
    static let mostListed = 1000
    /// Files that one key may name.
    static let mostNetworkFiles = 16

    /// Reads the keys of access lists and of affinity.
    func readAccess(into service: inout ServiceConfiguration) {
        service.access.allow = networkList(ConfigurationKeys.allow) ?? service.access.allow
        service.access.deny = networkList(ConfigurationKeys.deny) ?? service.access.deny
        read(ConfigurationKeys.affinity, into: &service.affinity)
    }

    /// The same of a listener.
    func readAccess(into listener: inout ListenerConfiguration) {
        listener.access.allow = networkList(ConfigurationKeys.listenerAllow) ?? listener.access.allow
        listener.access.deny = networkList(ConfigurationKeys.listenerDeny) ?? listener.access.deny
    }

    /// nil: it is not written, or was refused.
    private func networkList(_ key: ConfigurationKey) -> NetworkList? {
        guard let texts = texts(key) else { return nil }
        let place = placeOfValue(key)
        var list = NetworkList()
        for text in texts {
            if text.hasPrefix("@") {
                let path = String(text.dropFirst())
                let isPath =
                    path.hasPrefix("/") && path.utf8.count <= 4000
                    && !path.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }
                guard isPath else {
                    findings.report(place, "\(quoted(text)): a file of networks is named by its whole path, from / on")
                    return nil
                }
                if !list.files.contains(path) { list.files.append(path) }
                continue
            }
            switch NetworkText.read(text) {
            case .success(let network): list.networks.append(network)
            case .failure(let problem):
                findings.report(place, problem.description)
                return nil
            }
        }
        if list.networks.count > TableReader.mostListed {
            findings.report(
                place,
                "\(list.networks.count) networks: \(TableReader.mostListed) at most here; more of them belong into a "
                    + "file, named as \"@/etc/limpet/\(key.name).txt\"")
            return nil
        }
        if list.files.count > TableReader.mostNetworkFiles {
            findings.report(place, "\(list.files.count) files: \(TableReader.mostNetworkFiles) at most")
            return nil
        }
        return list
    }
}

extension Setting {
    init(_ key: ConfigurationKey, list: NetworkList) {
        self.init(key, raw: "[\(list.texts.map(TOMLText.quote).joined(separator: ", "))]")
    }
}

extension ServiceConfiguration {
    var accessSettings: [Setting] {
        [
            Setting(ConfigurationKeys.allow, list: access.allow), Setting(ConfigurationKeys.deny, list: access.deny),
            Setting(ConfigurationKeys.affinity, affinity.map(DurationText.render) ?? "off"),
        ]
    }
}

extension ListenerConfiguration {
    /// What is empty stays out.
    var accessSettings: [Setting] {
        (access.allow.isEmpty ? [] : [Setting(ConfigurationKeys.listenerAllow, list: access.allow)])
            + (access.deny.isEmpty ? [] : [Setting(ConfigurationKeys.listenerDeny, list: access.deny)])
    }
}
