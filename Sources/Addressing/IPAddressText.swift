extension IPAddress: LosslessStringConvertible {
    /// Reads an address as people write it: dotted decimal for IPv4, the forms of RFC 4291 section 2.2 for IPv6, with or
    /// without an IPv4 address at the end. Nil for anything else: no leading zeros in IPv4 (where some readers take
    /// octal), no missing parts, no zone, no brackets, no space around.
    public init?(_ text: some StringProtocol) {
        // The longest form is eight groups, the last two of them as dotted decimal: 45 bytes.
        let bytes = Array(text.utf8.prefix(46))
        guard bytes.count <= 45 else { return nil }
        if bytes.contains(UInt8(ascii: ":")) {
            guard let address = IPAddress.parseV6(bytes) else { return nil }
            self = address
        } else {
            guard let value = IPAddress.parseV4(bytes[...]) else { return nil }
            self.init(v4: value)
        }
    }

    /// Canonical text: dotted decimal, or RFC 5952 with `::ffff:192.0.2.1` for an IPv4-mapped address. Reads back as the
    /// same address.
    public var description: String {
        switch family {
        case .v4: IPAddress.dotted(UInt32(truncatingIfNeeded: low))
        case .v6: describeV6()
        case .user: "\(IPAddress.userPrefix)\(low)"
        }
    }

    /// What the text of a user begins with.
    private static let userPrefix = "unix:uid="

    /// Reads who a client is: an address, or `unix:uid=1000`.
    public init?(client text: some StringProtocol) {
        guard text.hasPrefix(IPAddress.userPrefix) else {
            self.init(text)
            return
        }
        let digits = text.utf8.dropFirst(IPAddress.userPrefix.utf8.count)
        guard (1...10).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let user = UInt32(String(text.dropFirst(IPAddress.userPrefix.count)))
        else { return nil }
        self.init(user: user)
    }

    private static func parseV4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let octet = decimal(part, limit: 255) else { return nil }
            value = value << 8 | UInt32(octet)
        }
        return value
    }

    private static func parseV6(_ bytes: [UInt8]) -> IPAddress? {
        var groups: [UInt16] = []
        /// How many groups stand before the `::`.
        var gap: Int?
        var rest = bytes[...]
        let colon = UInt8(ascii: ":")

        if rest.starts(with: [colon, colon]) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let part = rest.prefix { $0 != colon }
            if part.contains(UInt8(ascii: ".")) {
                // Dotted decimal stands for the last two groups and nothing may follow it.
                guard part.endIndex == rest.endIndex, groups.count <= 6, let value = parseV4(part) else { return nil }
                groups += [UInt16(value >> 16), UInt16(truncatingIfNeeded: value)]
                break
            }
            guard groups.count < 8, let group = hexadecimal(part) else { return nil }
            groups.append(group)
            rest = rest.dropFirst(part.count)
            if rest.isEmpty { break }
            rest = rest.dropFirst()
            if rest.first == colon {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        let high = groups[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        let low = groups[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        return IPAddress(v6High: high, low: low)
    }

    private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(digits.count) else { return nil }
        var value: UInt16 = 0
        for digit in digits {
            switch digit {
            case 0x30...0x39: value = value << 4 | UInt16(digit - 0x30)
            case 0x41...0x46: value = value << 4 | UInt16(digit - 0x41 + 10)
            case 0x61...0x66: value = value << 4 | UInt16(digit - 0x61 + 10)
            default: return nil
            }
        }
        return value
    }

    private static func dotted(_ value: UInt32) -> String {
        "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
    }

    private func describeV6() -> String {
        if case let inner = unmapped, inner.family == .v4 { return "::ffff:\(inner)" }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 & 3))) }
        // The first of the longest runs of two or more zero groups.
        var longest = 0..<0
        var start = 0
        while start < 8 {
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start >= 2, end - start > longest.count { longest = start..<end }
            start = end + 1
        }
        func text(_ groups: ArraySlice<UInt16>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        return longest.isEmpty
            ? text(groups[...]) : text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then by number.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        (left.family.rawValue, left.high, left.low) < (right.family.rawValue, right.high, right.low)
    }
}

/// A decimal number without sign or leading zeros, at most `limit`; nil for anything else.
func decimal(_ digits: ArraySlice<UInt8>, limit: Int) -> Int? {
    guard let first = digits.first, digits.count == 1 || first != UInt8(ascii: "0"), digits.count <= 9 else {
        return nil
    }
    var value = 0
    for digit in digits {
        guard (0x30...0x39).contains(digit) else { return nil }
        value = value * 10 + Int(digit - 0x30)
    }
    return value <= limit ? value : nil
}
