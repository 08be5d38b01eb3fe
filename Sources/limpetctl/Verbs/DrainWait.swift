import Control
import Linux

/// Waits until a draining backend has no connection left, and says how it goes.
struct DrainWait {
    let name: BackendName
    let limit: Duration?
    /// The limit as the user wrote it.
    let limitText: String?
    /// Between two looks.
    private static let interval = 500

    func run(_ client: ControlClient, _ output: Output) throws(ControlError) {
        // However it ends, what follows begins on a clear line.
        defer { output.endProgress() }
        let start = Clock.now()
        var first: Int?
        var last: Int?
        while true {
            let reply = try client.backend(name.description)
            guard let row = reply.body.backends.first else { throw ControlError(.noSuchObject, "\(name): it has gone") }
            let left = row.connections + row.connecting
            let initial = first ?? left
            first = initial
            if left != last {
                let oldest = left > 0 ? try oldestAge(client) : nil
                try report(reply, row, from: last, of: initial, left: left, oldest: oldest, output)
                last = left
            }
            guard row.intent == .drain else {
                throw ControlError(.refused, "\(name): no longer draining: its state is \(row.state.rawValue)")
            }
            if left == 0 {
                output.endProgress()
                if output.form == .table { output.line("\(name): drained") }
                return
            }
            if let limit, Clock.now() - start >= limit.nanoseconds {
                throw ControlError(
                    .timeout, "\(name): \(Units.connections(left)) left after \(limitText ?? ""); it stays draining")
            }
            Terminal.sleep(milliseconds: DrainWait.interval)
        }
    }

    /// Age of the oldest connection in seconds; nil: the last one went meanwhile.
    private func oldestAge(_ client: ControlClient) throws(ControlError) -> Double? {
        try client.connections([("backend", name.description), ("sort", "age"), ("limit", "1")]).next()?.ageSeconds
    }

    private func report(
        _ reply: Reply<BackendsReport>, _ row: BackendRow, from last: Int?, of initial: Int, left: Int, oldest: Double?,
        _ output: Output
    ) throws(ControlError) {
        switch output.form {
        case .json:
            let step = DrainStep(
                service: name.service, backend: name.backend, state: row.state, connections: left, oldestSeconds: oldest
            )
            try output.json(Reply(version: reply.version, time: reply.time, body: step))
            output.flush()
        case .plain:
            output.plain([
                name.service, name.backend, row.state.rawValue, String(left), oldest.map(Units.seconds) ?? "",
            ])
            output.flush()
        case .table:
            let bar = output.columns == nil ? "" : DrainWait.bar(done: initial - left, of: initial) + " "
            let change = last.map { "\($0) → " } ?? ""
            let age = oldest.map { ", oldest \(Units.age($0))" } ?? ""
            output.progress("\(bar)\(change)\(Units.connections(left))\(age)")
        }
    }

    private static func bar(done: Int, of total: Int) -> String {
        let width = 20
        let full = total > 0 ? max(0, min(width, done * width / total)) : width
        return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: width - full) + "]"
    }
}

/// A line of `drain --wait --json`.
struct DrainStep: Codable, Sendable {
    var service: String
    var backend: String
    var state: BackendRow.State
    var connections: Int
    @Nullable var oldestSeconds: Double?

    enum CodingKeys: String, CodingKey {
        case service, backend, state, connections
        case oldestSeconds = "oldest_seconds"
    }
}
