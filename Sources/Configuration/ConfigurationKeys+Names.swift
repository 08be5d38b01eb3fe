import Addressing

/// Keys about hosts that are given by their names.
extension ConfigurationKeys {
    public static let resolvers = ConfigurationKey(
        name: "resolvers", section: .daemon, kind: .servers, defaultText: "[]", hasFlag: false,
        summary: "Name servers that the names of backends are asked of; none given: those of the system.")
    public static let resolveInterval = ConfigurationKey(
        name: "resolve-interval", section: .daemon,
        kind: .duration(.seconds(1)...Duration.seconds(3600), word: "ttl"), defaultText: "ttl", hasFlag: false,
        summary: "Time after which a name is asked for again; ttl is as long as the answer says, 1s to 5m.")
    public static let resolveTimeout = ConfigurationKey(
        name: "resolve-timeout", section: .daemon,
        kind: .duration(.milliseconds(100)...Duration.seconds(60), word: nil), defaultText: "5s", hasFlag: false,
        summary: "Time that one question to the name servers may take in all.")
    public static let expand = ConfigurationKey(
        name: "expand", section: .backend, kind: .boolean, defaultText: "false", hasFlag: false,
        summary: "Whether each address of a backend that is given by a name is a backend of its own.")
    public static let srv = ConfigurationKey(
        name: "srv", section: .backend, kind: .text(limit: 254), defaultText: "none", hasFlag: false,
        summary: "Name whose SRV records say where backends are, in place of an address.")
    public static let family = ConfigurationKey(
        name: "family", section: .backend, kind: .choice(NameFamily.allCases.map(\.rawValue)),
        defaultText: NameFamily.any.rawValue, hasFlag: false,
        summary: "Which addresses of a name count: any, or those of one family alone.")
}
