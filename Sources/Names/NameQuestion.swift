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
    /// `ws1.example.net`, or `SRV _ws._tcp.example.net`.
    public var description: String {
        switch self {
        case .addresses(let name): name.text
        case .services(let name): "SRV \(name.text)"
        }
    }
}
