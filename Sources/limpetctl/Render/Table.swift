/// A column of a table: its heading, what stands in it, and how it may give way.
struct Column<Row> {
    enum Alignment {
        case left, right
    }

    enum Cut {
        /// For names, which often differ at their end alone: `de…ws1`.
        case middle
        /// For sentences.
        case end
    }

    let title: String
    var alignment = Alignment.left
    /// How it gives way on a narrow terminal; nil: not at all. Never an address.
    var cut: Cut?
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
    /// What a shrunken column keeps at least, beside the room for its heading.
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
        if let available { shrink(&widths, to: available) }
        self.widths = widths
        emit(line(columns.map { ($0.title, .strong) }))
        waiting.forEach(print)
        waiting = []
    }

    private func print(_ row: Row) {
        emit(line(columns.map { ($0.text(row), $0.tone(row)) }))
    }

    private func line(_ cells: [(text: String, tone: Style.Tone)]) -> String {
        var result = ""
        for (index, cell) in cells.enumerated() {
            let column = columns[index]
            let width = widths?[index] ?? 0
            let text = available == nil ? cell.text : Table.cut(cell.text, to: width, column.cut)
            let padding = String(repeating: " ", count: max(0, width - text.count))
            let painted = style.paint(text, cell.tone)
            let isLast = index == cells.count - 1
            switch column.alignment {
            case .left: result += isLast ? painted : painted + padding
            case .right: result += padding + painted
            }
            if !isLast { result += Table.gap }
        }
        return result
    }

    private static func cut(_ text: String, to width: Int, _ cut: Column<Row>.Cut?) -> String {
        guard let cut, text.count > width else { return text }
        let kept = max(0, width - 1)
        let tail = cut == .middle ? kept * 2 / 3 : 0
        return text.prefix(kept - tail) + "…" + text.suffix(tail)
    }

    /// Takes from the widest column that may give, one by one, until the line fits or nobody can give more.
    private func shrink(_ widths: inout [Int], to available: Int) {
        while widths.reduce(0, +) + Table.gap.count * (widths.count - 1) > available {
            let candidates = widths.indices.filter {
                columns[$0].cut != nil && widths[$0] > max(Table.minimum, columns[$0].title.count)
            }
            guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { return }
            widths[widest] -= 1
        }
    }
}
