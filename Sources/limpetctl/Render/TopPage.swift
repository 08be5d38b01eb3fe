import Addressing
import Control

/// A page of `limpetctl top`: lines from what was measured, for a screen of any size.
struct TopPage {
    enum View {
        case backends, connections, listeners
    }

    /// What rows are sorted by; the words stand in the last line.
    enum Order: String, CaseIterable {
        case name, connections, accepts, bytes

        var next: Order {
            let all = Order.allCases
            return all[(all.firstIndex(of: self)! + 1) % all.count]
        }
    }

    var view = View.backends
    var order = Order.name
    /// nil: as they come.
    let columns: Int?
    let style: Style

    /// - Parameters:
    ///   - connections: rows for the view of connections.
    ///   - rows: lines that there is room for; nil: for all.
    func lines(_ rates: TopRates, version: String, connections: [ConnectionRow], rows: Int?) -> [String] {
        var lines = heading(rates, version)
        lines.append("")
        switch view {
        case .backends: add(sorted(rates.backends), TopPage.backends, to: &lines)
        case .connections: add(connections, Column.connections, to: &lines)
        case .listeners: add(sorted(rates.listeners), TopPage.listeners, to: &lines)
        }
        guard let rows else { return lines }
        return Array(lines.prefix(rows)).map(cut)
    }

    private func heading(_ rates: TopRates, _ version: String) -> [String] {
        let bytesIn = rates.backends.reduce(0) { $0 + $1.bytesInPerSecond }
        let bytesOut = rates.backends.reduce(0) { $0 + $1.bytesOutPerSecond }
        let busy = rates.workers.map { TopPage.percent($0.busy) }.joined(separator: "  ")
        return [
            "limpetd \(version), up \(Units.age(rates.uptimeSeconds)), \(Units.connections(rates.connections))"
                + " of at most \(rates.maxConnections)",
            "accepts      \(TopPage.number(rates.acceptsPerSecond))/s, in \(TopPage.bytes(bytesIn)),"
                + " out \(TopPage.bytes(bytesOut))",
            "workers busy \(busy)",
            "descriptors  \(rates.descriptors) of at most \(rates.descriptorLimit); pipes \(rates.pipes),"
                + " \(rates.pipesHeld) in use, of at most \(rates.maxPipes)",
        ] + (rates.sourcePorts.flatMap { $0.share < 0.5 ? nil : $0 }.map { ["source ports \($0.text)"] } ?? [])
    }

    private func add<Row>(_ rows: [Row], _ columns: [Column<Row>], to lines: inout [String]) {
        var found: [String] = []
        var table = Table(columns, isWide: false, available: self.columns, style: style) { found.append($0) }
        for row in rows { table.add(row) }
        table.finish()
        lines += found
    }

    private func sorted(_ rows: [TopRates.Backend]) -> [TopRates.Backend] {
        switch order {
        case .name: rows
        case .connections: rows.sorted { $0.connections > $1.connections }
        case .accepts: rows.sorted { $0.connectsPerSecond > $1.connectsPerSecond }
        case .bytes:
            rows.sorted { $0.bytesInPerSecond + $0.bytesOutPerSecond > $1.bytesInPerSecond + $1.bytesOutPerSecond }
        }
    }

    private func sorted(_ rows: [TopRates.Listener]) -> [TopRates.Listener] {
        switch order {
        case .name, .bytes: rows
        case .connections: rows.sorted { $0.connections > $1.connections }
        case .accepts: rows.sorted { $0.acceptsPerSecond > $1.acceptsPerSecond }
        }
    }

    /// What does not fit would begin another line. A painted line was fitted by its table.
    private func cut(_ line: String) -> String {
        guard let columns, line.count > columns, !line.contains("\u{1B}") else { return line }
        return String(line.prefix(columns))
    }

    private static var backends: [Column<TopRates.Backend>] {
        [
            Column(title: "BACKEND", cut: .middle) { "\($0.service)/\($0.name)" },
            Column(title: "STATE", text: { $0.state.rawValue }, tone: { $0.state.tone }),
            Column(title: "CONNS", alignment: .right) { String($0.connections) },
            Column(title: "AWAY", alignment: .right) { String($0.away) },
            Column(title: "CONNECTS/S", alignment: .right) { number($0.connectsPerSecond) },
            Column(title: "IN/S", alignment: .right) { Units.bytes(UInt64($0.bytesInPerSecond)) },
            Column(title: "OUT/S", alignment: .right) { Units.bytes(UInt64($0.bytesOutPerSecond)) },
            Column(title: "FAILURES/S", alignment: .right) { number($0.failuresPerSecond) },
        ]
    }

    private static var listeners: [Column<TopRates.Listener>] {
        [
            Column(title: "SERVICE", cut: .middle) { $0.service },
            Column(title: "ADDRESS") { $0.name },
            Column(title: "STATE", text: { $0.state.rawValue }, tone: { $0.state == .accepting ? .good : .warning }),
            Column(title: "CONNS", alignment: .right) { String($0.connections) },
            Column(title: "ACCEPTS/S", alignment: .right) { number($0.acceptsPerSecond) },
            Column(title: "REFUSED/S", alignment: .right) { number($0.refusedPerSecond) },
        ]
    }

    private static func number(_ rate: Double) -> String {
        rate < 10 && rate > 0 ? Units.tenths(rate) : String(Int(rate.rounded()))
    }

    private static func bytes(_ rate: Double) -> String { Units.bytes(UInt64(rate)) + "/s" }

    private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
}
