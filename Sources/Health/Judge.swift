import Configuration

/// Judges what a server says, as it comes. Keeps next to nothing of it. Plain value, without sockets and clock.
protocol Judge: Sendable {
    /// What is said to the server first.
    var opening: [UInt8] { get }
    /// Bytes that are listened to at most; nil: none, the connection alone is the answer.
    var limit: Int? { get }
    /// - Returns: nil: undecided yet.
    mutating func hear(_ bytes: some Sequence<UInt8>) -> CheckResult?
    /// The server has said all.
    mutating func hearEnd() -> CheckResult
    /// The server has said ``limit`` bytes, and nothing is decided.
    func hearTooMuch() -> CheckResult
    /// Whether the server may finish what it says although all is decided.
    var isPolite: Bool { get }
}

/// A connection is all that is wanted.
struct ConnectionJudge: Judge {
    let opening: [UInt8] = []
    let limit: Int? = nil
    let isPolite = false

    mutating func hear(_ bytes: some Sequence<UInt8>) -> CheckResult? { nil }
    mutating func hearEnd() -> CheckResult { .passed("connected") }
    func hearTooMuch() -> CheckResult { .passed("connected") }
}

/// Bytes that contain what is expected.
struct ExpectJudge: Judge {
    let opening: [UInt8]
    let limit: Int? = 16 * 1024
    let isPolite = false
    private let wanted: String
    private var text: TextSearch?
    private var pattern: Pattern.Search?
    private var heard = Excerpt()

    init(_ check: ExpectCheck) {
        opening = Array((check.send ?? "").utf8)
        switch check.wanted {
        case .text(let text)?:
            self.text = TextSearch(text)
            wanted = "\(Excerpt(text.utf8))"
        case .pattern(let pattern)?:
            self.pattern = pattern.search()
            wanted = "a match of \(Excerpt(pattern.description.utf8))"
        case nil: wanted = "anything"
        }
    }

    private var isFound: Bool { text?.isFound ?? pattern?.isFound ?? true }

    mutating func hear(_ bytes: some Sequence<UInt8>) -> CheckResult? {
        heard.add(bytes)
        text?.feed(bytes)
        pattern?.feed(bytes)
        return isFound ? .passed("sent what was expected") : nil
    }

    mutating func hearEnd() -> CheckResult {
        pattern?.end()
        if isFound { return .passed("sent what was expected") }
        return .failed(heard.isEmpty ? "closed the connection without a word" : "sent \(heard), wanted \(wanted)")
    }

    func hearTooMuch() -> CheckResult { .failed("sent \(heard), and not \(wanted) in its first 16 KiB") }
}

/// TLS is spoken, whatever the server thinks of our offer.
struct TLSJudge: Judge {
    let opening = TLSJudge.clientHello
    let limit: Int? = 1024
    let isPolite = false
    private var head: [UInt8] = []

    mutating func hear(_ bytes: some Sequence<UInt8>) -> CheckResult? {
        head += bytes.prefix(64 - head.count)
        // A record: type, version, length; then a ServerHello, or an alert (RFC 8446, sections 5.1, 4 and 6).
        guard let type = head.first else { return nil }
        guard type == 0x16 || type == 0x15, head.count < 2 || head[1] == 3 else { return foreign }
        guard head.count >= 6 else { return nil }
        if type == 0x15 { return .passed("answered with a TLS alert") }
        return head[5] == 2 ? .passed("answered with a TLS ServerHello") : foreign
    }

    private var foreign: CheckResult { .failed("does not speak TLS: it sent \(Excerpt(head))") }

    mutating func hearEnd() -> CheckResult {
        head.isEmpty ? .failed("closed the connection without a word") : foreign
    }

    func hearTooMuch() -> CheckResult { foreign }

    /// A constant offer of TLS 1.3 and 1.2 with what servers commonly take. Its key share is empty, so a server of TLS 1.3
    /// answers with a HelloRetryRequest, which is a ServerHello.
    static let clientHello: [UInt8] = {
        func sized(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
            (0..<width).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
        }
        let suites: [UInt8] = [
            0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8,
            0xc0, 0x13, 0xc0, 0x14, 0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35,
        ]
        let extensions: [[UInt8]] = [
            [0x00, 0x0a] + sized(sized([0x00, 0x1d, 0x00, 0x17, 0x00, 0x18], 2), 2),
            [0x00, 0x0b] + sized(sized([0x00], 1), 2),
            [0x00, 0x0d]
                + sized(
                    sized([0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03, 0x08, 0x05, 0x05, 0x01, 0x02, 0x01], 2), 2),
            [0x00, 0x2b] + sized(sized([0x03, 0x04, 0x03, 0x03], 1), 2),
            [0x00, 0x33] + sized(sized([], 2), 2),
        ]
        var body: [UInt8] = [0x03, 0x03]
        // The random: nothing is kept secret here.
        body += (0..<32).map { UInt8($0 * 7 + 1) }
        body += [0x00] + sized(suites, 2) + [0x01, 0x00] + sized(extensions.flatMap { $0 }, 2)
        return [0x16, 0x03, 0x01] + sized([0x01] + sized(body, 3), 2)
    }()
}
