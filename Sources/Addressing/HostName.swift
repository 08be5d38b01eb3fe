/// The name of a host, as it is asked of the domain name system (RFC 1035, RFC 1123; underscores are common and allowed).
public struct HostName: Hashable, Sendable {
    /// In small letters, without a dot at the end.
    public let text: String
    /// Whether it was written with a dot at the end: then it is whole, and no search list is tried.
    public let isAbsolute: Bool

    /// nil: it cannot be one. Labels of 1 to 63 letters, digits, hyphens and underscores, 253 bytes in all; the last label
    /// has something besides digits, for `10.0.0.256` is a mistyped address.
    public init?(_ text: some StringProtocol) {
        isAbsolute = text.hasSuffix(".")
        let bare = isAbsolute ? String(text.dropLast()) : String(text)
        guard (1...253).contains(bare.utf8.count) else { return nil }
        let labels = bare.utf8.split(separator: 0x2e, omittingEmptySubsequences: false)
        for label in labels {
            guard (1...63).contains(label.count), label.first != 0x2d, label.last != 0x2d,
                label.allSatisfy({ HostName.isAllowed($0) })
            else { return nil }
        }
        guard let last = labels.last, !last.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        self.text = bare.lowercased()
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte | 0x20) || byte == 0x2d || byte == 0x5f
    }
}

extension HostName: CustomStringConvertible {
    /// With the dot at the end where it had one; reads back as the same name.
    public var description: String { text + (isAbsolute ? "." : "") }
}
