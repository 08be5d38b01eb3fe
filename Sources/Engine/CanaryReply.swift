import Configuration
import Continuity
import Control
import Glibc
import Linux

/// The version of the running program. A copy of a debug build may say another, for tests.
let runningVersion = TestImage.value("version") ?? limpetVersion

/// Answers where this process was started as a canary (``Canary``): says what this build is and whether it could go on
/// with the active configuration, and touches nothing.
/// - Returns: the exit status; nil: it was not started as one.
public func answerAsCanary() -> Int32? {
    guard let text = getenv(Canary.variable).map({ String(cString: $0) }) else { return nil }
    let numbers = text.split(separator: ":").compactMap { Int32($0) }
    guard numbers.count == 2 else { return 1 }
    switch TestImage.value("canary") {
    case "hangs": while true { pause() }
    case "dies": Processes.endAtOnce(3)
    default: break
    }
    let isForeign = TestImage.value("layouts") == "foreign"
    let isOneWay = TestImage.value("layouts") == "one-way"
    let answer = CanaryAnswer(
        version: runningVersion, layout: Layouts.own, reads: isForeign ? [99] : Layouts.readable,
        restores: isForeign ? [99] : isOneWay ? [] : Layouts.restorable,
        calls: SystemCalls.needed + (TestImage.value("calls").map { [$0] } ?? []), refusal: verdict(on: numbers[1]))
    return Terminal.write(Array(answer.text.utf8), to: numbers[0]) == nil ? 0 : 1
}

/// What is wrong with the document behind a descriptor; nil: nothing.
private func verdict(on document: Int32) -> String? {
    do {
        let active = try ActiveConfiguration.decode(try AnonymousFile.readAll(document))
        let configuration = try active.parsed()
        try DaemonPreparation.checkCounts(configuration)
        if let reason = TestImage.value("refuses") { return reason }
        // Executed as the daemon would be, of the same file: capabilities of a file do not come with its predecessor's.
        return SourceNeeds.problem(configuration)
    } catch {
        return "\(error)"
    }
}
