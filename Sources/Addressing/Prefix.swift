/// A range of addresses that agree in their first bits, such as `10.0.0.0/8`. Plain value.
///
/// The address is kept as it was given: where ``hasHostBits`` is true somebody wrote `10.1.2.3/8`, and a message can say
/// that ``network`` was probably meant. ``contains(_:)`` looks at the first bits only.
public struct Prefix: Hashable, Sendable {
    public let address: IPAddress
    /// Number of bits that count: 0 to 32 for IPv4, 0 to 128 for IPv6.
    public let length: Int

    /// Nil where `length` is out of range for the address's family.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bitCount).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// The address alone: every bit counts.
    public init(_ address: IPAddress) {
        self.address = address
        length = address.family.bitCount
    }

    /// True where a bit past ``length`` is set.
    public var hasHostBits: Bool { address.masked(to: length) != address }

    /// The same range, with every bit past ``length`` cleared.
    public var network: Prefix { Prefix(masking: address, to: length) }

    private init(masking address: IPAddress, to length: Int) {
        self.address = address.masked(to: length)
        self.length = length
    }

    /// Whether `address` lies in the range. An IPv4 range also contains the IPv4-mapped IPv6 forms of its addresses.
    public func contains(_ address: IPAddress) -> Bool {
        let candidate = self.address.family == .v4 ? address.unmapped : address
        return candidate.masked(to: length) == self.address.masked(to: length)
    }
}

extension Prefix: LosslessStringConvertible {
    /// Reads `ADDRESS/LENGTH`, or an address alone, which is a prefix of full length. Nil for anything else. Bits past
    /// the length are accepted: see ``hasHostBits``.
    public init?(_ text: some StringProtocol) {
        guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")) else {
            guard let address = IPAddress(text) else { return nil }
            self.init(address)
            return
        }
        let digits = Array(text.utf8[text.utf8.index(after: slash)...].prefix(4))
        guard let address = IPAddress(text[..<slash]), let length = decimal(digits[...], limit: 128) else { return nil }
        self.init(address, length: length)
    }

    /// `ADDRESS/LENGTH`, always with the length.
    public var description: String { "\(address)/\(length)" }
}
