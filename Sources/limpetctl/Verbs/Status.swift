import ArgumentParser
import Control

struct Status: ShowingVerb {
    static let configuration = CommandConfiguration(abstract: "Show how limpetd is doing.")

    @OptionGroup var options: GlobalOptions

    func show(_ client: ControlClient, _ output: Output) throws(ControlError) {
        let reply = try client.status()
        switch output.form {
        case .json: try output.json(reply)
        case .plain: for (name, value) in plainLines(reply) { output.plain([name, value]) }
        case .table: printTable(reply, output)
        }
    }

    private func printTable(_ reply: Reply<StatusReport>, _ output: Output) {
        let status = reply.body
        let ready = status.ready ? output.style.paint("ready", .good) : output.style.paint("not ready", .warning)
        output.line("limpetd \(reply.version), \(ready), up \(Units.age(status.uptimeSeconds))")
        output.line("connections    \(status.connections) of at most \(status.maxConnections)")
        output.line("workers        \(status.workers)")
        output.line("process        \(status.pid), engine \(status.enginePID), generation \(status.engineGeneration)")
        output.line("user           \(status.user)")
        output.line("capabilities   \(capabilities(status))")
        let isWhole = status.sandbox.wanted == .off || status.sandbox.missing == nil && status.sandbox.violations == 0
        output.line("sandbox        \(output.style.paint(status.sandbox.text, isWhole ? .none : .warning))")
        output.line(
            "descriptors    at most \(status.descriptorLimit); none left \(times(status.descriptorFailures)),"
                + " connects impossible \(times(status.localFailures))")
        output.line(
            "pipes          \(status.pipes) of at most \(status.maxPipes), refused \(times(status.pipesRefused))")
        // Those that are far from their end say nothing that anybody needs.
        for row in (status.sourcePorts ?? []).filter({ $0.share >= 0.5 }).prefix(Status.listed) {
            output.line("source ports   \(output.style.paint(row.text, row.share < 0.9 ? .none : .warning))")
        }
        output.line("configuration  \(status.configHash)")
        if let metrics = status.metrics { output.line("metrics        http://\(metrics)/metrics") }
        for service in status.services { output.line("service        \(service.name), mapping \(service.mappingHash)") }
        printDifferences(status, output)
        if let unsaved = status.unsaved {
            output.line(output.style.paint("a restart would forget what operators have set:", .warning))
            output.line("  \(unsaved)")
        }
        if let death = status.lastDeath {
            output.line("last death     \(death.time), \(output.style.paint(death.reason, .bad))")
        }
    }

    /// Those of a root that stays root would fill the screen and say no more than their number; --json has the names.
    private func capabilities(_ status: StatusReport) -> String {
        let held = status.capabilities
        if status.user == "root", held.count > Status.few { return "all (\(held.count))" }
        return held.isEmpty ? "none" : held.joined(separator: " ")
    }

    /// A root with more than these is one from whom nothing of note was taken, as the daemon's log has it, too.
    private static let few = 20

    /// As many differences are listed.
    private static let listed = 10

    private func printDifferences(_ status: StatusReport, _ output: Output) {
        let count = status.differences.count
        guard count > 0 else { return }
        output.line(
            output.style.paint(
                "\(count == 1 ? "1 value differs" : "\(count) values differ") from the configuration:", .warning))
        for difference in status.differences.prefix(Status.listed) {
            let value = difference.field == .weight ? "weight \(difference.value)" : difference.value
            let instead = difference.field == .weight ? " in place of \(difference.configured)" : ""
            output.line("  \(difference.service)/\(difference.backend) \(value)\(instead) since \(difference.since)")
        }
        if count > Status.listed {
            output.line("  and \(count - Status.listed) more (limpetctl status --plain has all)")
        }
    }

    private func times(_ count: UInt64) -> String { count == 1 ? "once" : "\(count) times" }

    /// Name and value, in the order that limpetctl(8) documents; services and differences last.
    private func plainLines(_ reply: Reply<StatusReport>) -> [(String, String)] {
        let status = reply.body
        let death = status.lastDeath.map { "\($0.time) \($0.reason)" } ?? ""
        let lines: [(String, String)] = [
            ("version", reply.version), ("pid", String(status.pid)), ("engine_pid", String(status.enginePID)),
            ("engine_generation", String(status.engineGeneration)),
            ("uptime_seconds", Units.seconds(status.uptimeSeconds)), ("ready", status.ready ? "yes" : "no"),
            ("workers", String(status.workers)), ("connections", String(status.connections)),
            ("max_connections", String(status.maxConnections)), ("descriptor_limit", String(status.descriptorLimit)),
            ("descriptor_failures", String(status.descriptorFailures)),
            ("local_failures", String(status.localFailures)), ("pipes", String(status.pipes)),
            ("max_pipes", String(status.maxPipes)), ("pipes_refused", String(status.pipesRefused)),
            ("capabilities", status.capabilities.joined(separator: " ")), ("user", status.user),
            ("config_hash", status.configHash),
            ("last_death", death), ("unsaved", status.unsaved ?? ""), ("metrics", status.metrics ?? ""),
            ("sandbox", status.sandbox.text),
        ]
        return lines + status.services.map { ("mapping_hash/\($0.name)", $0.mappingHash) }
            + status.differences.map {
                ("\($0.field.rawValue)/\($0.service)/\($0.backend)", "\($0.value) \($0.configured) \($0.since)")
            }
            + (status.sourcePorts ?? []).map {
                (
                    "source_ports/\($0.service)/\($0.backend)/\($0.source)",
                    "\($0.used) \($0.limit.map(String.init) ?? "")"
                )
            }
    }
}
