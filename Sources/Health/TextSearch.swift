/// Looks for a text in bytes that come bit by bit, in time proportional to them (Knuth, Morris and Pratt, SIAM J. Comput.
/// 6(2), 1977); nothing of them is kept.
struct TextSearch: Sendable {
    private let wanted: [UInt8]
    /// By number of bytes that agree: how many still do once the next one does not.
    private let fallback: [Int]
    private var matched = 0

    init(_ text: String) {
        wanted = Array(text.utf8)
        var fallback = [Int](repeating: 0, count: wanted.count + 1)
        var length = 0
        for index in wanted.indices.dropFirst() {
            while length > 0, wanted[index] != wanted[length] { length = fallback[length] }
            if wanted[index] == wanted[length] { length += 1 }
            fallback[index + 1] = length
        }
        self.fallback = fallback
    }

    var isFound: Bool { matched == wanted.count }

    mutating func feed(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if isFound { return }
            while matched > 0, wanted[matched] != byte { matched = fallback[matched] }
            if wanted[matched] == byte { matched += 1 }
        }
    }
}
