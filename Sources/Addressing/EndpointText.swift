/// Why a text is not an endpoint. The description says what is wrong and what to write instead.
public enum EndpointError: Error, Hashable, Sendable {
    /// Nothing was given at all.
    case empty
    /// There is a port, or a `*`, but no address before it.
    case missingAddress(String)
    /// There is an address but no port.
    case missingPort(String)
    /// What stands for the port is not a number.
    case invalidPort(String, port: String)
    /// The port is a number above 65535.
    case portOutOfRange(String, port: String)
    /// An IPv6 address without brackets, where the port cannot be told from a group.
    case needsBrackets(String)
    /// A `[` without its `]`.
    case unclosedBracket(String)
    /// Brackets around something that is not an IPv6 address.
    case notIPv6(String, host: String)
    /// An address with a zone, such as `2001:db8::1%eth0`, that is not link-local.
    case zone(String)
    /// What stands behind the `%` cannot be an interface.
    case invalidZone(String, zone: String)
    /// A link-local address without its zone. Not an error of the text: whoever listens or connects there throws it.
    case needsZone(String)
    /// A host name.
    case name(String, host: String)
    /// Neither an address nor a name.
    case invalidAddress(String, host: String)
}

extension EndpointError: CustomStringConvertible {
    /// One line for the user, without the place where it was written.
    public var description: String {
        switch self {
        case .empty:
            "an address and a port are missing: write 192.0.2.1:80 or [2001:db8::1]:80"
        case .missingAddress(let text):
            "\"\(text)\" has no address: write 192.0.2.1:80, or 0.0.0.0:80 or [::]:80 to listen on all addresses"
        case .missingPort(let text):
            "\"\(text)\" has no port: write ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80"
        case .invalidPort(let text, let port):
            "\"\(text)\": port \"\(port)\" is not a number from 0 to 65535"
        case .portOutOfRange(let text, let port):
            "\"\(text)\": port \(port) is out of range (0 to 65535)"
        case .needsBrackets(let text):
            "\"\(text)\": an IPv6 address needs brackets before a port, such as [2001:db8::1]:80"
        case .unclosedBracket(let text):
            "\"\(text)\": the closing bracket \"]\" is missing"
        case .notIPv6(let text, let host):
            "\"\(text)\": \"\(host)\" is not an IPv6 address (brackets are for IPv6 only)"
        case .zone(let text):
            "\"\(text)\": only a link-local address (fe80::/10) has a zone (%): leave it out"
        case .invalidZone(let text, let zone):
            "\"\(text)\": \"\(zone)\" is not a network interface (a name of 1 to 15 characters, or a number)"
        case .needsZone(let text):
            "\"\(text)\": a link-local address needs its network interface: write [fe80::1%eth0]:80"
        case .name(let text, let host):
            "\"\(text)\": \"\(host)\" is not an address, and a name will not do here: give an address"
        case .invalidAddress(let text, let host):
            "\"\(text)\": \"\(host)\" is not an IP address"
        }
    }
}

extension Endpoint {
    /// Reads `192.0.2.1:80` or `[2001:db8::1]:80`. Port 0 is accepted; whether it makes sense is for the reader to say.
    public init(parsing text: some StringProtocol) throws(EndpointError) {
        let whole = String(text)
        guard !whole.isEmpty else { throw .empty }
        let host: Substring
        let tail: Substring
        if whole.hasPrefix("[") {
            guard let close = whole.firstIndex(of: "]") else { throw .unclosedBracket(whole) }
            host = whole[whole.index(after: whole.startIndex)..<close]
            tail = whole[whole.index(after: close)...]
        } else if let colon = whole.lastIndex(of: ":") {
            host = whole[..<colon]
            tail = whole[colon...]
        } else {
            // A number alone is a port; everything else lacks one.
            throw whole.utf8.allSatisfy(isDigit) ? .missingAddress(whole) : .missingPort(whole)
        }
        let bracketed = host.startIndex != whole.startIndex
        let percent = bracketed ? host.firstIndex(of: "%") : nil
        let address = try Endpoint.address(host[..<(percent ?? host.endIndex)], bracketed: bracketed, of: whole)
        var zone = Zone.none
        if let percent {
            let text = host[host.index(after: percent)...]
            guard let read = Zone(text) else { throw .invalidZone(whole, zone: String(text)) }
            guard address.isLinkLocal else { throw .zone(whole) }
            zone = read
        }
        self.init(address: address, port: try Endpoint.port(tail, of: whole), zone: zone)
    }

    /// The same where it is clear which link is meant.
    public func complete() throws(EndpointError) -> Endpoint {
        if address.family == .v6, address.isLinkLocal, zone.isNone { throw .needsZone(description) }
        return self
    }

    private static func address(
        _ host: Substring, bracketed: Bool, of whole: String
    ) throws(EndpointError) -> IPAddress {
        if bracketed {
            guard let address = IPAddress(host), address.family == .v6 else {
                throw .notIPv6(whole, host: String(host))
            }
            return address
        }
        if host.isEmpty || host == "*" { throw .missingAddress(whole) }
        if host.contains(":") {
            if let percent = host.firstIndex(of: "%"), IPAddress(host[..<percent]) != nil {
                throw .needsBrackets(whole)
            }
            // Without brackets the last group may be the port or not: either reading being an address is a hint enough.
            throw IPAddress(host) != nil || IPAddress(whole) != nil
                ? .needsBrackets(whole) : .invalidAddress(whole, host: String(host))
        }
        if let address = IPAddress(host) { return address }
        throw looksLikeName(host) ? .name(whole, host: String(host)) : .invalidAddress(whole, host: String(host))
    }

    /// - Parameter tail: what follows the address, the colon included.
    static func port(_ tail: Substring, of whole: String) throws(EndpointError) -> UInt16 {
        guard !tail.isEmpty, tail != ":" else { throw .missingPort(whole) }
        let digits = tail.dropFirst()
        guard tail.hasPrefix(":") else { throw .invalidPort(whole, port: String(tail)) }
        guard digits.utf8.allSatisfy(isDigit) else { throw .invalidPort(whole, port: String(digits)) }
        guard let port = UInt16(digits) else { throw .portOutOfRange(whole, port: String(digits)) }
        return port
    }

    /// Letters, digits, hyphens, underscores and dots, with at least one letter: `10.0.0.256` is a mistyped address.
    private static func looksLikeName(_ host: Substring) -> Bool {
        host.utf8.contains(where: isLetter)
            && host.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == 0x2d || $0 == 0x2e || $0 == 0x5f }
    }
}

extension Endpoint: CustomStringConvertible {
    /// `192.0.2.1:80`, `[2001:db8::1]:80` or `[fe80::1%eth0]:80`; reads back as the same endpoint.
    public var description: String {
        switch address.family {
        case .v4: "\(address):\(port)"
        case .v6: zone.isNone ? "[\(address)]:\(port)" : "[\(address)%\(zone)]:\(port)"
        // A Unix socket has no ports.
        case .user: address.description
        }
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

private func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }
