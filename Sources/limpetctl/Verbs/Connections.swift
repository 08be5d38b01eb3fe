import ArgumentParser
import Control

struct Connections: ShowingVerb {
    static let configuration = CommandConfiguration(
        abstract: "List the connections.",
        discussion: """
            Rows are consistent one by one, not as a whole: the table is read while it lives. With --wide the kernel is \
            asked about both sockets of each.
            """)

    @OptionGroup var options: GlobalOptions

    @Option(help: ArgumentHelp("Only those of this service.", valueName: "name"), completion: Completions.service)
    var service: String?

    @Option(help: ArgumentHelp("Only those of this backend.", valueName: "backend"), completion: Completions.backend)
    var backend: String?

    @Option(help: ArgumentHelp("Only those whose client's address is this, or lies in this prefix.", valueName: "cidr"))
    var client: String?

    @Option(
        help: ArgumentHelp("Only those in this state: connecting, open, half_closed, closing.", valueName: "state"),
        completion: Completions.state)
    var state: String?

    @Option(
        help: ArgumentHelp("Only those at least this old.", valueName: "duration"), completion: Completions.duration,
        transform: DurationOption.parse)
    var older: DurationOption?

    @Option(
        help: ArgumentHelp("Only those without a byte for at least this time.", valueName: "duration"),
        completion: Completions.duration, transform: DurationOption.parse)
    var idle: DurationOption?

    @Option(
        help: ArgumentHelp(
            "Sort by id, age (oldest first), idle (longest first), bytes (most first), client or backend.",
            valueName: "column"), completion: Completions.order)
    var sort: String?

    @Option(help: ArgumentHelp("At most this many rows.", valueName: "n"))
    var limit: Int?

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit: \(limit) is not a number from 1 on") }
    }

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let rows = try client.connections(query)
        switch output.form {
        case .json: try printJSON(rows, output)
        case .plain: while let row = try rows.next() { output.plain(row.plainFields) }
        case .table:
            var table = Table(
                Column.connections, isWide: output.isWide, available: output.columns, style: output.style
            ) { output.line($0) }
            // What has come is shown even where the rest does not come.
            defer { table.finish() }
            while let row = try rows.next() { table.add(row) }
        }
    }

    /// The rows pass through as limpetd wrote them, so that a table of any size needs no memory.
    private func printJSON(_ rows: ConnectionRows, _ output: Output) throws(ControlError) {
        output.write("{\"connections\":[")
        var separator = ""
        while let row = try rows.nextJSON() {
            output.write(separator)
            output.write(row)
            separator = ","
        }
        output.line(
            "],\"schema\":\(controlSchema),\"time\":\"\(rows.time)\",\"version\":\"\(rows.version)\"}")
    }

    private var query: [(name: String, value: String)] {
        [
            ("service", service), ("backend", backend), ("client", client), ("state", state), ("older", older?.text),
            ("idle", idle?.text), ("sort", sort), ("limit", limit.map { String($0) }),
            ("wide", options.wide ? "yes" : nil),
        ].compactMap { name, value in value.map { (name, $0) } }
    }
}
