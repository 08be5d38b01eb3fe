import Glibc

/// The PROXY header that a backend expects: read here by a reader of the checker's own, so that a mistake of the encoder is not
/// made twice.
enum ProxyForm: String, CaseIterable, Sendable {
    case none, v1, v2

    enum Reading: Equatable {
        /// Not all of it is there yet.
        case incomplete
        case malformed
        /// So many bytes; IPv4 addresses and ports in host order.
        case header(Int, source: UInt32, target: UInt32, sourcePort: UInt16, targetPort: UInt16)
    }

    private static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    func read(_ bytes: ArraySlice<UInt8>) -> Reading {
        switch self {
        case .none: .header(0, source: 0, target: 0, sourcePort: 0, targetPort: 0)
        case .v1: readLine(bytes)
        case .v2: readBinary(bytes)
        }
    }

    private func readLine(_ bytes: ArraySlice<UInt8>) -> Reading {
        guard let end = bytes.firstIndex(of: 10) else { return bytes.count > 107 ? .malformed : .incomplete }
        let words = bytes[bytes.startIndex..<end].dropLast().split(separator: 32, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard bytes[bytes.startIndex..<end].last == 13, words.count == 6, words[0] == "PROXY", words[1] == "TCP4",
            let source = ProxyForm.address(words[2]), let target = ProxyForm.address(words[3]),
            let sourcePort = UInt16(words[4]), let targetPort = UInt16(words[5])
        else { return .malformed }
        return .header(
            end - bytes.startIndex + 1, source: source, target: target, sourcePort: sourcePort, targetPort: targetPort)
    }

    private func readBinary(_ bytes: ArraySlice<UInt8>) -> Reading {
        let bytes = Array(bytes)
        guard bytes.prefix(12) == ProxyForm.signature.prefix(bytes.count) else { return .malformed }
        guard bytes.count >= 28 else { return .incomplete }
        func word(_ at: Int) -> UInt32 { UInt32(bytes[at]) << 8 | UInt32(bytes[at + 1]) }
        let length = 16 + Int(word(14))
        guard bytes[12...13] == [0x21, 0x11], (28...3000).contains(length) else { return .malformed }
        guard bytes.count >= length else { return .incomplete }
        return .header(
            length, source: word(16) << 16 | word(18), target: word(20) << 16 | word(22),
            sourcePort: UInt16(word(24)), targetPort: UInt16(word(26)))
    }

    /// The header of a client that stands for another, whose address and port follow from its number.
    /// - Parameter target: a port of 127.0.0.1.
    func write(_ number: UInt32, target: UInt16) -> [UInt8] {
        let (source, port) = ProxyForm.source(number)
        let address = (0..<4).map { UInt8(truncatingIfNeeded: source >> UInt32(24 - 8 * $0)) }
        switch self {
        case .none: return []
        case .v1:
            let text = address.map(String.init).joined(separator: ".")
            return Array("PROXY TCP4 \(text) 127.0.0.1 \(port) \(target)\r\n".utf8)
        case .v2:
            let fields = ProxyForm.fields(number)
            let length = 12 + fields.count
            return ProxyForm.signature + [0x21, 0x11, UInt8(length >> 8), UInt8(length & 255)] + address + [
                127, 0, 0, 1,
            ]
                + [UInt8(port >> 8), UInt8(port & 255), UInt8(target >> 8), UInt8(target & 255)] + fields
        }
    }

    static func source(_ number: UInt32) -> (address: UInt32, port: UInt16) {
        (0xc633_0000 | number & 0xffff, UInt16(1 + number % 60_000))
    }

    /// What such a header of version 2 says beside the addresses: of one in two nothing, of the other more than a byte can count.
    static func fields(_ number: UInt32) -> [UInt8] {
        if number % 2 == 0 { return [] }
        let count = 300 + Int(number % 500)
        return [0xe5, UInt8(count >> 8), UInt8(count & 255)]
            + [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: count)
    }

    private static func address(_ text: String) -> UInt32? {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1 ? UInt32(bigEndian: address.s_addr) : nil
    }
}
