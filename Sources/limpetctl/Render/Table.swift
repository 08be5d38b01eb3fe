/// A column of a table: its heading, what stands in it, and how it may give way.
struct Column<Row> {
    enum Alignment {
        case left, right
    }

    let title: String
    var alignment = Alignment.left
    /// Whether it may be cut on a narrow terminal. Never an address.
    var mayShrink = false
    /// Whether it stands only under --wide.
    var isWideOnly = false
    let text: (Row) -> String
    var tone: (Row) -> Style.Tone = { _ in .none }
}

/// Rows under headings, two spaces between the columns. Widths come from the rows seen first, so that a table of any
/// length can be printed as it arrives.
struct Table<Row> {
    /// Rows that are looked at before the widths are settled.
    static var rowsForWidths: Int { 500 }
    private static var gap: String { "  " }
    /// What a shrunken column keeps at least.
    private static var minimum: Int { 6 }

    private let columns: [Column<Row>]
    private let available: Int?
    private let style: Style
    private var waiting: [Row] = []
    private var widths: [Int]?
    private let emit: (String) -> Void

    /// - Parameters:
    ///   - available: columns of the terminal; nil: none, cut nothing.
    ///   - emit: takes a line, without its newline.
    init(_ columns: [Column<Row>], isWide: Bool, available: Int?, style: Style, emit: @escaping (String) -> Void) {
        self.columns = columns.filter { isWide || !$0.isWideOnly }
        self.available = available
        self.style = style
        self.emit = emit
    }

    mutating func add(_ row: Row) {
        guard widths != nil else {
            waiting.append(row)
            if waiting.count == Table.rowsForWidths { begin() }
            return
        }
        print(row)
    }

    /// Prints what still waits; a table without rows is its headings.
    mutating func finish() {
        if widths == nil { begin() }
    }

    private mutating func begin() {
        var widths = columns.map { column in
            waiting.reduce(column.title.count) { max($0, column.text($1).count) }
        }
        if let available { Table.shrink(&widths, columns.map(\.mayShrink), to: available) }
        self.widths = widths
        emit(line(columns.map { ($0.title, .strong, $0.alignment, $0.mayShrink) }, widths))
        waiting.forEach(print)
        waiting = []
    }

    private func print(_ row: Row) {
        emit(line(columns.map { ($0.text(row), $0.tone(row), $0.alignment, $0.mayShrink) }, widths ?? []))
    }

    private func line(
        _ cells: [(text: String, tone: Style.Tone, alignment: Column<Row>.Alignment, mayShrink: Bool)], _ widths: [Int]
    ) -> String {
        var result = ""
        for (index, cell) in cells.enumerated() {
            let width = widths[index]
            let text =
                cell.mayShrink && available != nil && cell.text.count > width
                ? cell.text.prefix(width - 1) + "…" : cell.text[...]
            let padding = String(repeating: " ", count: max(0, width - text.count))
            let painted = style.paint(String(text), cell.tone)
            let isLast = index == cells.count - 1
            switch cell.alignment {
            case .left: result += isLast ? painted : painted + padding
            case .right: result += padding + painted
            }
            if !isLast { result += Table.gap }
        }
        return result
    }

    /// Takes from the widest column that may give, one by one, until the line fits or nobody can give more.
    private static func shrink(_ widths: inout [Int], _ mayShrink: [Bool], to available: Int) {
        while widths.reduce(0, +) + gap.count * (widths.count - 1) > available {
            let candidates = widths.indices.filter { mayShrink[$0] && widths[$0] > minimum }
            guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { return }
            widths[widest] -= 1
        }
    }
}
