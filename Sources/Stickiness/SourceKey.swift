public import Addressing

/// What of a client is hashed.
public enum HashInput: String, Sendable, CaseIterable {
    /// The address, as far as ``SourceMask`` keeps it.
    case source = "source"
    /// The address and the port: every connection of a client has a home of its own.
    case sourcePort = "source-port"
}

/// How many leading bits of a client's address are hashed: clients that agree in them share a home.
///
/// The defaults are the whole IPv4 address and an IPv6 /64, inside which privacy addresses change. Whether the numbers
/// are in range is checked where they are read; larger ones keep the whole address.
public struct SourceMask: Sendable, Hashable {
    /// 0 to 32.
    public var ipv4: Int
    /// 0 to 128.
    public var ipv6: Int

    public init(ipv4: Int = 32, ipv6: Int = 64) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
    }
}

/// Turns a client's address into the 64-bit key that is ranked against backends: SipHash-2-4 of
/// `limpet.source.1` ‖ family (4, 6, or 1 for a user of this machine, one byte) ‖ masked address, or the user's number in 32 bits,
/// in network order [‖ port in network order].
///
/// Immutable; any thread may use it. Allocates nothing per key.
public struct SourceKeyer: Sendable {
    public let mask: SourceMask
    public let input: HashInput
    /// The hash after the tag and the family, which are 16 bytes, two whole blocks, whoever the client is.
    private let start4: SipHash24
    private let start6: SipHash24
    private let start1: SipHash24

    public init(key: HashKey, mask: SourceMask, input: HashInput) {
        self.mask = mask
        self.input = input
        var start = SipHash24(key: key)
        start.append(contentsOf: "limpet.source.1".utf8)
        var start4 = start
        start4.append(IPAddress.Family.v4.rawValue)
        self.start4 = start4
        var start6 = start
        start6.append(IPAddress.Family.v6.rawValue)
        self.start6 = start6
        var start1 = start
        start1.append(IPAddress.Family.user.rawValue)
        self.start1 = start1
    }

    /// The key of a client. An IPv4-mapped IPv6 address counts as the IPv4 address in it.
    /// - Parameter port: the client's port; it plays a part only for ``HashInput/sourcePort``.
    public func key(for address: IPAddress, port: UInt16) -> UInt64 {
        let client = address.unmapped
        var hash: SipHash24
        switch client.family {
        case .v4:
            hash = start4
            let masked = UInt32(truncatingIfNeeded: client.masked(to: mask.ipv4).low)
            hash.append(littleEndian: UInt64(masked.byteSwapped), byteCount: 4)
        case .user:
            hash = start1
            let number = UInt32(truncatingIfNeeded: client.low)
            hash.append(littleEndian: UInt64(number.byteSwapped), byteCount: 4)
        case .v6:
            hash = start6
            let masked = client.masked(to: mask.ipv6)
            hash.append(littleEndian: masked.high.byteSwapped, byteCount: 8)
            hash.append(littleEndian: masked.low.byteSwapped, byteCount: 8)
        }
        if input == .sourcePort { hash.append(littleEndian: UInt64(port.byteSwapped), byteCount: 2) }
        return hash.finalize()
    }

    /// What of a client is hashed: its address as far as the mask keeps it, and its port where that counts, else 0.
    public func hashed(_ client: Endpoint) -> Endpoint {
        let address = client.address.unmapped
        return Endpoint(
            address: address.masked(to: address.family == .v4 ? mask.ipv4 : mask.ipv6),
            port: input == .sourcePort ? client.port : 0)
    }
}
