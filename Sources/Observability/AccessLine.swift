/// A line of the access log: the start of a connection, or its end.
///
/// Its fields, their order and their names are those of limpetd(8), ACCESS LOG; all of them are always there. Names and
/// addresses hold nothing that would have to be quoted.
public struct AccessLine: Sendable {
    /// What only an end has.
    public struct End: Sendable {
        /// Since the accept, in ns.
        public var duration: UInt64
        public var bytesIn: UInt64
        public var bytesOut: UInt64
        /// Why, and by whom, in the words of the list in limpetd(8).
        public var reason: String
        public var by: String

        public init(duration: UInt64, bytesIn: UInt64, bytesOut: UInt64, reason: String, by: String) {
            self.duration = duration
            self.bytesIn = bytesIn
            self.bytesOut = bytesOut
            self.reason = reason
            self.by = by
        }
    }

    /// ns since 1970.
    public var time: UInt64
    public var id: UInt64
    /// Who it is, and who is connected; nil: it had gone before that could be told.
    public var client: String?
    public var peer: String?
    public var listener: String
    public var service: String
    /// nil: none was asked.
    public var backend: String?
    public var home: String?
    /// Why it was not at home; nil: it was, or there is no home.
    public var away: String?
    /// Microseconds from the accept until the backend had accepted; nil: none has.
    public var connect: UInt64?
    /// Connects beyond the first.
    public var retries: Int
    /// nil: the line tells of a start.
    public var end: End?

    public init(
        time: UInt64, id: UInt64, client: String?, peer: String?, listener: String, service: String, backend: String?,
        home: String?, away: String?, connect: UInt64?, retries: Int, end: End?
    ) {
        self.time = time
        self.id = id
        self.client = client
        self.peer = peer
        self.listener = listener
        self.service = service
        self.backend = backend
        self.home = home
        self.away = away
        self.connect = connect
        self.retries = retries
        self.end = end
    }

    fileprivate func write(to form: inout Form) {
        form.begin(end == nil ? "connection started" : "connection ended", at: time)
        form.word("id", String(id, radix: 16))
        form.word("client", client)
        form.word("peer", peer)
        form.word("listener", listener)
        form.word("service", service)
        form.word("backend", backend)
        form.word("home", home)
        form.word("away", away)
        form.seconds("connect_seconds", microseconds: connect)
        form.number("retries", UInt64(retries))
        if let end {
            form.seconds("duration_seconds", microseconds: end.duration / 1000)
            form.number("bytes_in", end.bytesIn)
            form.number("bytes_out", end.bytesOut)
            form.word("end", end.reason)
            form.word("by", end.by)
        }
        form.end()
    }
}

/// The bytes of lines, in one of the two forms that the log has.
private struct Form {
    var bytes: [UInt8] = []
    let isJSON: Bool
    let isJournal: Bool
    /// Lines come together: the text of their second is made once.
    private var second: UInt64 = .max
    private var secondText: [UInt8] = []

    init(isJSON: Bool, isJournal: Bool) {
        self.isJSON = isJSON
        self.isJournal = isJournal
    }

    mutating func begin(_ message: StaticString, at time: UInt64) {
        if isJSON {
            append("{\"time\":\"")
            append(time)
            append("\",\"level\":\"info\",\"message\":\"")
            append(message)
            append("\"")
        } else if isJournal {
            append("<6>")
            append(message)
        } else {
            append(time)
            append(" info ")
            append(message)
        }
    }

    mutating func word(_ name: StaticString, _ value: String?) {
        begin(name)
        guard let value else { return append(isJSON ? "null" : "-") }
        if isJSON { append("\"") }
        bytes += value.utf8
        if isJSON { append("\"") }
    }

    mutating func number(_ name: StaticString, _ value: UInt64) {
        begin(name)
        bytes += String(value).utf8
    }

    /// `1.000250`.
    mutating func seconds(_ name: StaticString, microseconds: UInt64?) {
        begin(name)
        guard let microseconds else { return append(isJSON ? "null" : "-") }
        bytes += String(microseconds / 1_000_000).utf8
        append(".")
        digits(microseconds % 1_000_000, 6)
    }

    mutating func end() { append(isJSON ? "}\n" : "\n") }

    private mutating func begin(_ name: StaticString) {
        append(isJSON ? ",\"" : " ")
        append(name)
        append(isJSON ? "\":" : "=")
    }

    private mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes += $0 }
    }

    /// - Parameter time: ns since 1970.
    private mutating func append(_ time: UInt64) {
        if time / 1_000_000_000 != second {
            second = time / 1_000_000_000
            // Without its milliseconds.
            secondText = Array(Moment.text(second * 1_000_000_000).utf8.dropLast(4))
        }
        bytes += secondText
        digits(time / 1_000_000 % 1000, 3)
        append("Z")
    }

    private mutating func digits(_ value: UInt64, _ width: Int) {
        let text = String(value).utf8
        for _ in text.count..<max(width, text.count) { bytes.append(UInt8(ascii: "0")) }
        bytes += text
    }
}

/// Makes the bytes of ``AccessLine``s, in the form that the log has. One thread uses it.
public struct AccessLineWriter {
    private let settings: LogSettings
    private let isJournal = StandardErrorLog.standardErrorIsJournal()
    private var form: Form

    public init(_ settings: LogSettings) {
        self.settings = settings
        form = Form(isJSON: false, isJournal: isJournal)
    }

    /// The line, with its line feed.
    public mutating func bytes(_ line: AccessLine) -> [UInt8] {
        let isJSON = settings.currentFormat == .json
        if form.isJSON != isJSON { form = Form(isJSON: isJSON, isJournal: isJournal) }
        form.bytes.removeAll(keepingCapacity: true)
        line.write(to: &form)
        return form.bytes
    }
}
