/// The link that a link-local IPv6 address belongs to (RFC 4007): a network interface, by its name or by its index. A plain
/// value: no allocation, no reference.
///
/// An interface's name and its index are two values: only the system knows which index a name has. What people write is
/// kept as they wrote it, and what the kernel says is an index.
public struct Zone: Hashable, Sendable {
    /// Bytes that the name of an interface has at most: IFNAMSIZ, less the NUL.
    public static let longestName = 15

    /// The bytes of the name, the first of them highest; of an index: 0 and the index.
    private let high: UInt64
    private let low: UInt64

    /// The address needs none, or it is not known.
    public static let none = Zone(index: 0)

    /// - Parameter index: of an interface; 0: none.
    public init(index: UInt32) {
        self.init(high: 0, low: UInt64(index))
    }

    /// Reads `eth0`, or an index such as `2`. Nil for what the kernel takes for no name of an interface: nothing, more than
    /// 15 bytes, a control character, a space, a slash, a colon, `.` and `..`; and for what would not stand in an address: `%`,
    /// `]`, a comma and a quotation mark.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8.prefix(Zone.longestName + 1))
        guard (1...Zone.longestName).contains(bytes.count), bytes.allSatisfy({ (0x21...0x7e).contains($0) }),
            !bytes.contains(where: { "/:%],\"".utf8.contains($0) }), text != ".", text != ".."
        else { return nil }
        if let index = UInt32(text), "\(index)" == text, index > 0 {
            self.init(index: index)
            return
        }
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
            (0..<8).reduce(0) { $0 << 8 | ($1 < bytes.count ? UInt64(bytes[bytes.startIndex + $1]) : 0) }
        }
        self.init(high: word(bytes.prefix(8)), low: word(bytes.dropFirst(8)))
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public var isNone: Bool { self == .none }

    /// The index; nil where there is a name instead, 0 where there is neither.
    public var index: UInt32? { high == 0 ? UInt32(truncatingIfNeeded: low) : nil }
}

extension Zone: CustomStringConvertible {
    /// The name or the number; empty where there is none. Reads back as the same.
    public var description: String {
        if let index { return index == 0 ? "" : "\(index)" }
        let bytes = [high, low].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
        }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
