public import Addressing

/// What a name server can be asked. Plain value.
public enum NameQuestion: Hashable, Sendable {
    /// The addresses of a host: A and AAAA records, those of one family alone, or what the hosts file says.
    case addresses(HostQuestion)
    /// Where a service is: SRV records.
    case services(HostName)

    public var name: HostName {
        switch self {
        case .addresses(let host): host.name
        case .services(let name): name
        }
    }
}

extension NameQuestion: CustomStringConvertible {
    /// `ws1.example.net`, with a dot at the end where the name has one: that is another question; `A ws1.example.net` of one
    /// family alone. Or `SRV _ws._tcp.example.net`, which is whole in any case.
    public var description: String {
        switch self {
        case .addresses(let host): host.description
        case .services(let name): "SRV \(name.text)"
        }
    }
}
