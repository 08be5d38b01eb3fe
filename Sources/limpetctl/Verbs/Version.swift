import ArgumentParser
import Control

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the versions of limpetctl and limpetd.")

    @OptionGroup var options: GlobalOptions

    /// What `limpetctl --version` adds: the tool's own version is worth printing where no daemon runs.
    @Flag(help: .private)
    var evenAlone = false

    func run() throws {
        if options.watch != nil { throw Failure.usage("--watch does not go with version") }
        let output = Output(options)
        let answer: Result<Reply<EmptyBody>, ControlError>
        do throws(ControlError) {
            answer = .success(try ControlClient(path: try socketPath()).version())
        } catch {
            answer = .failure(error)
        }
        try print(try? answer.get().version, output)
        output.flush()
        if case .failure(let error) = answer, !evenAlone { throw Failure(error) }
    }

    private func socketPath() throws(ControlError) -> String {
        do throws(Failure) {
            return try options.socketPath()
        } catch {
            throw ControlError(.badRequest, error.message ?? "")
        }
    }

    private func print(_ daemon: String?, _ output: Output) throws {
        switch output.form {
        case .json: try output.json(Versions(limpetctl: limpetVersion, limpetd: daemon))
        case .plain:
            output.plain(["limpetctl", limpetVersion])
            output.plain(["limpetd", daemon ?? ""])
        case .table:
            output.line("limpetctl \(limpetVersionText)")
            output.line("limpetd \(daemon ?? "is not running, or cannot be asked")")
        }
    }
}

/// What `version --json` prints. `version` is the daemon's, as everywhere, and limpetctl's where there is none.
private struct Versions: Encodable {
    let schema = controlSchema
    let version: String
    let time = Timestamp.now
    let limpetctl: String
    @Nullable var limpetd: String?

    init(limpetctl: String, limpetd: String?) {
        version = limpetd ?? limpetctl
        self.limpetctl = limpetctl
        self.limpetd = limpetd
    }
}
