import ArgumentParser
import Control

struct Close: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Close connections.",
        usage: "limpetctl close ID... | --backend BACKEND | --client CIDR [--reset] [--force]",
        discussion: "What was read is sent on first, then FIN goes to both sides; with --reset RST goes at once.")

    @OptionGroup var options: GlobalOptions

    @Argument(help: ArgumentHelp("Numbers as limpetctl connections prints them.", valueName: "id"))
    var ids: [String] = []

    @Option(help: ArgumentHelp("All connections of this backend.", valueName: "backend"))
    var backend: String?

    @Option(help: ArgumentHelp("All connections from this address or prefix.", valueName: "cidr"))
    var client: String?

    @Flag(help: "Send RST instead of FIN.")
    var reset = false

    @Flag(help: "Do not ask, even where it closes many.")
    var force = false

    func validate() throws {
        let kinds = [!ids.isEmpty, backend != nil, client != nil].count { $0 }
        if kinds == 0 { throw ValidationError("say which connections: ID..., --backend or --client") }
        if kinds > 1 { throw ValidationError("ID..., --backend and --client exclude each other") }
        for id in ids where ConnectionID(id) == nil {
            throw ValidationError("\(id): a connection's number is hexadecimal, such as 1a2f")
        }
    }

    /// Any number of them: a request holds so many that its body stays well below what limpetd takes.
    private func closeNamed(_ client: ControlClient) throws(ControlError) -> Reply<CloseReport> {
        let perRequest = 1000
        var rest = ids.compactMap { ConnectionID($0) }[...]
        var total = try client.close(Array(rest.prefix(perRequest)), reset: reset)
        rest = rest.dropFirst(perRequest)
        while !rest.isEmpty {
            let reply = try client.close(Array(rest.prefix(perRequest)), reset: reset)
            total.body.closed += reply.body.closed
            total.body.missing += reply.body.missing
            rest = rest.dropFirst(perRequest)
        }
        return total
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply =
            ids.isEmpty
            ? try confirming(force: force) { force throws(ControlError) in
                try client.close(
                    backend: backend, client: self.client, reset: reset, force: force)
            } : try closeNamed(client)
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
