internal import Addressing

/// Whether the Host header of a request names this daemon and not somebody else's site whose name has been pointed here
/// (DNS rebinding): an address, localhost, or a name that the configuration lists. A page of another site could otherwise
/// read what its visitor's browser can reach. A pure value.
struct HostCheck: Sendable, Equatable {
    /// Names, in lower case.
    var names: Set<String> = []

    init(_ names: [String] = []) {
        self.names = Set(names.map { $0.lowercased() })
    }

    /// - Parameter host: as it was sent, with its port or without; nil: there was none.
    func allows(_ host: String?) -> Bool {
        guard let host, let name = HostCheck.name(in: host) else { return false }
        return name == "localhost" || names.contains(name) || IPAddress(name) != nil
    }

    /// Without the port and the brackets, in lower case; nil: it is no host.
    private static func name(in host: String) -> String? {
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return nil }
            let inner = host[host.index(after: host.startIndex)..<end]
            guard inner.contains(":"), isPort(host[host.index(after: end)...]) else { return nil }
            return inner.lowercased()
        }
        let end = host.firstIndex(of: ":") ?? host.endIndex
        guard end != host.startIndex, isPort(host[end...]) else { return nil }
        var name = host[..<end].lowercased()
        // A name may be written with the dot of the root.
        if name.hasSuffix("."), name.count > 1 { name.removeLast() }
        return name
    }

    /// Nothing, or a colon and digits.
    private static func isPort(_ rest: Substring) -> Bool {
        guard let colon = rest.first else { return true }
        return colon == ":" && rest.dropFirst().utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
