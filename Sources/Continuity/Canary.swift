internal import CContinuity
internal import Glibc
internal import Linux

/// Asks an executable, before anything is given up for it, whether it could take over: a run of it that touches nothing.
public enum Canary {
    /// Names the descriptors of a canary in its environment: where it answers, and where the active document can be read.
    public static let variable = "LIMPET_CANARY"
    /// How long an answer may take, in nanoseconds.
    public static let limit: UInt64 = 5_000_000_000

    /// Runs the executable as a canary and reads what it says. Blocks for as long as that takes; the child is gone when it
    /// returns. For a thread of its own: the child is killed when the thread ends.
    /// - Parameters:
    ///   - executable: a descriptor, as ``UpgradePath/open(_:trusted:)`` gives it.
    ///   - document: the active one; the child gets a copy.
    ///   - limit: how long it may take, in nanoseconds.
    public static func ask(
        _ executable: Int32, document: [UInt8], limit: UInt64 = limit
    ) throws(UpgradeRefusal) -> CanaryAnswer {
        let pipe: Pipe
        do throws(Errno) {
            pipe = try Pipe.open(capacity: 65536)
        } catch {
            throw UpgradeRefusal("cannot open a pipe to ask it: \(error)")
        }
        defer { Descriptor.close(pipe.read) }
        let child = try start(executable, pipe.write, document)
        return try CanaryConversation(child: child, pipe: pipe.read, limit: limit, until: Clock.now() + limit).answer()
    }

    /// - Parameter pipe: its end to write to, which the child alone has afterwards.
    private static func start(_ executable: Int32, _ pipe: Int32, _ document: [UInt8]) throws(UpgradeRefusal) -> Int32 {
        defer { Descriptor.close(pipe) }
        let copy: Int32
        do throws(SystemError) {
            copy = try AnonymousFile.create(name: "limpet-canary")
        } catch {
            throw UpgradeRefusal("\(error)")
        }
        defer { Descriptor.close(copy) }
        if let error = AnonymousFile.replace(copy, with: document) {
            throw UpgradeRefusal("cannot write the active configuration down for it: \(error)")
        }
        // What the environment says of a region is for the daemon itself.
        let inherited = Processes.environment.filter { text in
            ![variable, "LIMPET_ADOPT", "LIMPET_LOOK"].contains { text.hasPrefix($0 + "=") }
        }
        let child = CStringArray(["limpetd"]).with { arguments in
            CStringArray(inherited + ["\(variable)=3:4"]).with { environment -> Result<Int32, Errno> in
                let child = limpet_spawn(executable, [pipe, copy], 2, arguments, environment)
                return child < 0 ? .failure(.last) : .success(child)
            }
        }
        switch child {
        case .success(let child): return child
        case .failure(let error): throw UpgradeRefusal(reason(error))
        }
    }

    /// Why it cannot be executed, for the operator.
    private static func reason(_ error: Errno) -> String {
        switch error {
        case .noSuchFile: "it is a script, or the loader that it names is missing: \(error)"
        case .notExecutable: "it is no program for this machine: \(error)"
        case .busy: "it is being written: \(error); try again when it is complete"
        case .accessDenied, .notPermitted:
            "the user that limpetd runs as may not execute it: \(error); make it executable for everybody, on a file"
                + " system that is not mounted noexec"
        default: "it cannot be executed: \(error)"
        }
    }
}

/// A canary that runs: waits for its answer and for its end.
private struct CanaryConversation {
    let child: Int32
    let pipe: Int32
    let limit: UInt64
    let until: UInt64

    func answer() throws(UpgradeRefusal) -> CanaryAnswer {
        let (text, isComplete) = read()
        let ending = isComplete ? wait() : nil
        if ending == nil {
            Signals.send(Signals.kill, to: child)
            _ = Processes.waitForEnd(child)
        }
        do throws(CanaryAnswer.Problem) {
            return try CanaryAnswer(parsing: text)
        } catch .format(let format) {
            throw UpgradeRefusal(
                "its answer has format \(format), which this version cannot read; restart limpetd instead")
        } catch {
            throw UpgradeRefusal("it is no limpetd that can take over: \(behaviour(text, ending))")
        }
    }

    /// What it did in place of an answer.
    private func behaviour(_ text: String, _ ending: Processes.Ending?) -> String {
        let first = text.split(separator: "\n").first.map { CanaryAnswer.line(String($0), limit: 100) }
        let said = first.map { "it said \"\($0)\"" } ?? "it said nothing"
        return switch ending {
        case nil where text.utf8.count > CanaryAnswer.maximumLength: "\(said) and much more, and was ended"
        case nil: "\(said) within \(limit / 1_000_000) ms, and was ended"
        case .exit(let status): "\(said) and exited with status \(status)"
        case .signal(Signals.badCall):
            "\(said) and was killed for a system call that the sandbox keeps from it; restart limpetd to change over"
        case .signal(let number): "\(said) and was killed by signal \(number)"
        }
    }

    /// - Returns: what came, and whether that was all there is.
    private func read() -> (text: String, isComplete: Bool) {
        var bytes: [UInt8] = []
        while bytes.count <= CanaryAnswer.maximumLength {
            guard Descriptor.waitUntilReadable(pipe, until: until) else { break }
            let part = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
                count = max(0, Glibc.read(pipe, buffer.baseAddress!, buffer.count))
            }
            if part.isEmpty { return (String(decoding: bytes, as: UTF8.self), true) }
            bytes += part
        }
        return (String(decoding: bytes, as: UTF8.self), false)
    }

    /// It has closed its end of the pipe, and should be about to end; nil: it does not.
    private func wait() -> Processes.Ending? {
        while true {
            if let ending = Processes.reap(child) { return ending }
            if Clock.now() >= until { return nil }
            usleep(1000)
        }
    }
}
