/// The 16 bytes that key every hash of version 1.
///
/// Instances that hold the same key give every client the same home. A key that clients do not know keeps them from
/// choosing their backend; therefore no description and no mirror of this type shows its bytes. Plain value; any
/// thread may hold a copy.
public struct HashKey: Sendable, Hashable {
    /// Bytes 0–7, little-endian, as SipHash takes them.
    let k0: UInt64
    /// Bytes 8–15, little-endian.
    let k1: UInt64

    /// The bytes 00 01 … 0f: what every instance uses that was given no key, so that instances agree unasked.
    public static let published = HashKey(k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908)

    init(k0: UInt64, k1: UInt64) {
        self.k0 = k0
        self.k1 = k1
    }

    /// Reads a key as a key file holds it: 32 hexadecimal digits of either case, the first byte first. Spaces, tabs and
    /// line ends before and after are passed over; anything else gives nil.
    public init?(hexadecimal text: some StringProtocol) {
        var words: (UInt64, UInt64) = (0, 0)
        var digits = 0
        var ended = false
        for byte in text.utf8 {
            if byte == 0x20 || (0x09...0x0d).contains(byte) {
                ended = digits > 0
                continue
            }
            guard !ended, digits < 32, let value = HashKey.digit(byte) else { return nil }
            if digits < 16 { words.0 = words.0 << 4 | value } else { words.1 = words.1 << 4 | value }
            digits += 1
        }
        guard digits == 32 else { return nil }
        // The digits were gathered with the first byte on top; SipHash wants it at the bottom.
        self.init(k0: words.0.byteSwapped, k1: words.1.byteSwapped)
    }

    /// The bytes as a key file holds them: 32 hexadecimal digits. For the one place where a key is written down for the
    /// next engine; nothing that people read may show it.
    public var hexadecimal: String {
        [k0, k1].map { word in
            let digits = String(word.byteSwapped, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// True for ``published``, however this value was made.
    public var isPublished: Bool { self == .published }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x41...0x46: UInt64(byte - 0x41 + 10)
        case 0x61...0x66: UInt64(byte - 0x61 + 10)
        default: nil
        }
    }
}

extension HashKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `published` or `secret`; never the bytes.
    public var description: String { isPublished ? "published" : "secret" }
    /// The same as ``description``: a value that holds a key is printed with this.
    public var debugDescription: String { description }
    /// Without children, so that `dump` does not show the bytes either.
    public var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}
