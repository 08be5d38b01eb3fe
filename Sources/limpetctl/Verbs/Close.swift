import ArgumentParser
import Control

struct Close: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Close connections.",
        usage: """
            limpetctl close ID... [--reset] [--force]
            limpetctl close [--service S] [--backend B] [--client CIDR] [--state S] [--older D] [--idle D] [--reset] [--force]
            """,
        discussion: "What was read is sent on first, then FIN goes to both sides; with --reset RST goes at once.")

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: ArgumentHelp("Numbers as limpetctl connections prints them.", valueName: "id"),
        completion: Completions.connection)
    var ids: [String] = []

    @Option(help: ArgumentHelp("Connections of this service.", valueName: "name"), completion: Completions.service)
    var service: String?

    @Option(help: ArgumentHelp("Connections of this backend.", valueName: "backend"), completion: Completions.backend)
    var backend: String?

    @Option(help: ArgumentHelp("Connections from this address or prefix.", valueName: "cidr"))
    var client: String?

    @Option(
        help: ArgumentHelp("Connections in this state: connecting, open, half_closed, closing.", valueName: "state"),
        completion: Completions.state)
    var state: String?

    @Option(
        help: ArgumentHelp("Connections at least this old.", valueName: "duration"), transform: DurationOption.parse)
    var older: DurationOption?

    @Option(
        help: ArgumentHelp("Connections without a byte for at least this time.", valueName: "duration"),
        transform: DurationOption.parse)
    var idle: DurationOption?

    @Flag(help: "Send RST instead of FIN.")
    var reset = false

    @Flag(help: "Do not ask, even where it closes more than one.")
    var force = false

    /// So many numbers fit into a request with room to spare.
    private static let perRequest = 1000

    private var hasFilter: Bool {
        service != nil || backend != nil || client != nil || state != nil || older != nil || idle != nil
    }

    func validate() throws {
        if ids.isEmpty && !hasFilter {
            throw ValidationError(
                "say which connections: ID..., --service, --backend, --client, --state, --older or --idle")
        }
        if !ids.isEmpty && hasFilter { throw ValidationError("ID... come alone, without a filter") }
        for id in ids where ConnectionID(id) == nil {
            throw ValidationError("\(id): a connection's number is hexadecimal, such as 1a2f")
        }
    }

    /// Any number of them, a request for so many at a time.
    private func closeNamed(_ client: ControlClient, force: Bool) throws(ControlError) -> Reply<CloseReport> {
        if ids.count > Close.perRequest && !force {
            throw ControlError(.needsForce, "up to \(ids.count) connections would be closed")
        }
        var rest = ids.compactMap { ConnectionID($0) }[...]
        var total = try client.close(Array(rest.prefix(Close.perRequest)), reset: reset, force: force)
        rest = rest.dropFirst(Close.perRequest)
        while !rest.isEmpty {
            let reply = try client.close(Array(rest.prefix(Close.perRequest)), reset: reset, force: force)
            total.body.closed += reply.body.closed
            total.body.missing += reply.body.missing
            rest = rest.dropFirst(Close.perRequest)
        }
        return total
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try confirming(force: force) { force throws(ControlError) in
            ids.isEmpty
                ? try client.close(
                    service: service, backend: backend, client: self.client, state: state, older: older?.duration,
                    idle: idle?.duration, reset: reset, force: force) : try closeNamed(client, force: force)
        }
        let report = reply.body
        switch output.form {
        case .json: try output.json(reply)
        case .plain: output.plain([String(report.closed)] + report.missing.map(\.description))
        case .table: output.line("closed \(Units.connections(report.closed))")
        }
        if !report.missing.isEmpty {
            output.flush()
            let names = report.missing.map(\.description).joined(separator: ", ")
            throw ControlError(.noSuchObject, "\(names): no such connection")
        }
    }
}
