import Addressing
import Control

/// A row of --plain: its fields in the order that limpetctl(8) documents.
protocol PlainRow {
    var plainFields: [String] { get }
}

extension BackendRow: PlainRow {
    var plainFields: [String] {
        [
            service, name, address.description, state.rawValue, intent.rawValue, health.rawValue, String(weight),
            String(weightConfigured), String(connections), String(connecting), String(away), String(total),
            String(bytesIn), String(bytesOut), String(connectFailures), String(fallbacks), since.description,
            intentSince?.description ?? "", closesAt?.description ?? "", weightSince?.description ?? "",
            check, checkResult ?? "", checkedAt?.description ?? "", nextCheck?.description ?? "",
            ramp.map { "\($0)" } ?? "", drain?.phase.rawValue ?? "", drain?.reason ?? "",
            resolution?.name ?? "", resolution?.addresses.joined(separator: ",") ?? "", resolution?.error ?? "",
        ]
    }
}

extension ConnectionRow: PlainRow {
    var plainFields: [String] {
        [
            id.description, service, listener, backend, home, client.description, peer.description,
            clientLocal?.description ?? "", backendAddress?.description ?? "", backendLocal?.description ?? "",
            state.rawValue,
            Units.seconds(ageSeconds), Units.seconds(idleSeconds), String(bytesIn), String(bytesOut), String(worker),
            awayReason ?? "",
        ] + plainFields(kernel?.client) + plainFields(kernel?.backend)
            + [kernel.map { String($0.pipeIn) } ?? "", kernel.map { String($0.pipeOut) } ?? ""]
    }

    private func plainFields(_ side: Side?) -> [String] {
        guard let side else { return ["", "", "", ""] }
        return [
            side.rttSeconds.map { Units.microseconds($0) } ?? "", side.retransmits.map { String($0) } ?? "",
            side.unacknowledged.map { String($0) } ?? "", String(side.unread),
        ]
    }
}

extension ListenerRow: PlainRow {
    var plainFields: [String] {
        [
            service, name, address, String(connections), String(accepted), String(refused), state.rawValue,
            reason ?? "", options.joined(separator: ","),
        ]
    }
}

extension ReloadReport.Change: PlainRow {
    var plainFields: [String] {
        [change.rawValue, object.rawValue, service ?? "", name ?? "", key ?? "", old ?? "", new ?? ""]
    }
}

extension RankedPreference: PlainRow {
    var plainFields: [String] {
        [
            String(rank), preference.backend, preference.eligible ? "yes" : "no", isChosen ? "chosen" : "",
            preference.reason ?? "",
        ]
    }
}

extension Output {
    /// Fields with tabs between them, `-` for an empty one. A tab or newline inside a field becomes a space.
    func plain(_ fields: [String]) {
        write(
            fields.map { field in
                field.isEmpty ? "-" : String(field.map { $0 == "\t" || $0.isNewline ? " " : $0 })
            }.joined(separator: "\t") + "\n")
    }

    /// All rows, as a table or plain.
    func rows<Row: PlainRow>(_ rows: [Row], _ columns: [Column<Row>]) {
        guard form == .table else {
            for row in rows { plain(row.plainFields) }
            return
        }
        var table = Table(columns, isWide: isWide, available: self.columns, style: style) { self.line($0) }
        for row in rows { table.add(row) }
        table.finish()
    }
}
