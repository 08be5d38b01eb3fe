import FoundationEssentials
import Glibc

/// limpetctl, as the demonstration uses it.
struct Operator {
    let limpetctl: String
    let controlSocket: String

    /// Runs a verb.
    /// - Returns: its output as it would stand on the terminal.
    /// - Throws: ``EchoError`` when it exits with anything but 0.
    @discardableResult
    func run(_ arguments: [String]) throws -> String {
        let outcome = try ChildProcess.run(limpetctl, ["--control", controlSocket] + arguments)
        guard outcome.status == 0 else {
            throw EchoError(
                "limpetctl \(arguments.joined(separator: " ")) exited with \(outcome.status): \(outcome.errors)")
        }
        return outcome.output
    }

    /// Whether the daemon takes connections.
    func isReady() throws -> Bool {
        try ChildProcess.run(limpetctl, ["--control", controlSocket, "ready", "-q"]).status == 0
    }

    /// The address that the only listener has.
    func listener() throws -> String {
        struct Report: Decodable {
            struct Row: Decodable { var address: String }
            var listeners: [Row]
        }
        let rows = try decode(Report.self, from: ["listeners"]).listeners
        guard let row = rows.first, rows.count == 1 else {
            throw EchoError("limpetd has \(rows.count) listeners; one was expected")
        }
        return row.address
    }

    /// Where limpetd says that a new connection from the address would go.
    func choice(for address: String) throws -> String {
        struct Report: Decodable { var chosen: String? }
        return try decode(Report.self, from: ["where", address]).chosen ?? "nowhere"
    }

    /// Number of connections in limpetd's table.
    func connectionCount() throws -> Int {
        struct Report: Decodable {
            struct Row: Decodable { var id: String }
            var connections: [Row]
        }
        return try decode(Report.self, from: ["connections"]).connections.count
    }

    private func decode<Report: Decodable>(_ type: Report.Type, from arguments: [String]) throws -> Report {
        let output = try run(arguments + ["--json"])
        do {
            return try JSONDecoder().decode(type, from: Data(output.utf8))
        } catch {
            throw EchoError("limpetctl \(arguments.joined(separator: " ")) --json: \(error)")
        }
    }
}
