/// Looks for what the TOML library does not survive: the header of a table that does not begin with a name, such as `[[[service]]`
/// or a `[` that is the last of its line. There it asserts what it should report, and a slip of the pen would end the process.
///
/// Goes through the text as TOML is made (https://toml.io/en/v1.0.0): a header stands at the beginning of a line that is no part of
/// a value. What else is wrong the library says, and it says it first where that comes first: this stops at the first header,
/// behind which nothing is looked at that a fault before it could have made unclear.
struct TOMLHeaders {
    private let bytes: [UInt8]
    private var position = 0

    /// The first header without a name; nil: there is none.
    static func firstNameless(in text: String) -> (line: Int, column: Int)? {
        var headers = TOMLHeaders(bytes: Array(text.utf8))
        guard let place = headers.search() else { return nil }
        let before = headers.bytes[..<place]
        let start = before.lastIndex(of: newline).map { $0 + 1 } ?? 0
        // Columns are characters, not bytes.
        return (before.count { $0 == newline } + 1, before[start...].count { $0 & 0xc0 != 0x80 } + 1)
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func search() -> Int? {
        while next != nil {
            skipBlanks()
            if next == UInt8(ascii: "[") {
                if let place = nameless() { return place }
                skipLine()
            } else {
                skipPair()
            }
        }
        return nil
    }

    private mutating func skipBlanks() {
        while next == 0x20 || next == 0x09 { position += 1 }
    }

    private mutating func skipLine() {
        while let byte = next {
            position += 1
            if byte == newline { return }
        }
    }

    /// At the `[` of a header: where a name should begin and none does. Nil also for what the library itself reports.
    private mutating func nameless() -> Int? {
        position += 1
        skipBlanks()
        if next == UInt8(ascii: "[") {
            position += 1
            skipBlanks()
        }
        guard let byte = next else { return nil }
        switch byte {
        case UInt8(ascii: "]"), UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            return nil
        default: return position
        }
    }

    /// A key and its value, which may go over several lines, or an empty line.
    private mutating func skipPair() {
        var depth = 0
        while let byte = next {
            position += 1
            switch byte {
            case newline: if depth <= 0 { return }
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "\""), UInt8(ascii: "'"): skipString(byte)
            case UInt8(ascii: "#"):
                // Its newline may be the pair's.
                while let byte = next, byte != newline { position += 1 }
            default: break
            }
        }
    }

    /// Behind the first quote of a string.
    private mutating func skipString(_ quote: UInt8) {
        let isLong = bytes[position...].starts(with: [quote, quote])
        if isLong { position += 2 }
        let end = [UInt8](repeating: quote, count: isLong ? 3 : 1)
        while let byte = next {
            if bytes[position...].starts(with: end) {
                position += end.count
                // Up to two more belong to the text.
                if isLong { for _ in 0..<2 where next == quote { position += 1 } }
                return
            }
            if byte == newline, !isLong { return }
            position += byte == UInt8(ascii: "\\") && quote == UInt8(ascii: "\"") ? 2 : 1
        }
    }
}

private let newline = UInt8(ascii: "\n")
