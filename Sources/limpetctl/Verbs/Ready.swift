import ArgumentParser
import Control

struct Ready: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell whether limpetd takes connections.", discussion: "Exits 0 if it does and 1 if it does not.")

    @OptionGroup var options: GlobalOptions

    @Flag(name: .shortAndLong, help: "Print nothing, not even an error.")
    var quiet = false

    func run() throws {
        if options.watch != nil { throw Failure.usage("--watch does not go with ready: it answers by its exit status") }
        let client = ControlClient(path: try options.socketPath())
        let output = Output(options)
        do {
            let reply = try client.ready()
            if !quiet { try print(reply, output) }
            output.flush()
            if !reply.body.ready { throw Failure(message: nil, exitStatus: 1) }
        } catch let error as ControlError {
            throw Failure(message: quiet ? nil : error.description, exitStatus: error.exit)
        }
    }

    private func print(_ reply: Reply<ReadyReport>, _ output: Output) throws(ControlError) {
        let report = reply.body
        switch output.form {
        case .json: try output.json(reply)
        case .plain: output.plain([report.ready ? "yes" : "no", report.reason ?? ""])
        case .table: output.line(report.ready ? "ready" : "not ready: \(report.reason ?? "no reason given")")
        }
    }
}
