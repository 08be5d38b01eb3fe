import Addressing

/// The text of a listener with a range of ports, `0.0.0.0:8000-8099`: as many listeners, one after the other.
struct PortRange {
    let texts: [String]

    /// - Throws: what is wrong with the range, for the user.
    /// - Returns: nil where the text has none: it is the text of one address.
    init?(_ text: String) throws(PortRangeError) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let ports = text[text.index(after: colon)...].split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard ports.count == 2, !ports[0].isEmpty, ports.allSatisfy({ $0.utf8.allSatisfy(digits.contains) }) else {
            return nil
        }
        guard let first = UInt16(ports[0]), let last = UInt16(ports[1]), first > 0 else {
            throw PortRangeError(problem: "\"\(text)\": ports of a range are 1 to 65535")
        }
        guard first <= last else {
            throw PortRangeError(problem: "\"\(text)\": the range ends before it begins: write \(last)-\(first)")
        }
        let count = Int(last) - Int(first) + 1
        guard count <= ListenerConfiguration.most else {
            throw PortRangeError(
                problem: "\"\(text)\": \(count) ports, and one limpetd takes \(ListenerConfiguration.most) listeners")
        }
        texts = (first...last).map { "\(text[...colon])\($0)" }
    }
}

/// What is wrong with a range of ports.
struct PortRangeError: Error {
    let problem: String
}
