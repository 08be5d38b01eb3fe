/// What an agent beside a backend says of it: one line of words, as HAProxy's agent-check has them
/// (https://docs.haproxy.org/2.8/configuration.html#5.2-agent-check). Plain value.
public struct AgentReply: Sendable, Equatable {
    public enum Wish: Sendable, Equatable {
        /// Clients are welcome.
        case ready
        /// No new ones.
        case drain
        /// No new ones, as in maintenance; those that are there stay.
        case maintenance
    }

    /// nil: it says nothing about that.
    public var isUp: Bool?
    public var wish: Wish?
    /// Share of the weight in percent, 0 to 25600; 0 is a wish for no new clients.
    public var percent: Int?
    /// 0: no limit.
    public var maxConnections: Int?
    /// What stood behind a `#`, escaped; empty: nothing.
    public var note: String = ""

    /// Words have spaces, tabs or commas between them; what follows a `#` is for people.
    /// - Parameter line: without its end.
    /// - Returns: nil: a word among them is none, or there is none.
    public init?(_ line: [UInt8]) {
        let parts = line.split(separator: UInt8(ascii: "#"), maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, !parts[1].isEmpty { note = "\(Excerpt(parts[1]))" }
        let separators: Set<UInt8> = [0x20, 0x09, 0x2c]
        let words = (parts.first ?? []).split { separators.contains($0) }.map {
            String(decoding: $0, as: UTF8.self).lowercased()
        }
        guard !words.isEmpty else { return nil }
        for word in words {
            switch word {
            case "up": isUp = true
            case "down", "fail", "failed", "stopped": isUp = false
            case "ready": wish = .ready
            case "drain": wish = .drain
            case "maint": wish = .maintenance
            case _ where word.hasSuffix("%"):
                guard let number = AgentReply.number(word.dropLast(), upTo: 25_600) else { return nil }
                percent = number
            case _ where word.hasPrefix("maxconn:"):
                guard let number = AgentReply.number(word.dropFirst(8), upTo: 10_000_000) else { return nil }
                maxConnections = number
            default: return nil
            }
        }
    }

    private static func number(_ digits: Substring, upTo most: Int) -> Int? {
        guard !digits.isEmpty, digits.utf8.count <= 8, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(digits), number <= most
        else { return nil }
        return number
    }
}

/// What an agent has asked for so far, and what holds until it asks for something else. Plain value; one word in the
/// shared region.
public struct AgentStanding: Sendable, Equatable {
    public var wish = AgentReply.Wish.ready
    public var percent = 100
    /// 0: no limit.
    public var maxConnections = 0

    public init() {}

    /// Takes in what a reply says; what it says nothing about stays.
    public mutating func take(_ reply: AgentReply) {
        wish = reply.wish ?? wish
        percent = reply.percent ?? percent
        maxConnections = reply.maxConnections ?? maxConnections
    }

    /// What the agent makes of a weight: 1 to 256.
    public func weight(_ weight: Int) -> Int { min(256, max(1, (weight * percent + 50) / 100)) }

    /// In one word: 0 is what holds where nothing was asked for.
    public var word: UInt64 {
        guard self != AgentStanding() else { return 0 }
        let wish: UInt64 =
            switch wish {
            case .ready: 1
            case .drain: 2
            case .maintenance: 3
            }
        return wish | UInt64(percent) << 8 | UInt64(maxConnections) << 32
    }

    public init(word: UInt64) {
        guard word != 0 else { return }
        wish = word & 0xff == 2 ? .drain : word & 0xff == 3 ? .maintenance : .ready
        percent = Int(word >> 8 & 0xff_ffff)
        maxConnections = Int(word >> 32)
    }
}

/// A line that is an agent's.
struct AgentJudge: Judge {
    let opening: [UInt8]
    let limit: Int? = 1024
    let isPolite = false
    private var line: [UInt8] = []

    init(send: String?) {
        opening = Array((send ?? "").utf8)
    }

    mutating func hear(_ bytes: some Sequence<UInt8>) -> CheckResult? {
        for byte in bytes {
            if byte == 0x0a || byte == 0x0d { return hearEnd() }
            line.append(byte)
        }
        return nil
    }

    mutating func hearEnd() -> CheckResult {
        if line.isEmpty { return .failed("closed the connection without a word") }
        guard let reply = AgentReply(line) else { return .failed("is no agent: it sent \(Excerpt(line))") }
        var result = CheckResult(reply.isUp == false ? .failed : .passed, "agent says \(Excerpt(line))")
        result.agent = reply
        return result
    }

    func hearTooMuch() -> CheckResult { .failed("is no agent: it sent \(Excerpt(line))") }
}
