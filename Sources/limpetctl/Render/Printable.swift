/// Text from outside, made fit for a terminal: control characters are written as `\\u001b`, which JSON takes too. What
/// answers on a control socket need not be limpetd, and whoever asks may be root.
enum Printable {
    /// One line: line ends and tabs are escaped as well.
    /// - Parameter withColours: leaves ``Style``'s own sequences as they are.
    static func line(_ text: String, withColours: Bool = false) -> String {
        String(decoding: bytes(Array(text.utf8), sparing: [], withColours: withColours), as: UTF8.self)
    }

    /// Any number of lines.
    static func lines(_ bytes: [UInt8], withColours: Bool = false) -> [UInt8] {
        self.bytes(bytes, sparing: ["\n", "\t"], withColours: withColours)
    }

    private static func bytes(_ bytes: [UInt8], sparing: [Unicode.Scalar], withColours: Bool) -> [UInt8] {
        guard bytes.contains(where: { $0 < 0x20 || $0 >= 0x7F }) else { return bytes }
        let scalars = String(decoding: bytes, as: UTF8.self).unicodeScalars
        var result = String.UnicodeScalarView()
        var rest = scalars[...]
        while let scalar = rest.first {
            if withColours, let colour = Style.sequences.first(where: { rest.starts(with: $0.unicodeScalars) }) {
                result.append(contentsOf: colour.unicodeScalars)
                rest = rest.dropFirst(colour.unicodeScalars.count)
                continue
            }
            rest.removeFirst()
            if scalar.properties.generalCategory == .control, !sparing.contains(scalar) {
                let digits = String(scalar.value, radix: 16)
                let escape = "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                result.append(contentsOf: escape.unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return Array(String(result).utf8)
    }
}
