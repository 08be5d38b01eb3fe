import Configuration

/// A response of HTTP/1.x with a wanted status and, if asked for, a text in its body.
///
/// Reads no more of HTTP than that takes: the status line, of the header what says where the body ends, and the body
/// itself, whole or chunked (RFC 9112). No line is kept longer than ``longestLine``.
struct HTTPJudge: Judge {
    let opening: [UInt8]
    let limit: Int? = 64 * 1024
    let isPolite = true

    private let check: HTTPCheck
    private var text: TextSearch?
    private var part = Part.status
    private var line: [UInt8] = []
    private var heard = Excerpt()
    private var status = 0
    private var length: Int?
    private var isLengthBroken = false
    private var isChunked = false

    private static let longestLine = 256

    private enum Part {
        case status
        case header(isInterim: Bool)
        /// So many bytes are left; nil: until the end.
        case body(Int?)
        case chunkSize
        case chunk(Int)
        case chunkEnd
        case done
    }

    /// - Parameter target: what is asked, `192.0.2.1:80`: the Host field where the check has none.
    init(_ check: HTTPCheck, target: String) {
        self.check = check
        text = check.body.map(TextSearch.init)
        let lines = [
            "\(check.method) \(check.path) HTTP/1.1", "Host: \(check.host ?? target)", "User-Agent: limpetd",
            "Accept: */*", "Connection: close", "", "",
        ]
        opening = Array(lines.joined(separator: "\r\n").utf8)
    }

    mutating func hear(_ bytes: some Sequence<UInt8>) -> CheckResult? {
        heard.add(bytes)
        for byte in bytes {
            if let result = hear(byte) { return result }
        }
        return nil
    }

    private mutating func hear(_ byte: UInt8) -> CheckResult? {
        switch part {
        case .status, .header, .chunkSize, .chunkEnd:
            guard byte == 0x0a else {
                if line.count < HTTPJudge.longestLine { line.append(byte) }
                // Noise without a line's end is told at once.
                let isForeign = !zip(line, "HTTP/1.".utf8).allSatisfy { $0 == $1 }
                if case .status = part, isForeign { return foreign }
                return nil
            }
            if line.last == 0x0d { line.removeLast() }
            let whole = line
            line.removeAll(keepingCapacity: true)
            return take(whole)
        case .body(let left):
            text?.feed(CollectionOfOne(byte))
            if text?.isFound ?? true { return passed }
            guard let left else { return nil }
            part = .body(left - 1)
            return left <= 1 ? lacking : nil
        case .chunk(let left):
            text?.feed(CollectionOfOne(byte))
            if text?.isFound ?? true { return passed }
            part = left <= 1 ? .chunkEnd : .chunk(left - 1)
            return nil
        case .done: return nil
        }
    }

    private mutating func take(_ line: [UInt8]) -> CheckResult? {
        switch part {
        case .status: return takeStatus(line)
        case .header(let isInterim):
            if !line.isEmpty {
                takeField(line)
                return nil
            }
            if isInterim {
                part = .status
                return nil
            }
            if isChunked {
                part = .chunkSize
                return nil
            }
            if isLengthBroken { return broken }
            part = .body(length)
            return length == 0 ? lacking : nil
        case .chunkSize:
            let digits = String(decoding: line.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 }, as: UTF8.self)
            guard let size = Int(digits, radix: 16), size >= 0 else { return broken }
            part = size == 0 ? .done : .chunk(size)
            return size == 0 ? lacking : nil
        case .chunkEnd:
            part = .chunkSize
            return nil
        case .body, .chunk, .done: return nil
        }
    }

    private mutating func takeStatus(_ line: [UInt8]) -> CheckResult? {
        // HTTP/1.1 200 OK
        let digits = line.dropFirst(9).prefix(3)
        guard line.count >= 12, line.starts(with: "HTTP/1.".utf8), line[8] == 0x20,
            line.count == 12 || line[12] == 0x20,
            let status = Int(String(decoding: digits, as: UTF8.self)), (100...599).contains(status)
        else { return foreign }
        self.status = status
        length = nil
        isLengthBroken = false
        isChunked = false
        if (100...199).contains(status), status != 101 {
            part = .header(isInterim: true)
            return nil
        }
        guard check.status.contains(status) else {
            return .failed("HTTP \(status), wanted \(Excerpt(check.status.description.utf8).unquoted)")
        }
        guard text != nil else { return passed }
        part = .header(isInterim: false)
        return nil
    }

    private mutating func takeField(_ line: [UInt8]) {
        let field = String(decoding: line, as: UTF8.self).lowercased()
        guard let colon = field.firstIndex(of: ":") else { return }
        let value = field[field.index(after: colon)...].filter { $0 != " " && $0 != "\t" }
        switch field[..<colon] {
        case "content-length":
            // Digits alone (RFC 9112, 6.2): Int() takes signs too.
            length = value.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(value) : nil
            isLengthBroken = length == nil
        case "transfer-encoding": isChunked = value.hasSuffix("chunked")
        default: break
        }
    }

    private var passed: CheckResult { .passed("HTTP \(status)") }
    private var broken: CheckResult { .failed("HTTP \(status), but a broken body") }
    private var foreign: CheckResult { .failed("no HTTP answer: it sent \(heard)") }
    private var lacking: CheckResult {
        .failed("HTTP \(status), but its body lacks \(Excerpt((check.body ?? "").utf8))")
    }

    mutating func hearEnd() -> CheckResult {
        if heard.isEmpty { return .failed("closed the connection without an answer") }
        if case .status = part { return foreign }
        return lacking
    }

    func hearTooMuch() -> CheckResult {
        status == 0
            ? .failed("no HTTP status in its first 64 KiB")
            : .failed("HTTP \(status), but its first 64 KiB lack \(Excerpt((check.body ?? "").utf8))")
    }
}

extension Excerpt {
    /// Without the quotes around it.
    fileprivate var unquoted: String { String(description.dropFirst().prefix { $0 != "\"" }) }
}
