import ArgumentParser
import Control
import Linux

/// What shells complete words with. Names come from the daemon that runs; where none answers within a second there are
/// none, and nothing is said.
enum Completions {
    /// Backends: by name where only one service has it, else with the service.
    static let backend = CompletionKind.custom { words, _, typed in
        ask(words) { (client) throws(ControlError) in
            let rows = try client.backends().body.backends
            let counts = rows.reduce(into: [:]) { $0[$1.name, default: 0] += 1 }
            // Who has begun with the service goes on with it.
            let isFull = typed.contains("/")
            return rows.map { isFull || counts[$0.name] != 1 ? $0.fullName.description : $0.name }
        }
    }

    static let service = CompletionKind.custom { words, _, _ in
        ask(words) { (client) throws(ControlError) in try client.status().body.services.map(\.name) }
    }

    /// Addresses of listeners, as `limpetctl listeners` prints them.
    static let listener = CompletionKind.custom { words, _, _ in
        ask(words) { (client) throws(ControlError) in try client.listeners().body.listeners.map(\.name) }
    }

    /// Numbers of connections, the longest idle first: as many as anybody would look through.
    static let connection = CompletionKind.custom { words, _, _ in
        ask(words) { (client) throws(ControlError) in
            let rows = try client.connections([("sort", "idle"), ("limit", "100")])
            var found: [String] = []
            while let row = try rows.next() { found.append(row.id.description) }
            return found
        }
    }

    static let state = CompletionKind.list(ConnectionRow.State.allCases.map(\.rawValue))
    static let order = CompletionKind.list(["id", "age", "idle", "bytes", "client", "backend"])
    static let level = CompletionKind.list(LogReport.Level.allCases.map(\.rawValue))
    static let duration = CompletionKind.list(["10s", "1m", "10m", "1h", "1d"])

    private static func ask(
        _ words: [String], _ body: (ControlClient) throws(ControlError) -> [String]
    ) -> [String] {
        guard let path = try? GlobalOptions.socketPath(named: control(in: words)) else { return [] }
        return (try? body(ControlClient(path: path, limit: .seconds(1)))) ?? []
    }

    /// What the line that is being completed says of the socket.
    private static func control(in words: [String]) -> String? {
        for (index, word) in words.enumerated() {
            if word == "--control", index + 1 < words.count { return words[index + 1] }
            if word.hasPrefix("--control=") { return String(word.dropFirst("--control=".count)) }
        }
        return nil
    }
}
