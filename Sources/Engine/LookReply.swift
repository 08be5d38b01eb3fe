import CContinuity
import CLayout
import Continuity
import Glibc
import Linux

/// Looks at an executable where this process was started for that by a keeper (look.h), asks it, and says what it is.
/// - Returns: the exit status; nil: it was not started for it.
public func lookForKeeper() -> Int32? {
    var task = limpet_look_task()
    guard limpet_look_take(&task) != 0 else { return nil }
    var result = limpet_look_result()
    result.magic = LIMPET_LOOK_MAGIC
    do throws(UpgradeRefusal) {
        let path = CommandLine.arguments.count == 2 ? CommandLine.arguments[1] : ""
        let answer = try Look(task: task, path: path).run(&result)
        limpet_look_set_version(&result, answer.version)
        result.is_good = 1
    } catch {
        limpet_look_set_reason(&result, error.description)
    }
    let bytes = withUnsafeBytes(of: result) { Array($0) }
    return Terminal.write(bytes, to: task.pipe) == nil ? 0 : 1
}

/// The steps of it.
private struct Look {
    let task: limpet_look_task
    let path: String

    func run(_ result: inout limpet_look_result) throws(UpgradeRefusal) -> CanaryAnswer {
        let document: [UInt8]
        let starter: UInt32
        do {
            document = try AnonymousFile.read(task.document, count: Int(task.document_length))
            // A daemon that comes from a build whose keeper did not remember it.
            starter =
                task.started_by == .max
                ? try ActiveConfiguration.decode(document).program.startedBy : task.started_by
        } catch {
            throw UpgradeRefusal("\(error)")
        }
        let executable = try UpgradePath.open(path, trusted: [0, starter])
        defer { Descriptor.close(executable) }
        do throws(UpgradeRefusal) {
            let answer = try Canary.ask(executable, document: document)
            let denied = task.denied
            try UpgradeDecision.judge(
                answer, layout: Layouts.own, needsWayBack: task.needs_way_back != 0,
                isDenied: { Look.has(denied, $0) })
            // Its content counts where it may be read; which file it is, in any case.
            _ = limpet_identify_content(executable, &result.next)
            if let own = Executable.openOwn() {
                _ = limpet_identify_content(own, &result.own)
                Descriptor.close(own)
            }
            return answer
        } catch {
            throw UpgradeRefusal("\(path): \(error)")
        }
    }

    /// Whether a call is among those that are denied. One that this build has no name for is, where all are that are not
    /// allowed: the highest number that can be told is nobody's.
    private static func has(_ denied: limpet_calls, _ name: String) -> Bool {
        var denied = denied
        let number = limpet_call_number(name)
        return limpet_calls_have(&denied, number < 0 ? 64 * UInt32(LIMPET_CALL_WORDS) - 1 : UInt32(number)) != 0
    }
}
