import ArgumentParser
import Control
import Linux

struct Upgrade: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Put another version in the place of the running one, and keep all connections.",
        discussion: """
            The new version is asked first whether it can go on with what there is; if not, nothing changes. It returns when \
            the new version serves, or says why it does not.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: ArgumentHelp(
            "The executable (default: the one that limpetd was started from, as it is now). Only root may name one.",
            valueName: "path"), completion: .file())
    var path: String?

    @Flag(help: "Never go back to the running version, however the new one fares.")
    var noRollback = false

    func act(_ client: ControlClient, _ output: Output) throws {
        let asked = try client.upgrade(path: try absolute(path), noRollback: noRollback)
        let wait = UpgradeWait(id: asked.body.id, limit: .seconds(30))
        let reply = try wait.outcome(ControlClient(path: try options.socketPath(), limit: .seconds(5)))
        switch output.form {
        case .json: try output.json(reply)
        case .plain: output.plain(reply.body.plainFields)
        case .table: if reply.body.state == .serving { output.line(sentence(reply.body)) }
        }
        if reply.body.state != .serving {
            output.flush()
            throw Failure(message: sentence(reply.body), exitStatus: 1)
        }
    }

    private func sentence(_ report: UpgradeReport) -> String {
        let versions = report.newVersion.map { "\(report.oldVersion) → \($0)" } ?? report.oldVersion
        let reason = report.reason ?? "the reason is not known"
        return switch report.state {
        case .refused: "the upgrade was refused, and nothing has changed: \(reason)"
        case .rolledBack:
            "\(versions), rolled back: \(reason); version \(report.oldVersion) serves, with all connections"
        default:
            "\(versions), \(Units.connections(report.connections ?? 0)) kept, pause "
                + "\(Units.milliseconds(report.pauseMilliseconds ?? 0)) ms"
        }
    }

    /// As the daemon takes it, which has a working directory of its own.
    private func absolute(_ path: String?) throws -> String? {
        guard let path else { return nil }
        if path.isEmpty { throw Failure.usage("the path is empty") }
        if path.hasPrefix("/") { return path }
        guard let directory = Terminal.workingDirectory else {
            throw Failure(
                message: "\(path): the working directory cannot be told; give an absolute path", exitStatus: 2)
        }
        return directory + "/" + path
    }
}

/// Waits for the outcome of an upgrade, across the change of the process that is asked.
struct UpgradeWait {
    let id: UInt64
    let limit: Duration
    /// Between two looks, in milliseconds.
    private static let interval = 20
    /// How long nobody may listen at all, in ns: the socket itself stays while one process makes way for another.
    private static let absence: UInt64 = 2_000_000_000

    func outcome(_ client: ControlClient) throws(ControlError) -> Reply<UpgradeReport> {
        let end = Clock.now() + limit.nanoseconds
        var lastSeen = Clock.now()
        while true {
            do throws(ControlError) {
                let reply = try client.upgrade(id)
                if reply.body.isOver { return reply }
                lastSeen = Clock.now()
            } catch {
                // The process that was asked has ended, and the next one does not answer yet.
                switch error.code {
                case .failed, .timeout: break
                case .notRunning where Clock.now() < lastSeen + UpgradeWait.absence: break
                default: throw error
                }
            }
            guard Clock.now() < end else {
                throw ControlError(
                    .timeout,
                    "upgrade \(id): no outcome after \(limit.components.seconds) s; the log of limpetd tells more")
            }
            Terminal.sleep(milliseconds: UpgradeWait.interval)
        }
    }
}

extension UpgradeReport {
    fileprivate var plainFields: [String] {
        [
            String(id), state.rawValue, oldVersion, newVersion ?? "", connections.map(String.init) ?? "",
            pauseMilliseconds.map(Units.milliseconds) ?? "", reason ?? "",
        ]
    }
}
