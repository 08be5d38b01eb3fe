/// Which addresses of a name count: whoever has no way for one family asks for the other alone.
public enum NameFamily: String, Sendable, Hashable, CaseIterable {
    case any, ipv4, ipv6

    /// Whether addresses of a family count.
    public func includes(_ family: IPAddress.Family) -> Bool {
        switch self {
        case .any: true
        case .ipv4: family == .v4
        case .ipv6: family == .v6
        }
    }
}

/// The addresses of a host that somebody wants to know. Plain value.
public struct HostQuestion: Sendable, Hashable {
    public var name: HostName
    public var family: NameFamily

    public init(_ name: HostName, _ family: NameFamily = .any) {
        self.name = name
        self.family = family
    }
}

extension HostQuestion: CustomStringConvertible {
    /// `ws1.example.net`, or, of one family, with its type of records: `A ws1.example.net`, `AAAA ws1.example.net`.
    public var description: String {
        switch family {
        case .any: name.description
        case .ipv4: "A \(name)"
        case .ipv6: "AAAA \(name)"
        }
    }
}
