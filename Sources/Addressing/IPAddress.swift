/// Who a client is: an IPv4 or IPv6 address, or a user of this machine. A plain value: no allocation, no reference.
///
/// IPv4 keeps its 32 bits in the low half; the two families never compare equal, not even an IPv4-mapped IPv6 address
/// and the IPv4 address in it: ``unmapped`` turns the one into the other where that is wanted.
public struct IPAddress: Hashable, Sendable {
    public enum Family: UInt8, Sendable {
        case v4 = 4
        case v6 = 6
        /// A user of this machine, who has come by a Unix socket: the address is the user's number.
        case user = 1

        /// Bits in an address of this family: 32 or 128.
        public var bitCount: Int { self == .v6 ? 128 : 32 }
    }

    public let family: Family
    /// The upper 64 bits in host order; 0 for IPv4.
    public let high: UInt64
    /// The lower 64 bits in host order; for IPv4 the address itself.
    public let low: UInt64

    public init(v4 value: UInt32) {
        family = .v4
        high = 0
        low = UInt64(value)
    }

    /// Who comes by a Unix socket.
    public init(user: UInt32) {
        family = .user
        high = 0
        low = UInt64(user)
    }

    public init(v6High high: UInt64, low: UInt64) {
        family = .v6
        self.high = high
        self.low = low
    }

    /// True for `::` and `0.0.0.0`.
    public var isUnspecified: Bool { high == 0 && low == 0 && family != .user }

    /// True for `127.0.0.0/8` and `::1`.
    public var isLoopback: Bool {
        switch family {
        case .v4: low >> 24 == 127
        case .v6: high == 0 && low == 1
        case .user: false
        }
    }

    /// True for `fe80::/10`, whose addresses are good on one link alone, and for IPv4's 169.254.0.0/16.
    public var isLinkLocal: Bool {
        switch family {
        case .v4: low >> 16 == 0xa9fe
        case .v6: high >> 54 == 0x3fa
        case .user: false
        }
    }

    /// The IPv4 address inside an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2); any other
    /// address as it is.
    public var unmapped: IPAddress {
        family == .v6 && high == 0 && low >> 32 == 0xffff ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : self
    }

    /// The address with everything past the first `bits` bits cleared.
    /// - Parameter bits: 0 to 32 for IPv4, 0 to 128 for IPv6; larger values keep the whole address.
    public func masked(to bits: Int) -> IPAddress {
        switch family {
        case .v4:
            return IPAddress(v4: UInt32(truncatingIfNeeded: low) & IPAddress.mask32(bits))
        case .user: return self
        case .v6:
            return IPAddress(
                v6High: high & IPAddress.mask64(bits), low: low & IPAddress.mask64(bits - 64))
        }
    }

    private static func mask32(_ bits: Int) -> UInt32 {
        bits <= 0 ? 0 : bits >= 32 ? .max : ~(.max >> UInt32(bits))
    }

    private static func mask64(_ bits: Int) -> UInt64 {
        bits <= 0 ? 0 : bits >= 64 ? .max : ~(.max >> UInt64(bits))
    }
}

extension IPAddress {
    /// True for `224.0.0.0/4` and `ff00::/8`: no TCP server is there.
    public var isMulticast: Bool {
        switch family {
        case .v4: low >> 28 == 0xe
        case .v6: high >> 56 == 0xff
        case .user: false
        }
    }
}
