import ArgumentParser
import Control

struct Reload: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Read the configuration again and apply it, all of it or nothing.",
        discussion: """
            Connections stay, whatever becomes of their backend, listener or service. It returns when the new configuration \
            holds, and prints what has changed.
            """)

    @OptionGroup var options: GlobalOptions

    @Flag(help: "Print what would change, and change nothing.")
    var dryRun = false

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try client.reload(dryRun: dryRun)
        for warning in reply.body.warnings { Diagnostics.say("limpetctl: warning: \(Printable.line(warning))") }
        switch output.form {
        case .json: try output.json(reply)
        case .plain: for row in reply.body.changes { output.plain(row.plainFields) }
        case .table: show(reply.body, output)
        }
    }

    private func show(_ report: ReloadReport, _ output: Output) {
        guard !report.changes.isEmpty else {
            return output.line("nothing has changed: the configuration is the one that is active")
        }
        output.rows(report.changes, Column.changes)
        output.line("")
        for homes in report.homes where homes.moved > 0 || homes.share > 0 {
            let clients = "\(homes.moved) of \(homes.clients) clients"
            let verb = report.dryRun ? "would have" : homes.moved == 1 ? "has" : "have"
            output.line(
                "\(homes.service): \(clients) that are connected \(verb) another home, \(Units.percent(homes.share)) of all addresses"
            )
        }
        for plan in report.plans where plan.moving > 0 {
            output.line("")
            output.servicePlan(plan)
        }
        if report.removedConnections > 0 {
            let end = report.removedDeadlineSeconds.map { ", \(Units.age($0)) at most" } ?? ""
            output.line(
                "\(Units.connections(report.removedConnections)) of what is removed: they stay until they end\(end)")
        }
        output.line(report.dryRun ? "a dry run: nothing has changed" : "reloaded, configuration \(report.configHash)")
    }
}

extension Column where Row == ReloadReport.Change {
    static var changes: [Column] {
        [
            Column(title: "CHANGE", text: { $0.change.rawValue }, tone: { $0.change.tone }),
            Column(title: "OBJECT") { $0.object.rawValue },
            Column(title: "NAME", cut: .middle) { $0.fullName },
            Column(title: "KEY") { $0.key ?? "-" },
            Column(title: "OLD", cut: .end) { $0.old ?? "-" },
            Column(title: "NEW", cut: .end) { $0.new ?? "-" },
        ]
    }
}

extension ReloadReport.Change {
    /// As other commands call it.
    fileprivate var fullName: String {
        switch object {
        case .daemon: "-"
        case .service: service ?? "-"
        case .listener, .backend: "\(service ?? "-")/\(name ?? "-")"
        }
    }
}

extension ReloadReport.Change.Kind {
    fileprivate var tone: Style.Tone {
        switch self {
        case .added: .good
        case .removed: .bad
        case .changed: .warning
        }
    }
}
