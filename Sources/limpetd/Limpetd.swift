import Configuration
import Continuity
import Engine
import Glibc
import Linux

/// The daemon's start: the command line, the configuration, then the engine.
@main
struct Limpetd {
    static func main() {
        let adoption = Adoption.take()
        StandardStreams.reserve()
        Signals.useDefaults()
        if let status = answerAsCanary() ?? lookForKeeper() { exit(status) }
        if let adoption { exit(carryOn(adoption)) }
        let options: Options
        switch CommandLineReading.read(Array(CommandLine.arguments.dropFirst())) {
        case .options(let read): options = read
        case .answered(let text):
            write(text, to: STDOUT_FILENO)
            exit(ExitStatus.done)
        case .refused(let text):
            write(text, to: STDERR_FILENO)
            exit(ExitStatus.usage)
        }
        let loaded: LoadedConfiguration
        do throws(ConfigurationFailure) {
            loaded = try ConfigurationLoader.load(path: options.config, flags: options.flags)
        } catch {
            write("\(error)\n", to: STDERR_FILENO)
            exit(error.kind == .usage ? ExitStatus.usage : ExitStatus.configuration)
        }
        for warning in loaded.warnings { write("warning: \(warning)\n", to: STDERR_FILENO) }
        if options.check {
            exit(check(loaded.configuration))
        }
        exit(
            run(
                EngineRequest(
                    configuration: loaded.configuration, configurationPath: options.config, flags: options.flags)))
    }

    /// Becomes the keeper of a new daemon, and serves until its end.
    private static func run(_ request: EngineRequest) -> Int32 {
        // Before the log's first line: whoever reads it may send a signal, and the engine inherits the mask.
        Signals.block(Keeper.signals + [Signals.handedOn])
        let daemon: PreparedDaemon
        do throws(StartError) {
            daemon = try prepareDaemon(request)
        } catch {
            return error.exitStatus
        }
        return keep(daemon, nil)
    }

    /// Becomes the keeper of a daemon that another image has handed down. Where that cannot be, the guard of that image
    /// goes on with it once this process has ended.
    private static func carryOn(_ adoption: Adoption) -> Int32 {
        Signals.block(Keeper.signals + [Signals.handedOn])
        do {
            let handedDown = try adoption.region()
            return keep(findDaemon(handedDown.region), handedDown)
        } catch {
            write("limpetd: \(error)\n", to: STDERR_FILENO)
            return ExitStatus.failed
        }
    }

    private static func keep(_ daemon: PreparedDaemon, _ handedDown: AdoptedRegion?) -> Int32 {
        Keeper.growDescriptorTable(to: daemon.descriptors)
        let knowledge = daemon.knowledge
        var keeper = Keeper(
            region: daemon.region, handedDown: handedDown, log: daemon.log,
            run: { region in runEngine(region, known: knowledge.known) }, noteRestart: daemon.noteRestart)
        let status = keeper.serve()
        daemon.removeFiles()
        return status
    }

    /// Prints what would take effect, and what of this machine would get in its way.
    private static func check(_ configuration: DaemonConfiguration) -> Int32 {
        let budget: (connections: Int, summary: String)
        do throws(StartError) {
            budget = try descriptorBudget(of: configuration)
        } catch {
            write("limpetd: \(error)\n", to: STDERR_FILENO)
            return error.exitStatus
        }
        write("\(budget.summary)\n", to: STDERR_FILENO)
        if let problem = identityProblem(of: configuration) {
            write("warning: it would not start: \(problem)\n", to: STDERR_FILENO)
        }
        if let problem = interfaceProblem(of: configuration) {
            write("warning: it would not start: \(problem)\n", to: STDERR_FILENO)
        }
        for line in networkWarnings(of: configuration) { write("warning: \(line)\n", to: STDERR_FILENO) }
        for problem in nameProblems(of: configuration) { write("warning: \(problem)\n", to: STDERR_FILENO) }
        let limits = SystemLimits.read()
        let advice = SystemAdvice(
            configuration: configuration, connectionLimit: budget.connections,
            isPrivileged: geteuid() == 0 && configuration.user == "root")
        for line in advice.warnings(limits) { write("warning: \(line)\n", to: STDERR_FILENO) }
        return write(configuration.canonicalText, to: STDOUT_FILENO) ? ExitStatus.done : ExitStatus.failed
    }
}

/// What limpetd's exit status means.
enum ExitStatus {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let configuration: Int32 = 7
}

/// Writes a whole text, unbuffered: what precedes an `exit` must be out.
/// - Returns: false where it could not be written.
@discardableResult
private func write(_ text: String, to descriptor: Int32) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno != EINTR { return false }
        bytes = bytes.dropFirst(max(count, 0))
    }
    return true
}
