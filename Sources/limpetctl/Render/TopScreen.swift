import Control
import Linux

/// `limpetctl top` on a terminal: draws a page, takes keys, and gives the terminal back however it ends.
final class TopScreen {
    private let client: ControlClient
    /// In milliseconds.
    private let interval: Int
    private let style: Style
    private var view = TopPage.View.backends
    private var order = TopPage.Order.name
    private var isPaused = false
    private var before: TopReport
    private var rates: TopRates
    private var version: String
    private var connections: [ConnectionRow] = []

    init(_ client: ControlClient, interval: Int, style: Style) throws(ControlError) {
        self.client = client
        self.interval = interval
        self.style = style
        let first = try client.top()
        before = first.body
        version = first.version
        rates = TopRates(from: first.body, to: first.body)
    }

    func run() throws {
        try Screen.open()
        defer { Screen.close() }
        // So soon, because what it shows at first has no rates.
        var next = Clock.now() + 200_000_000
        draw()
        while true {
            let now = Clock.now()
            let wait = isPaused ? 60_000 : next > now ? Int((next - now) / 1_000_000) + 1 : 0
            switch Screen.key(within: wait) {
            case .gone: return
            case .key(let key):
                if key == UInt8(ascii: "q") { return }
                try take(key)
            case .none: break
            }
            if Screen.hasChanged() { draw() }
            if !isPaused, Clock.now() >= next {
                try measure()
                next = Clock.now() + UInt64(interval) * 1_000_000
                draw()
            }
        }
    }

    private func take(_ key: UInt8) throws(ControlError) {
        switch Character(UnicodeScalar(key)) {
        case "b": view = .backends
        case "c": view = .connections
        case "l": view = .listeners
        case "s": order = order.next
        case " ": isPaused.toggle()
        default: return
        }
        try readConnections()
        draw()
    }

    private func measure() throws(ControlError) {
        let now = try client.top()
        rates = TopRates(from: before, to: now.body)
        before = now.body
        version = now.version
        try readConnections()
    }

    /// As many as there is room for.
    private func readConnections() throws(ControlError) {
        guard view == .connections else { return }
        let sort =
            switch order {
            case .name: "client"
            case .connections: "age"
            case .accepts: "idle"
            case .bytes: "bytes"
            }
        let rows = try client.connections([("sort", sort), ("limit", "\(max(1, Screen.size.rows))")])
        connections = []
        while let row = try rows.next() { connections.append(row) }
    }

    private func draw() {
        let size = Screen.size
        var page = TopPage(columns: size.columns, style: style)
        page.view = view
        page.order = order
        var text = "\u{1B}[H"
        for line in page.lines(rates, version: version, connections: connections, rows: size.rows - 1) {
            text += Printable.line(line, withColours: style.isOn) + "\u{1B}[K\r\n"
        }
        let help =
            "q quit  b backends  c connections  l listeners  s by \(sortText)  space "
            + (isPaused ? "go on" : "stop")
        text += "\u{1B}[J\u{1B}[\(size.rows);1H" + style.paint(String(help.prefix(size.columns - 1)), .strong)
        _ = Terminal.write(Array(text.utf8), to: 1)
    }

    private var sortText: String {
        guard view == .connections else { return order.rawValue }
        return switch order {
        case .name: "client"
        case .connections: "age"
        case .accepts: "idle"
        case .bytes: "bytes"
        }
    }
}
