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
        guard bytes[12...15] == [0x21, 0x11, 0, 12] else { return .malformed }
        func word(_ at: Int) -> UInt32 { UInt32(bytes[at]) << 8 | UInt32(bytes[at + 1]) }
        return .header(
            28, source: word(16) << 16 | word(18), target: word(20) << 16 | word(22),
            sourcePort: UInt16(word(24)), targetPort: UInt16(word(26)))
    }

    private static func address(_ text: String) -> UInt32? {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1 ? UInt32(bigEndian: address.s_addr) : nil
    }
}
