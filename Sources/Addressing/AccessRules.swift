/// Whom a list of networks lets in: the longest network that a client's address lies in decides; of one that is both allowed
/// and denied, the denial counts. Who lies in none is let in, unless some network is allowed.
///
/// Immutable; any thread may ask. Asking allocates nothing.
public struct AccessRules: Sendable, Equatable {
    /// One network, and what it decides.
    public struct Rule: Sendable, Hashable {
        public let network: Prefix
        public let isAllowed: Bool

        public init(network: Prefix, isAllowed: Bool) {
            self.network = network
            self.isAllowed = isAllowed
        }
    }

    private let rules: [Rule]
    private let map: PrefixMap
    private let firstDenial: UInt32
    /// Whether those are let in that no network speaks of.
    public let letsOthersIn: Bool

    /// - Returns: nil where there is nothing to decide.
    public init?(allow: [Prefix], deny: [Prefix]) {
        if allow.isEmpty, deny.isEmpty { return nil }
        rules = allow.map { Rule(network: $0, isAllowed: true) } + deny.map { Rule(network: $0, isAllowed: false) }
        // Denials have the higher numbers, and so the last word on a network that is in both lists.
        map = PrefixMap(rules.lazy.enumerated().map { (network: $0.element.network, number: UInt32($0.offset)) })
        firstDenial = UInt32(allow.count)
        letsOthersIn = allow.isEmpty
    }

    /// Lets no client in.
    public static let nobody = AccessRules(
        allow: [], deny: [IPAddress(v4: 0), IPAddress(v6High: 0, low: 0)].compactMap { Prefix($0, length: 0) })

    /// Networks in both lists together.
    public var count: Int { rules.count }

    /// Whether a client is let in.
    /// - Parameter client: an IPv4 address as such, not inside IPv6.
    @inline(__always)
    public func letsIn(_ client: IPAddress) -> Bool {
        map.number(of: client).map { $0 < firstDenial } ?? letsOthersIn
    }

    /// What decides about a client; nil: no network speaks of it.
    public func rule(for client: IPAddress) -> Rule? {
        map.number(of: client).map { rules[Int($0)] }
    }
}
