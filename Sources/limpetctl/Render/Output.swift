import Control
import FoundationEssentials
import Linux

/// The one owner of stdout: what form the answer takes, whether there is a terminal, how wide, how coloured.
final class Output {
    enum Form {
        case table, plain, json
    }

    let form: Form
    let isWide: Bool
    /// stdout's own; nil: not a terminal, where nothing is truncated.
    let columns: Int?
    let style: Style
    private let isTerminal: Bool
    private var buffer: [UInt8] = []
    private var pages = 0
    /// Comes before whatever is written next: what parts a page of --watch from the one before.
    private var separator = ""
    private var isProgressOpen = false

    init(_ options: GlobalOptions) {
        form = options.json ? .json : options.plain ? .plain : .table
        isWide = options.wide
        isTerminal = Terminal.isTerminal(1)
        columns = isTerminal ? Terminal.columns(1) ?? 80 : nil
        style = Style(
            isOn: isTerminal && (Terminal.environment("NO_COLOR") ?? "").isEmpty
                && Terminal.environment("TERM").map { $0 != "dumb" } ?? false)
    }

    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        control(separator)
        separator = ""
        buffer += Printable.lines(bytes, withColours: style.isOn)
        if buffer.count >= 32 * 1024 { flush() }
    }

    func line(_ text: String) { write(Printable.line(text, withColours: style.isOn) + "\n") }

    /// What moves the cursor: of ours alone.
    private func control(_ sequence: String) { buffer.append(contentsOf: sequence.utf8) }

    /// One JSON object on a line of its own.
    func json(_ value: some Encodable) throws(ControlError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            write(Array(try encoder.encode(value)))
        } catch {
            throw ControlError(.failed, "cannot be written as JSON: \(error)")
        }
        line("")
    }

    /// A line that takes the place of the last one, where there is a terminal; a line of its own elsewhere.
    func progress(_ text: String) {
        if isTerminal { control("\r\u{1B}[K") }
        write(Printable.line(text) + (isTerminal ? "" : "\n"))
        isProgressOpen = isTerminal
        flush()
    }

    /// Clears the line that ``progress(_:)`` has left open, if it has.
    func endProgress() {
        if isProgressOpen { control("\r\u{1B}[K") }
        isProgressOpen = false
        flush()
    }

    /// A further page of --watch: on a terminal in place of the last one, which stays until this one has something.
    func beginPage() {
        if form != .json { separator = isTerminal ? "\u{1B}[H\u{1B}[2J" : pages > 0 ? "\n" : "" }
        pages += 1
    }

    func endPage() { flush() }

    /// Hands everything to the kernel. Ends the program, quietly, where nobody reads any more.
    func flush() {
        defer { buffer.removeAll(keepingCapacity: true) }
        guard !buffer.isEmpty, let error = Terminal.write(buffer, to: 1) else { return }
        if error == .brokenPipe { Terminal.exit(0) }
        Diagnostics.say("limpetctl: stdout: \(error)")
        Terminal.exit(1)
    }
}

/// Colours, where there are any.
struct Style {
    enum Tone: String, CaseIterable {
        case none = ""
        case good = "32"
        case warning = "33"
        case bad = "31"
        case strong = "1"
    }

    /// All that ``paint(_:_:)`` can add.
    static let sequences = ["\u{1B}[0m"] + Tone.allCases.filter { $0 != .none }.map { "\u{1B}[\($0.rawValue)m" }

    let isOn: Bool

    func paint(_ text: String, _ tone: Tone) -> String {
        isOn && tone != .none ? "\u{1B}[\(tone.rawValue)m\(text)\u{1B}[0m" : text
    }
}
