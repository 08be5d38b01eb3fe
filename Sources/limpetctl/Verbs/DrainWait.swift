import Control
import Linux

/// Waits until a draining backend has no connection left, and says how it goes.
struct DrainWait {
    let name: BackendName
    /// Whether it is a drain of one's own: then it is over, too, once somebody else takes it back.
    let isOwn: Bool
    let limit: DurationOption?
    /// Between two looks.
    static let interval = 500

    func run(_ client: ControlClient, _ output: Output) throws(ControlError) {
        // However it ends, what follows begins on a clear line.
        defer { output.endProgress() }
        let start = Clock.now()
        var first: Int?
        var last: BackendRow?
        while true {
            let reply: Reply<BackendsReport>
            do throws(ControlError) {
                reply = try client.backend(name.description)
            } catch {
                // What a reload has removed is shown as long as it has connections.
                guard error.code == .noSuchObject, last?.state == .removed else { throw error }
                return done(output, "removed")
            }
            guard let row = reply.body.backends.first else { throw ControlError(.noSuchObject, "\(name): it has gone") }
            let left = row.open
            let initial = first ?? left
            first = initial
            if left != last?.open || row.drain?.phase != last?.drain?.phase || row.drain?.reason != last?.drain?.reason
            {
                let oldest = left > 0 ? try oldestAge(client) : nil
                try report(reply, row, from: last?.open, of: initial, oldest: oldest, output)
                last = row
            }
            if isOwn, row.intent != .drain {
                throw ControlError(.refused, "\(name): no longer draining: its state is \(row.state.rawValue)")
            }
            if left == 0, row.state == .drained || row.state == .maintenance { return done(output, row.state.rawValue) }
            if let limit, Clock.now() - start >= limit.duration.nanoseconds {
                throw ControlError(
                    .timeout,
                    "\(name): \(Units.connections(left)) left after \(limit.text); "
                        + (row.intent == .drain ? "it stays draining" : "its state is \(row.state.rawValue)"))
            }
            Terminal.sleep(milliseconds: DrainWait.interval)
        }
    }

    private func done(_ output: Output, _ word: String) {
        output.endProgress()
        if output.form == .table { output.line("\(name): \(word)") }
    }

    /// Age of the oldest connection in seconds; nil: the last one went meanwhile.
    private func oldestAge(_ client: ControlClient) throws(ControlError) -> Double? {
        try client.connections([("backend", name.description), ("sort", "age"), ("limit", "1")]).next()?.ageSeconds
    }

    private func report(
        _ reply: Reply<BackendsReport>, _ row: BackendRow, from last: Int?, of initial: Int, oldest: Double?,
        _ output: Output
    ) throws(ControlError) {
        let left = row.open
        switch output.form {
        case .json:
            let step = DrainStep(
                service: name.service, backend: name.backend, state: row.state, connections: left,
                oldestSeconds: oldest,
                phase: row.drain?.phase, reason: row.drain?.reason, secondsLeft: row.drain?.secondsLeft)
            try output.json(Reply(version: reply.version, time: reply.time, body: step))
            output.flush()
        case .plain:
            output.plain([
                name.service, name.backend, row.state.rawValue, String(left), oldest.map(Units.seconds) ?? "",
                row.drain?.phase.rawValue ?? "", row.drain?.reason ?? "",
                row.drain?.secondsLeft.map(Units.seconds) ?? "",
            ])
            output.flush()
        case .table:
            let bar = output.columns == nil ? "" : DrainWait.bar(done: initial - left, of: initial) + " "
            let change = last.flatMap { $0 == left ? nil : "\($0) → " } ?? ""
            let age = oldest.map { ", oldest \(Units.age($0))" } ?? ""
            output.progress("\(bar)\(change)\(Units.connections(left))\(age)\(row.drain?.remark ?? "")")
        }
    }

    private static func bar(done: Int, of total: Int) -> String {
        let width = 20
        let full = total > 0 ? max(0, min(width, done * width / total)) : width
        return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: width - full) + "]"
    }
}

extension BackendRow {
    /// Connections, those being dialled included.
    var open: Int { connections + connecting }
}

extension DrainRow {
    /// What comes after the number of connections: why nothing happens, or how long it takes.
    fileprivate var remark: String {
        switch phase {
        case .paused: ", paused: \(reason ?? "")"
        case .grace: ", shedding begins in \(Units.about(graceSeconds))"
        case .shedding, .kept: secondsLeft.map { ", \(Units.about($0)) left" } ?? ""
        case .closing, .done: ""
        }
    }
}

/// A line of `drain --wait --json`.
struct DrainStep: Codable, Sendable {
    var service: String
    var backend: String
    var state: BackendRow.State
    var connections: Int
    @Nullable var oldestSeconds: Double?
    @Nullable var phase: DrainRow.Phase?
    @Nullable var reason: String?
    @Nullable var secondsLeft: Double?

    enum CodingKeys: String, CodingKey {
        case service, backend, state, connections, phase, reason
        case oldestSeconds = "oldest_seconds"
        case secondsLeft = "seconds_left"
    }
}
