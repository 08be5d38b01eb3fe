import ArgumentParser
import Control

struct Affinity: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Show or forget which backend clients keep.",
        usage: "limpetctl affinity [ADDRESS] [--service S] [--limit N | --clear [--force]]",
        discussion: """
            Services with the key affinity remember which backend a client had, for a time after its last connection. Whom \
            they forget goes home when it connects again; connections that exist are not touched.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(help: "The client: ADDRESS, or ADDRESS:PORT where a service hashes the port; without one, all.")
    var address: String?

    @Option(help: ArgumentHelp("Only those of this service.", valueName: "name"), completion: Completions.service)
    var service: String?

    @Option(help: ArgumentHelp("At most this many rows, 1 to 10000 (default: 1000).", valueName: "n"))
    var limit: Int?

    @Flag(help: "Forget them.")
    var clear = false

    @Flag(help: "With --clear: also several at once.")
    var force = false

    func validate() throws {
        if let limit, !(1...AffinityRequest.mostRows).contains(limit) {
            throw ValidationError("--limit: \(limit) is not a number from 1 to \(AffinityRequest.mostRows)")
        }
        if clear, limit != nil { throw ValidationError("--limit goes with what is shown, not with --clear") }
        if force, !clear { throw ValidationError("--force goes with --clear") }
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        if clear {
            let reply = try confirming(force: force) { (force) throws(ControlError) in
                try client.forgetAffinity(address, service: service, force: force)
            }
            switch output.form {
            case .json: try output.json(reply)
            case .plain: output.plain([String(reply.body.cleared)])
            case .table: output.line("\(Affinity.clients(reply.body.cleared)) forgotten")
            }
            return
        }
        let reply = try client.affinity(address, service: service, limit: limit)
        if output.form == .json { return try output.json(reply) }
        let report = reply.body
        if output.form == .table {
            output.line(
                "\(Affinity.clients(report.entries)) remembered, room for \(report.limit); \(report.hits) came back, "
                    + "\(report.moves) had to move, \(report.evictions) made room")
            if report.clients.count < report.entries { output.line("\(report.clients.count) of them:") }
            output.line("")
        }
        output.rows(report.clients, Column.affinity)
    }

    private static func clients(_ count: Int) -> String { count == 1 ? "1 client" : "\(count) clients" }
}

extension AffinityReport.Client: PlainRow {
    var plainFields: [String] {
        [service, client, backend, home ?? "", String(connections), secondsLeft.map(Units.seconds) ?? ""]
    }
}

extension Column where Row == AffinityReport.Client {
    static var affinity: [Column] {
        [
            Column(title: "SERVICE", cut: .middle) { $0.service },
            Column(title: "CLIENT") { $0.client },
            Column(title: "BACKEND", cut: .middle) { $0.backend },
            Column(title: "HOME", cut: .middle) { $0.home ?? "-" },
            Column(title: "CONNS", alignment: .right) { String($0.connections) },
            Column(title: "LEFT", alignment: .right) { $0.secondsLeft.map { Units.about($0) } ?? "-" },
        ]
    }
}
