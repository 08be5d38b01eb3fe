/// What a peer sent, as it may be shown: its beginning, in quotes, with everything escaped that is no visible ASCII.
/// A peer chooses its bytes; a log, a table or a terminal must not obey them.
public struct Excerpt: Sendable, Equatable, CustomStringConvertible {
    /// Bytes that are shown at most.
    public static let longest = 40
    private var bytes: [UInt8] = []
    private var isCut = false

    public init() {}

    public init(_ bytes: some Sequence<UInt8>) {
        add(bytes)
    }

    public var isEmpty: Bool { bytes.isEmpty }

    /// More has come; only the beginning is kept.
    public mutating func add(_ more: some Sequence<UInt8>) {
        for byte in more {
            guard bytes.count < Excerpt.longest else {
                isCut = true
                return
            }
            bytes.append(byte)
        }
    }

    public var description: String {
        var text = "\""
        for byte in bytes {
            switch byte {
            case 0x0d: text += "\\r"
            case 0x0a: text += "\\n"
            case 0x09: text += "\\t"
            case 0x22, 0x5c: text += "\\\(Character(UnicodeScalar(byte)))"
            case 0x20...0x7e: text.unicodeScalars.append(UnicodeScalar(byte))
            default:
                let digits = String(byte, radix: 16)
                text += "\\x" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return text + "\"" + (isCut ? "..." : "")
    }
}
