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

    private enum Value {
        case word(String?)
        case number(String?)
    }

    private var fields: [(String, Value)] {
        var fields: [(String, Value)] = [
            ("id", .word(String(id, radix: 16))), ("client", .word(client)), ("peer", .word(peer)),
            ("listener", .word(listener)), ("service", .word(service)), ("backend", .word(backend)),
            ("home", .word(home)), ("away", .word(away)),
            ("connect_seconds", .number(connect.map { AccessLine.seconds(microseconds: $0) })),
            ("retries", .number("\(retries)")),
        ]
        guard let end else { return fields }
        fields += [
            ("duration_seconds", .number(AccessLine.seconds(microseconds: end.duration / 1000))),
            ("bytes_in", .number("\(end.bytesIn)")), ("bytes_out", .number("\(end.bytesOut)")),
            ("end", .word(end.reason)), ("by", .word(end.by)),
        ]
        return fields
    }

    private var message: String { end == nil ? "connection started" : "connection ended" }

    /// For people, without time and level.
    var text: String {
        fields.reduce(into: message) { line, field in
            switch field.1 {
            case .word(let value), .number(let value): line += " \(field.0)=\(value ?? "-")"
            }
        }
    }

    /// One JSON object.
    var json: String {
        let start = "{\"time\":\"\(Moment.text(time))\",\"level\":\"info\",\"message\":\"\(message)\""
        return fields.reduce(into: start) { line, field in
            switch field.1 {
            case .word(let value): line += ",\"\(field.0)\":" + (value.map { "\"\($0)\"" } ?? "null")
            case .number(let value): line += ",\"\(field.0)\":" + (value ?? "null")
            }
        } + "}"
    }

    /// `1.000250`.
    static func seconds(microseconds: UInt64) -> String {
        let rest = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
    }
}

/// Makes the bytes of ``AccessLine``s, in the form that the log has. One thread uses it.
public struct AccessLineWriter {
    private let settings: LogSettings
    private let isJournal = StandardErrorLog.standardErrorIsJournal()

    public init(_ settings: LogSettings) {
        self.settings = settings
    }

    /// The line, with its line feed.
    public func bytes(_ line: AccessLine) -> [UInt8] {
        let text: String =
            switch settings.currentFormat {
            case .json: line.json
            case .text: (isJournal ? "<6>" : "\(Moment.text(line.time)) info ") + line.text
            }
        return Array(text.utf8) + [UInt8(ascii: "\n")]
    }
}
