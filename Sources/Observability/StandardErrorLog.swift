internal import Glibc
internal import Linux
public import Logging

/// Writes the log to standard error, a line each, in one write(2).
///
/// Text for people (`2026-11-23T11:42:22.017Z info message key=value`), or one JSON object per line. Where standard error
/// is connected to journald (JOURNAL_STREAM, systemd.exec(5)), text lines begin with their priority (`<6>`,
/// sd-daemon(3)) and leave the time to the journal. Control plane and keeper only: a worker never writes a line.
///
/// Nobody waits long for a reader of the log, see ``LogOutput``. A keeper that waited would start no engine, and an engine
/// that waited would be taken for one that stands still.
public struct StandardErrorLog: LogHandler {
    public enum Format: Sendable {
        case text, json
    }

    public var metadata: Logger.Metadata = [:]
    private let settings: LogSettings
    private let isJournal: Bool

    public init(_ settings: LogSettings) {
        self.settings = settings
        isJournal = StandardErrorLog.standardErrorIsJournal()
    }

    /// What the settings say. To set it on one logger changes nothing: it is the same for all.
    public var logLevel: Logger.Level {
        get { settings.currentLevel }
        set {}
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let all = event.metadata.map { metadata.merging($0) { _, new in new } } ?? metadata
        var line: String =
            switch settings.currentFormat {
            case .text: text(event.level, "\(event.message)", all)
            case .json: json(event.level, "\(event.message)", all)
            }
        line.append("\n")
        LogOutput.write(line) { count in
            let text = "\(count) lines of the log are lost: nobody read it"
            return (settings.currentFormat == .text ? self.text(.warning, text, [:]) : json(.warning, text, [:])) + "\n"
        }
    }

    private func text(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
        let start = isJournal ? "<\(StandardErrorLog.priority(level))>" : "\(Moment.now) \(level) "
        return start + StandardErrorLog.text(message, metadata)
    }

    /// A line for people, after its time and level.
    static func text(_ message: String, _ metadata: Logger.Metadata) -> String {
        var line = escaped(message, quoting: false)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let value = "\(value)"
            let needsQuotes =
                value.isEmpty || value.utf8.contains { $0 <= 0x20 || [0x22, 0x3d, 0x5c].contains($0) }
                || value.unicodeScalars.contains(where: isUnsafe)
            line += needsQuotes ? " \(key)=\"\(escaped(value, quoting: true))\"" : " \(key)=\(value)"
        }
        return line
    }

    private func json(_ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata) -> String {
        var line = "{\"time\":\"\(Moment.now)\",\"level\":\"\(level)\",\"message\":\""
        line += StandardErrorLog.escaped(message, quoting: true) + "\""
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += ",\"\(key)\":\"\(StandardErrorLog.escaped("\(value)", quoting: true))\""
        }
        return line + "}"
    }

    /// Keeps one event on one line and a terminal out of the hands of whoever chose the text.
    private static func escaped(_ text: String, quoting: Bool) -> String {
        guard text.unicodeScalars.contains(where: { isUnsafe($0) || quoting && ($0 == "\"" || $0 == "\\") }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            if quoting && (scalar == "\"" || scalar == "\\") {
                result += "\\\(scalar)"
            } else if isUnsafe(scalar) {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
    }

    /// syslog(3)'s numbers.
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    /// JOURNAL_STREAM holds device and inode of the stream; a child whose standard error was redirected inherits the
    /// variable all the same, hence the comparison.
    static func standardErrorIsJournal() -> Bool {
        guard let value = getenv("JOURNAL_STREAM") else { return false }
        var status = stat()
        guard fstat(2, &status) == 0 else { return false }
        return String(cString: value) == "\(status.st_dev):\(status.st_ino)"
    }
}
