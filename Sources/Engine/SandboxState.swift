import Addressing
import CContinuity
import CLayout
import Configuration
import Continuity
import Control
import Forwarding
import Linux
import Logging

/// The sandbox, as the shared region tells of it: what it is to be, and what has become of it (sandbox.h).
struct SandboxState {
    private let region: SharedRegion
    private var state: UnsafeMutablePointer<limpet_sandbox> { region.sandbox }

    init(_ region: SharedRegion) {
        self.region = region
    }

    // MARK: The keeper's start

    /// Decides what the engines may do, and puts the keeper's own list on this process. At the very end of the start: for
    /// the only thread that there is.
    func begin(_ configuration: DaemonConfiguration, startedBy: UInt32, control: String, state: String) {
        limpet_trust_begin(startedBy)
        let wanted = configuration.sandbox == .on ? LIMPET_SANDBOX_ON : LIMPET_SANDBOX_OFF
        var directories = [state, SandboxState.directory(of: control)]
        for path in SandboxState.listenerDirectories(configuration) where !directories.contains(path) {
            directories.append(path)
        }
        var bytes: [CChar] = []
        // What has no room cannot be written to, and a listener there says so.
        for path in directories where bytes.count + path.utf8.count + 2 < Int(LIMPET_SANDBOX_PATHS) {
            bytes += path.utf8CString
        }
        limpet_sandbox_decide(region.header, UInt32(wanted), bytes + [0], UInt32(bytes.count + 1))
        limpet_sandbox_keeper(region.header)
    }

    /// Of each file of a socket that clients connect to.
    private static func listenerDirectories(_ configuration: DaemonConfiguration) -> [String] {
        configuration.services.flatMap(\.listeners).compactMap { listener in
            if case .unix(let path) = listener.address, !path.isAbstract { directory(of: path.name) } else { nil }
        }
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    // MARK: A reload

    /// Whether the listeners of another configuration could be bound.
    /// - Throws: where one lies in a directory that the engine may not write in. Nobody can give it more than it began with.
    func check(_ new: DaemonConfiguration) throws(StartError) {
        guard state.pointee.landlock > 0 else { return }
        let allowed = directories
        for directory in SandboxState.listenerDirectories(new)
        where !allowed.contains(where: { directory == $0 || $0 == "/" || directory.hasPrefix($0 + "/") }) {
            throw StartError(
                "the sandbox lets limpetd make sockets in the directories alone that were configured when it was started"
                    + " (\(allowed.joined(separator: ", "))), and \(directory) is none of them: put the socket into one of"
                    + " these, or restart limpetd")
        }
    }

    // MARK: What is there

    private var directories: [String] {
        var found: [String] = []
        var place = limpet_sandbox_directories(state)
        let end = place + Int(LIMPET_SANDBOX_PATHS) - 1
        while place < end, place.pointee != 0 {
            let path = String(cString: place)
            found.append(path)
            place += path.utf8.count + 1
        }
        return found
    }

    var report: SandboxReport {
        let state = self.state.pointee
        let isOn = state.wanted == UInt32(LIMPET_SANDBOX_ON)
        let wanted: SandboxReport.Wanted =
            isOn ? .on : state.wanted == UInt32(LIMPET_SANDBOX_OFF) ? .off : .undecided
        return SandboxReport(
            wanted: wanted, systemCalls: isOn && state.keeper == 1 && state.engine == 1,
            landlockABI: isOn && state.landlock > 0 ? Int(state.landlock) : nil, missing: isOn ? missing : nil,
            directories: isOn && state.landlock > 0 ? directories : [],
            violations: limpet_load64(&self.state.pointee.violations))
    }

    private var missing: String? {
        let state = self.state.pointee
        var parts: [String] = []
        for (process, result) in [("the keeper", state.keeper), ("the engine", state.engine)] where result != 1 {
            let reason = result == 0 ? "no list was put on" : "\(Errno(rawValue: -result))"
            parts.append("system calls of \(process) are not filtered: \(reason)")
        }
        if state.landlock == 0 {
            parts.append("this kernel has no Landlock: the engine may write wherever its user may")
        } else if state.landlock < 0 {
            parts.append(
                "Landlock cannot be had, so the engine may write wherever its user may:"
                    + " \(Errno(rawValue: -state.landlock))")
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// Says once how it stands.
    func announce(_ log: Logger) {
        let report = self.report
        switch report.wanted {
        case .off: log.warning("no sandbox, as asked: leave out sandbox = \"off\" once you are done")
        case .undecided: log.warning("no sandbox: limpetd was started by a version that had none; restart it")
        case .on:
            if let missing = report.missing { log.warning("sandbox: \(missing)") }
            guard report.systemCalls || report.landlockABI != nil else { return }
            log.info(
                "sandbox",
                metadata: [
                    "system_calls": "\(report.systemCalls ? "filtered" : "any")",
                    "landlock_abi": "\(report.landlockABI.map(String.init) ?? "none")",
                    "writes_in": "\(report.directories.joined(separator: " "))",
                ])
        }
    }
}

extension Controller {
    /// How long the log says nothing more of a call that is refused again and again, in ns.
    private static let sandboxSilence: UInt64 = 60_000_000_000

    /// Tells of system calls that were refused since it last did. Once a second.
    func noteSandbox() {
        let sandbox = region.sandbox
        guard limpet_load64(&sandbox.pointee.violations) != 0 else { return }
        let now = Clock.now()
        for index in 0..<LIMPET_VIOLATIONS {
            let entry = limpet_violation_at(sandbox, index)
            let count = limpet_load64(&entry.pointee.count)
            guard limpet_load32(&entry.pointee.state) == 2, count > entry.pointee.told,
                entry.pointee.told == 0 || now - entry.pointee.told_time > Controller.sandboxSilence
            else { continue }
            let name = SystemCalls.name(entry.pointee.number) ?? "unknown"
            let times = count - entry.pointee.told
            log.error(
                """
                the sandbox has refused a system call: \(name), \(times == 1 ? "once" : "\(times) times"); please report \
                it, and if something does not work because of it, start limpetd with --sandbox off
                """,
                metadata: [
                    "number": "\(entry.pointee.number)",
                    "arguments": "\(arguments(entry.pointee))",
                    "thread": "\(String(cString: limpet_violation_thread(entry)))",
                    "at": "0x\(String(entry.pointee.place, radix: 16))",
                ])
            entry.pointee.told = count
            entry.pointee.told_time = now
        }
    }

    private func arguments(_ entry: limpet_violation) -> String {
        [entry.argument.0, entry.argument.1, entry.argument.2].map { "0x" + String($0, radix: 16) }
            .joined(separator: " ")
    }
}
