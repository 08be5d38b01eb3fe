public import Addressing

/// What a name server can be asked. Plain value.
public enum NameQuestion: Hashable, Sendable {
    /// The addresses of a host: A and AAAA records, or what the hosts file says.
    case addresses(HostName)
    /// Where a service is: SRV records.
    case services(HostName)

    public var name: HostName {
        switch self {
        case .addresses(let name), .services(let name): name
        }
    }
}

extension NameQuestion: CustomStringConvertible {
    /// `ws1.example.net`, with a dot at the end where the name has one: that is another question. Or
    /// `SRV _ws._tcp.example.net`, which is whole in any case.
    public var description: String {
        switch self {
        case .addresses(let name): name.description
        case .services(let name): "SRV \(name.text)"
        }
    }
}
