import ArgumentParser
import Control
import Linux

struct Top: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch connections, rates and load, on a whole terminal.",
        discussion: """
            Keys: q ends it; b, c and l show backends, connections and listeners; s sorts by the next thing; space stops \
            and goes on. Where stdin or stdout is no terminal, and with --json or --plain, it measures for a second and prints \
            once.
            """)

    @OptionGroup var options: GlobalOptions

    func run() throws {
        // A daemon that does not answer must not keep the keys from being heard.
        let client = ControlClient(path: try options.socketPath(), limit: .seconds(5))
        let output = Output(options)
        let interval = Int((options.watch ?? 1) * 1000)
        do {
            guard output.form == .table, Terminal.isTerminal(0), Terminal.isTerminal(1) else {
                return try printOnce(client, output, interval)
            }
            try TopScreen(client, interval: interval, style: output.style).run()
        } catch let error as ControlError {
            output.flush()
            throw Failure(error)
        }
    }

    private func printOnce(_ client: ControlClient, _ output: Output, _ interval: Int) throws {
        var before = try client.top()
        repeat {
            Terminal.sleep(milliseconds: interval)
            let now = try client.top()
            let rates = TopRates(from: before.body, to: now.body)
            before = now
            switch output.form {
            case .json: try output.json(Reply(version: now.version, time: now.time, body: rates))
            case .plain: for fields in rates.plainRows { output.plain(fields) }
            case .table:
                let page = TopPage(columns: nil, style: output.style)
                for line in page.lines(rates, version: now.version, connections: [], rows: nil) { output.line(line) }
            }
            output.flush()
        } while options.watch != nil
    }
}

extension TopRates {
    /// Backend, source, ports used and their limit; empty where none were counted.
    private var portFields: [String] {
        guard let ports = sourcePorts else { return ["", "", "", ""] }
        return [
            "\(ports.service)/\(ports.backend)", ports.source, String(ports.used),
            ports.limit.map { String($0) } ?? "",
        ]
    }

    /// In the order that limpetctl(8) documents.
    fileprivate var plainRows: [[String]] {
        [
            [
                "daemon", Units.seconds(uptimeSeconds), String(connections), String(maxConnections),
                Units.seconds(acceptsPerSecond), String(descriptors), String(descriptorLimit), String(pipes),
                String(pipesHeld), String(maxPipes),
            ] + portFields
        ]
            + workers.map { ["worker", String($0.worker), String($0.connections), Units.seconds($0.busy)] }
            + backends.map {
                [
                    "backend", $0.service, $0.name, $0.state.rawValue, String($0.connections), String($0.connecting),
                    String($0.away), Units.seconds($0.connectsPerSecond), Units.seconds($0.bytesInPerSecond),
                    Units.seconds($0.bytesOutPerSecond), Units.seconds($0.failuresPerSecond),
                ]
            }
            + listeners.map {
                [
                    "listener", $0.service, $0.name, $0.state.rawValue, String($0.connections),
                    Units.seconds($0.acceptsPerSecond), Units.seconds($0.refusedPerSecond),
                ]
            }
    }
}
