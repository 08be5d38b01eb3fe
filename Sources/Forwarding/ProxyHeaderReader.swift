public import Addressing

/// What is wrong with what came in the place of a PROXY header.
public enum ProxyFlaw: UInt8, CaseIterable, Sendable {
    /// It does not begin as one.
    case signature
    /// No end within ``ProxyHeader/longest`` bytes, or more than ``ProxyHeader/longestReceived`` announced.
    case tooLong
    /// The words of a line of version 1.
    case line
    /// A version that does not exist.
    case version
    /// A command that does not exist.
    case command
    /// A family of addresses or a transport that does not exist.
    case family
    /// Shorter than the addresses that it announces.
    case tooShort
    /// Its type-length-value fields do not fill it.
    case fields
    /// Its CRC32C is another.
    case checksum
    /// The client ended before it was whole.
    case cutShort
    /// It was not whole in time.
    case late
    /// A byte of it is marked as urgent, and nothing behind that can be looked at.
    case urgent

    /// For the log: what was there instead of a header.
    public var text: String {
        switch self {
        case .signature: "what came is none"
        case .tooLong: "it is too long"
        case .line: "its line is malformed"
        case .version: "its version is unknown"
        case .command: "its command is unknown"
        case .family: "its family or transport is unknown"
        case .tooShort: "it is too short for its addresses"
        case .fields: "its fields are malformed"
        case .checksum: "its checksum is wrong"
        case .cutShort: "it was cut short"
        case .late: "it was not there in time"
        case .urgent: "it has urgent data in it"
        }
    }
}

/// Reading, after the same document: pure, without allocation, whatever the bytes are. Any thread may call it.
extension ProxyHeader {
    /// Bytes of the longest header that is taken, of version 2: a bound of ours. The longest of version 1 is the
    /// protocol's, ``longest``.
    public static let longestReceived = 2048

    public enum Reading: Equatable, Sendable {
        /// So far it may be one. Nothing can be said before so many bytes are there, counted from its first.
        case incomplete(needed: Int)
        case whole(Received)
        case malformed(ProxyFlaw)
    }

    public struct Received: Equatable, Sendable {
        public let version: Version
        /// Bytes of all of it.
        public let length: Int
        /// Who the client is and where it had connected to; nil: nothing is said of that (LOCAL, UNKNOWN, datagrams, Unix
        /// sockets), and the ends of the connection itself count.
        public let ends: Pair?
        /// Where its type-length-value fields lie, which follow the addresses. Empty where there are none, or `ends` is nil.
        public let fields: Range<Int>

        public struct Pair: Equatable, Sendable {
            public let client: Endpoint
            public let local: Endpoint

            public init(client: Endpoint, local: Endpoint) {
                self.client = client
                self.local = local
            }
        }
    }

    /// Whether bytes are, or may become, the beginning of a header.
    public enum Likeness: Equatable, Sendable {
        case none
        /// As far as it goes.
        case possible
        case certain
    }

    /// Bytes after which ``likeness(_:)`` is never `possible`.
    public static let signatureLength = 12

    static let textSignature: StaticString = "PROXY "
    static let binarySignature: StaticString = "\r\n\r\n\0\r\nQUIT\n"

    /// Looks at the first bytes of somebody who should not send a header.
    public static func likeness(_ bytes: UnsafeRawBufferPointer) -> Likeness {
        if begins(bytes, textSignature) { return bytes.count < textSignature.utf8CodeUnitCount ? .possible : .certain }
        if begins(bytes, binarySignature) { return bytes.count < signatureLength ? .possible : .certain }
        return .none
    }

    /// Reads the header that bytes begin with. The same header comes out however many bytes follow it.
    public static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
        if bytes.isEmpty { return .incomplete(needed: 1) }
        if begins(bytes, binarySignature) { return readBinary(bytes) }
        if begins(bytes, textSignature) { return readText(bytes) }
        return .malformed(.signature)
    }

    /// Whether they agree as far as both go.
    private static func begins(_ bytes: UnsafeRawBufferPointer, _ signature: StaticString) -> Bool {
        for index in 0..<min(bytes.count, signature.utf8CodeUnitCount)
        where bytes[index] != signature.utf8Start[index] { return false }
        return true
    }

    // MARK: Version 1

    private static func readText(_ bytes: UnsafeRawBufferPointer) -> Reading {
        var end = 1
        while true {
            // The line ends with the first pair of these, and the last byte of it is the 107th at most.
            if end >= longest { return .malformed(.tooLong) }
            if end >= bytes.count { return .incomplete(needed: bytes.count + 1) }
            if bytes[end] == 10, bytes[end - 1] == 13 { break }
            end += 1
        }
        var line = ProxyLine(bytes: bytes, position: textSignature.utf8CodeUnitCount, end: end - 1)
        guard let ends = line.read() else { return .malformed(.line) }
        return .whole(Received(version: .v1, length: end + 1, ends: ends.pair, fields: 0..<0))
    }

    // MARK: Version 2

    private static let fixedBytes = 16

    private static func readBinary(_ bytes: UnsafeRawBufferPointer) -> Reading {
        guard bytes.count >= fixedBytes else { return .incomplete(needed: fixedBytes) }
        guard bytes[12] >> 4 == 2 else { return .malformed(.version) }
        guard bytes[12] & 15 <= 1 else { return .malformed(.command) }
        let isLocal = bytes[12] & 15 == 0
        let (family, transport) = (bytes[13] >> 4, bytes[13] & 15)
        let length = fixedBytes + Int(word(bytes, 14))
        guard length <= longestReceived else { return .malformed(.tooLong) }
        // Of LOCAL the family is to be ignored.
        guard isLocal || family <= 3 && transport <= 2 else { return .malformed(.family) }
        guard bytes.count >= length else { return .incomplete(needed: length) }
        let addresses =
            switch family {
            case 1: 12
            case 2: 36
            case 3: 216
            default: 0
            }
        let start = fixedBytes + addresses
        if isLocal || family == 0 {
            // All of it is to be thrown away; but for a checksum, where it can be made out that there is one.
            let isWrong = start <= length && checkFields(bytes, start..<length) == .checksum
            return isWrong
                ? .malformed(.checksum) : .whole(Received(version: .v2, length: length, ends: nil, fields: 0..<0))
        }
        guard start <= length else { return .malformed(.tooShort) }
        if let flaw = checkFields(bytes, start..<length) { return .malformed(flaw) }
        let ends = transport == 1 ? readEnds(bytes, family) : nil
        return .whole(
            Received(version: .v2, length: length, ends: ends, fields: ends == nil ? 0..<0 : start..<length))
    }

    private static func readEnds(_ bytes: UnsafeRawBufferPointer, _ family: UInt8) -> Received.Pair? {
        switch family {
        case 1:
            Received.Pair(
                client: Endpoint(address: IPAddress(v4: half(bytes, 16)), port: word(bytes, 24)),
                local: Endpoint(address: IPAddress(v4: half(bytes, 20)), port: word(bytes, 26)))
        case 2:
            Received.Pair(
                client: Endpoint(address: address(bytes, 16).unmapped, port: word(bytes, 48)),
                local: Endpoint(address: address(bytes, 32).unmapped, port: word(bytes, 50)))
        default: nil
        }
    }

    private static func address(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> IPAddress {
        IPAddress(
            v6High: UInt64(half(bytes, at)) << 32 | UInt64(half(bytes, at + 4)),
            low: UInt64(half(bytes, at + 8)) << 32 | UInt64(half(bytes, at + 12)))
    }

    private static func half(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32 {
        UInt32(word(bytes, at)) << 16 | UInt32(word(bytes, at + 2))
    }

    static func word(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt16 {
        UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
    }

    // MARK: Type, length, value

    /// PP2_TYPE_CRC32C: of the whole header, computed with zeros in the place of this value.
    static let checksumField: UInt8 = 0x03
    /// PP2_TYPE_UNIQUE_ID.
    static let uniqueIDField: UInt8 = 0x05

    /// Whether the fields fill their place exactly, and the checksum is right if there is one.
    private static func checkFields(_ bytes: UnsafeRawBufferPointer, _ place: Range<Int>) -> ProxyFlaw? {
        var checksum: Int?
        var position = place.lowerBound
        while position < place.upperBound {
            guard position + 3 <= place.upperBound else { return .fields }
            let length = Int(word(bytes, position + 1))
            guard position + 3 + length <= place.upperBound else { return .fields }
            if bytes[position] == checksumField {
                guard length == 4, checksum == nil else { return .fields }
                checksum = position + 3
            }
            position += 3 + length
        }
        guard let checksum else { return nil }
        let header = UnsafeRawBufferPointer(rebasing: bytes[..<place.upperBound])
        return CRC32C.of(header, zeroing: checksum..<(checksum + 4)) == half(bytes, checksum) ? nil : .checksum
    }
}

/// CRC32C (Castagnoli; RFC 3720, appendix B.4), bit by bit: it is asked for once in the life of a connection, if at all.
enum CRC32C {
    /// - Parameter zeroing: bytes that count as 0.
    static func of(_ bytes: UnsafeRawBufferPointer, zeroing: Range<Int>) -> UInt32 {
        var remainder = UInt32.max
        for index in 0..<bytes.count {
            remainder ^= zeroing.contains(index) ? 0 : UInt32(bytes[index])
            for _ in 0..<8 { remainder = remainder >> 1 ^ (remainder & 1 == 0 ? 0 : 0x82f6_3b78) }
        }
        return ~remainder
    }
}

/// The words of a line of version 1, from behind `PROXY ` to before CR LF.
private struct ProxyLine {
    let bytes: UnsafeRawBufferPointer
    var position: Int
    let end: Int

    enum Ends {
        case unknown
        case known(ProxyHeader.Received.Pair)

        var pair: ProxyHeader.Received.Pair? {
            if case .known(let pair) = self { pair } else { nil }
        }
    }

    /// nil: malformed.
    mutating func read() -> Ends? {
        // What follows this is to be ignored.
        if take("UNKNOWN") { return position == end || bytes[position] == space ? .unknown : nil }
        let isV4: Bool
        if take("TCP4 ") { isV4 = true } else if take("TCP6 ") { isV4 = false } else { return nil }
        guard let source = address(isV4), take(" "), let target = address(isV4), take(" "),
            let sourcePort = decimal(limit: 65535), take(" "), let targetPort = decimal(limit: 65535), position == end
        else { return nil }
        return .known(
            ProxyHeader.Received.Pair(
                client: Endpoint(address: source, port: UInt16(sourcePort)),
                local: Endpoint(address: target, port: UInt16(targetPort))))
    }

    private let space = UInt8(ascii: " ")

    init(bytes: UnsafeRawBufferPointer, position: Int, end: Int) {
        self.bytes = bytes
        self.position = position
        self.end = end
    }

    private mutating func take(_ text: StaticString) -> Bool {
        guard end - position >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[position + index] != text.utf8Start[index] { return false }
        position += text.utf8CodeUnitCount
        return true
    }

    /// 0 to `limit`, without leading zeros.
    private mutating func decimal(limit: UInt32) -> UInt32? {
        let start = position
        var value: UInt32 = 0
        while position < end, case let digit = bytes[position] &- UInt8(ascii: "0"), digit <= 9 {
            if position > start && value == 0 { return nil }
            value = value * 10 + UInt32(digit)
            if value > limit { return nil }
            position += 1
        }
        return position > start ? value : nil
    }

    private mutating func address(_ isV4: Bool) -> IPAddress? {
        isV4 ? fourBytes().map { IPAddress(v4: $0) } : eightGroups()?.unmapped
    }

    private mutating func fourBytes() -> UInt32? {
        var value: UInt32 = 0
        for index in 0..<4 {
            if index > 0 && !take(".") { return nil }
            guard let byte = decimal(limit: 255) else { return nil }
            value = value << 8 | byte
        }
        return value
    }

    /// An IPv6 address: 128 bits in all, one `::` at most. The last two groups may be written as IPv4, as inet_ntop(3) does.
    private mutating func eightGroups() -> IPAddress? {
        var value: UInt128 = 0
        var count = 0
        var gap: Int?
        if take("::") { gap = 0 } else if position < end, bytes[position] == UInt8(ascii: ":") { return nil }
        // Whether a colon, or nothing yet, asks for another group.
        var isOpen = gap == nil
        while count < 8, position < end, bytes[position] != space {
            let start = position
            guard let group = hexadecimal() else { return nil }
            isOpen = false
            if position < end, bytes[position] == UInt8(ascii: ".") {
                position = start
                guard count <= 6, let low = fourBytes() else { return nil }
                value = value << 32 | UInt128(low)
                count += 2
                break
            }
            value = value << 16 | UInt128(group)
            count += 1
            if take("::") {
                guard gap == nil else { return nil }
                gap = count
            } else if take(":") {
                isOpen = true
            } else {
                break
            }
        }
        if isOpen { return nil }
        guard let gap else {
            return count == 8 ? IPAddress(value) : nil
        }
        guard count < 8 else { return nil }
        let behind = UInt128(16 * (count - gap))
        let tail = value & ((1 << behind) - 1)
        let head = (value >> behind) << UInt128(16 * (8 - gap))
        return IPAddress(head | tail)
    }

    private mutating func hexadecimal() -> UInt16? {
        let start = position
        var value: UInt16 = 0
        while position < end, position - start < 4 {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return position > start ? value : nil
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return position > start ? value : nil
    }
}

extension IPAddress {
    fileprivate init(_ value: UInt128) {
        self.init(v6High: UInt64(truncatingIfNeeded: value >> 64), low: UInt64(truncatingIfNeeded: value))
    }
}
