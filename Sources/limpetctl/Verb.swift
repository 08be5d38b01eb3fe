import ArgumentParser
import Control
import Linux

/// A verb that shows something, once or every few seconds.
protocol ShowingVerb: ParsableCommand {
    var options: GlobalOptions { get }
    func show(_ client: ControlClient, _ output: Output) throws(ControlError)
}

extension ShowingVerb {
    func run() throws {
        let client = ControlClient(path: try options.socketPath())
        let output = Output(options)
        do throws(ControlError) {
            guard let interval = options.watch else {
                try show(client, output)
                return output.flush()
            }
            while true {
                output.beginPage()
                try show(client, output)
                output.endPage()
                Terminal.sleep(milliseconds: Int(interval * 1000))
            }
        } catch {
            output.flush()
            throw Failure(error)
        }
    }
}

/// A verb that changes something.
protocol ActingVerb: ParsableCommand {
    var options: GlobalOptions { get }
    func act(_ client: ControlClient, _ output: Output) throws
}

extension ActingVerb {
    func run() throws {
        if options.watch != nil { throw Failure.usage("--watch goes with verbs that show, not with this one") }
        let client = ControlClient(path: try options.socketPath())
        let output = Output(options)
        defer { output.flush() }
        do {
            try act(client, output)
        } catch let error as ControlError {
            throw Failure(error)
        }
    }

    /// Does what `body` does, and where the daemon wants force, asks on a terminal and then uses it.
    /// - Parameter force: what the command line says.
    func confirming<Result>(
        force: Bool, _ body: (_ force: Bool) throws(ControlError) -> Result
    ) throws -> Result {
        do throws(ControlError) {
            return try body(force)
        } catch {
            guard error.code == .needsForce, Terminal.isTerminal(0), Terminal.isTerminal(2) else { throw error }
            _ = Terminal.write(Array("\(Printable.line(error.message)). Go on? [y/N] ".utf8), to: 2)
            let answer = Terminal.readLine(0)?.lowercased() ?? ""
            guard answer == "y" || answer == "yes" else { throw Failure(message: "nothing was done", exitStatus: 1) }
        }
        return try body(true)
    }
}
