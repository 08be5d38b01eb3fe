import Foundation

/// limpetctl, bound to one daemon.
struct Ctl: Sendable {
    /// Path of the control socket.
    var control: String

    /// Runs a verb and gives what it did, whatever that was.
    @discardableResult
    func run(_ arguments: String..., within limit: Duration = patience) throws -> Outcome {
        try run(arguments, within: limit)
    }

    func run(_ arguments: [String], within limit: Duration = patience) throws -> Outcome {
        try IntegrationTests.run([Programs.limpetctl, "--control", control] + arguments, within: limit)
    }

    /// Runs a verb that has to succeed.
    @discardableResult
    func expect(_ arguments: String..., within limit: Duration = patience) throws -> String {
        try expect(arguments, within: limit)
    }

    @discardableResult
    func expect(_ arguments: [String], within limit: Duration = patience) throws -> String {
        let outcome = try run(arguments, within: limit)
        if outcome.status != 0 { throw Failed(arguments: arguments, outcome: outcome) }
        return outcome.stdout
    }

    struct Failed: Error, CustomStringConvertible {
        var arguments: [String]
        var outcome: Outcome
        var description: String { "limpetctl \(arguments.joined(separator: " ")): \(outcome)" }
    }

    /// The document that a verb prints with --json.
    func json<Document: Decodable>(_ type: Document.Type, _ arguments: [String]) throws -> Document {
        let outcome = try run(["--json"] + arguments)
        if outcome.status != 0 { throw Failed(arguments: arguments, outcome: outcome) }
        return try Ctl.decode(type, outcome.stdout)
    }

    static func decode<Document: Decodable>(_ type: Document.Type, _ text: String) throws -> Document {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(type, from: Data(text.utf8))
        } catch {
            throw Undecodable(text: String(text.prefix(2000)), reason: error)
        }
    }

    struct Undecodable: Error, CustomStringConvertible {
        var text: String
        var reason: any Error
        var description: String { "limpetctl printed JSON that lacks something: \(reason)\n\(text)" }
    }

    func status() throws -> StatusDocument { try json(StatusDocument.self, ["status"]) }
    func backends() throws -> [BackendRow] { try json(BackendsDocument.self, ["backends"]).backends }
    func listeners() throws -> [ListenerRow] { try json(ListenersDocument.self, ["listeners"]).listeners }
    func connections(_ filters: String...) throws -> [ConnectionRow] {
        try json(ConnectionsDocument.self, ["connections"] + filters).connections
    }
    func locate(_ address: String, _ options: String...) throws -> WhereDocument {
        try json(WhereDocument.self, ["where", address] + options)
    }

    /// The row of a backend.
    func backend(_ name: String) throws -> BackendRow {
        guard let row = try backends().first(where: { $0.name == name }) else {
            throw SocketFailure(call: "backend \(name) in the table", code: ENOENT)
        }
        return row
    }
}
