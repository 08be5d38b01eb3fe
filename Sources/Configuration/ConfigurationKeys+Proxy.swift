import Addressing

/// The keys of the PROXY protocol.
extension ConfigurationKeys {
    public static let acceptProxy = ConfigurationKey(
        name: "accept-proxy", section: .behaviour, kind: .networks, defaultText: "[]", hasFlag: true,
        summary: "Networks whose connections have to begin with a PROXY header, which says who the client is.")
    public static let acceptProxyTimeout = ConfigurationKey(
        name: "accept-proxy-timeout", section: .behaviour,
        kind: .duration(.milliseconds(10)...Duration.seconds(600), word: nil), defaultText: "3s", hasFlag: false,
        summary: "Time in which such a header has to come.")
    public static let sendProxyFields = ConfigurationKey(
        name: "send-proxy-tlvs", section: .behaviour, kind: .choices(ProxyField.allCases.map(\.rawValue)),
        defaultText: "[]", hasFlag: false,
        summary: "What a header that is sent says beside the addresses, in version 2.")

    static let proxyKeys = [acceptProxy, acceptProxyTimeout, sendProxyFields]
}

/// What a header of the PROXY protocol, version 2, can say beside the addresses.
public enum ProxyField: String, Sendable, CaseIterable {
    /// Which connection it is: PP2_TYPE_UNIQUE_ID.
    case uniqueID = "unique-id"
    /// PP2_TYPE_CRC32C.
    case checksum = "crc32c"
    /// All that the client's own header said.
    case received
}

extension TableReader {
    /// Reads the keys of the PROXY protocol.
    func readProxy(into service: inout ServiceConfiguration) {
        service.acceptProxy = networks(ConfigurationKeys.acceptProxy) ?? service.acceptProxy
        read(ConfigurationKeys.acceptProxyTimeout, into: &service.acceptProxyTimeout)
        if let words = choices(ConfigurationKeys.sendProxyFields) {
            service.sendProxyFields = words.compactMap { ProxyField(rawValue: $0) }
        }
    }
}

extension ConfigurationRules {
    /// What has to hold between them.
    func checkProxy(_ service: ServiceConfiguration, _ place: [String]) {
        if !service.sendProxyFields.isEmpty, service.sendProxy != .v2 {
            findings.report(
                place,
                "\"\(ConfigurationKeys.sendProxyFields.name)\" needs \(ConfigurationKeys.sendProxy.name) = \"v2\"; where "
                    + "nothing of it is to be sent, write \(ConfigurationKeys.sendProxyFields.name) = []")
        }
        if service.sendProxyFields.contains(.received), service.acceptProxy.isEmpty {
            findings.warn(
                place,
                "\"received\" in \"\(ConfigurationKeys.sendProxyFields.name)\" adds nothing without "
                    + "\"\(ConfigurationKeys.acceptProxy.name)\": no header is received")
        }
        for network in service.acceptProxy where network.length == 0 {
            findings.warn(
                place + [
                    form == .flags ? "--\(ConfigurationKeys.acceptProxy.name)" : ConfigurationKeys.acceptProxy.name
                ],
                "\(network) trusts whoever connects to say who it is")
        }
    }
}

extension ServiceConfiguration {
    var proxySettings: [Setting] {
        [
            Setting(ConfigurationKeys.acceptProxy, networks: acceptProxy),
            Setting(ConfigurationKeys.acceptProxyTimeout, DurationText.render(acceptProxyTimeout)),
            Setting(
                ConfigurationKeys.sendProxyFields,
                raw: "[\(sendProxyFields.map { TOMLText.quote($0.rawValue) }.joined(separator: ", "))]"),
        ]
    }
}
