public import Addressing

/// How it is found out whether a backend is well: one of a service, and where a backend says so, one of its own. Pure data;
/// any thread may hold a copy.
public struct HealthCheck: Sendable, Equatable {
    /// What is done at each check.
    public enum Kind: Sendable, Equatable {
        /// Nothing: the backend counts as up.
        case off
        /// A connection is opened.
        case tcp
        /// A request is answered with a wanted status and, if asked for, with a text in the body.
        case http(HTTPCheck)
        /// Bytes are sent, and others come back.
        case expect(ExpectCheck)
        /// A ClientHello is answered in TLS.
        case tlsHello
        /// An agent beside the backend is asked, and obeyed; `send` goes first, where there is something to send.
        case agent(send: String?)

        /// As it is configured.
        public var word: String {
            switch self {
            case .off: "off"
            case .tcp: "tcp"
            case .http: "http"
            case .expect: "expect"
            case .tlsHello: "tls-hello"
            case .agent: "agent"
            }
        }

        /// Every word, in the order of the manual.
        static let words = ["tcp", "http", "expect", "tls-hello", "agent", "off"]
    }

    public var kind: Kind = .tcp
    /// Where it is checked, if that is another address than the backend's.
    public var address: IPAddress?
    /// nil: the backend's.
    public var port: UInt16?
    /// Between the starts of two checks, 100 ms to 1 h.
    public var interval: Duration = .seconds(2)
    /// The same while a change of health is under way; nil: a quarter of ``interval``.
    public var fastInterval: Duration?
    /// The same while the backend is down; nil: twice ``interval``.
    public var downInterval: Duration?
    /// What one check may take in all, 10 ms to 1 min.
    public var timeout: Duration = .seconds(2)
    /// Passed checks in a row that take a backend up which is down, 1 to 100.
    public var rise: Int = 2
    /// Failed checks in a row that take a backend down, 1 to 100.
    public var fall: Int = 3

    /// A check of type tcp, as it is without any setting.
    public init() {}

    public var isOff: Bool { kind == .off }

    /// No check is made more often.
    static let shortestInterval = Duration.milliseconds(100)

    /// ``fastInterval``, whether it was set or not.
    public var effectiveFastInterval: Duration {
        fastInterval ?? min(interval, max(HealthCheck.shortestInterval, interval / 4))
    }

    /// ``downInterval``, whether it was set or not.
    public var effectiveDownInterval: Duration { downInterval ?? interval * 2 }
}

/// A request and what has to come back.
public struct HTTPCheck: Sendable, Equatable {
    /// GET, HEAD or OPTIONS.
    public var method: String = "GET"
    /// Begins with a slash; empty: not given, which is refused.
    public var path: String = ""
    /// The Host field; nil: the address that is asked.
    public var host: String?
    public var status = StatusList.standard
    /// A text that the body has to contain; nil: any body will do.
    public var body: String?

    public init() {}
}

/// What is said and what has to come back.
public struct ExpectCheck: Sendable, Equatable {
    public enum Wanted: Sendable, Equatable {
        case text(String)
        case pattern(Pattern)
    }

    /// nil: the server speaks first.
    public var send: String?
    /// nil: not given, which is refused.
    public var wanted: Wanted?

    public init() {}
}

/// Statuses of HTTP: `200`, `200-399`, `2xx`, and several of these with commas between them.
public struct StatusList: Sendable, Equatable, CustomStringConvertible {
    /// As it was written.
    public let description: String
    private let ranges: [ClosedRange<Int>]

    static let standard = StatusList("200-399")!

    /// nil for a text that is no such list.
    public init?(_ text: String) {
        var ranges: [ClosedRange<Int>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let range = StatusList.range(part.drop { $0 == " " }) else { return nil }
            ranges.append(range)
        }
        description = text
        self.ranges = ranges
    }

    private static func range(_ part: Substring) -> ClosedRange<Int>? {
        let ends = part.split(separator: "-", omittingEmptySubsequences: false)
        if ends.count == 2, let low = status(ends[0]), let high = status(ends[1]), low <= high { return low...high }
        guard ends.count == 1 else { return nil }
        if part.utf8.count == 3, part.hasSuffix("xx"), let digit = part.first?.wholeNumberValue, (1...5).contains(digit)
        {
            return digit * 100...digit * 100 + 99
        }
        return status(part).map { $0...$0 }
    }

    private static func status(_ text: Substring) -> Int? {
        guard text.utf8.count == 3, let number = wholeNumber(text), (100...599).contains(number) else { return nil }
        return number
    }

    public func contains(_ status: Int) -> Bool { ranges.contains { $0.contains(status) } }
}
