import Backends
import CCares

@testable import Configuration
@testable import Continuity
@testable import Engine
@testable import Names

/// What operators have set, as the state directory keeps it. What is read is written, and read again as the same.
func stateFile(_ input: UnsafeRawBufferPointer) {
    do throws(IntentFileError) {
        let intents = try IntentFile.read(Array(input))
        // A time that lies too far ahead is brought near by reading it. From then on it stays.
        let once = try IntentFile.read(IntentFile.text(of: intents))
        let twice = try IntentFile.read(IntentFile.text(of: once))
        check(once == twice && once.count == intents.filter { !$0.set.isEmpty }.count, "\(twice), from \(once)")
    } catch {
        checkLine("\(error)", limit: 1 << 20)
    }
}

/// The document in the shared region: the keeper reads what an engine has written, and a new version what an old one has.
func sharedDocument(_ input: UnsafeRawBufferPointer) {
    do throws(StartError) {
        let active = try ActiveConfiguration.decode(Array(input))
        let configuration = try active.parsed()
        try DaemonPreparation.checkCounts(configuration)
        _ = active.facts.kept
        _ = active.slots.successors
        _ = active.slots.goneListeners
        _ = active.slots.liveBackends
        _ = configuration.questions(active.facts)
    } catch {
        _ = "\(error)"
    }
}

/// What an executable says of itself.
func canaryAnswer(_ input: UnsafeRawBufferPointer) {
    guard let answer = try? CanaryAnswer(parsing: String(decoding: input, as: UTF8.self)) else { return }
    checkLine(answer.version)
    checkLine(answer.refusal ?? "", limit: 1 << 14)
    check((try? CanaryAnswer(parsing: answer.text)) == answer, "\(answer) is written as another")
}

/// A message of a name server: the first byte says what was asked for.
func nameAnswers(_ input: UnsafeRawBufferPointer) {
    guard let kind = input.first else { return }
    // Exactly so many bytes, as c-ares hands them over.
    let message = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: input.count - 1)
    defer { message.deallocate() }
    _ = message.initialize(from: input.dropFirst())
    let start = UnsafePointer(message.baseAddress)
    let length = Int32(message.count)
    switch kind % 3 {
    case 0: checkPart(AnswerReading.v4(start, length))
    case 1: checkPart(AnswerReading.v6(start, length))
    default: checkPart(AnswerReading.services(start, length))
    }
    guard let start else { return }
    let ttl = limpet_srv_ttl(start, length)
    check(ttl >= -1 && ttl <= Int64(Int32.max), "a time to live of \(ttl)")
}

private func checkPart<Record: Comparable & Sendable>(_ reading: AnswerReading.Reading<Record>) {
    check(reading.leftOut >= 0, "\(reading.leftOut) records are left out")
    switch reading.part {
    case .found(let records, _):
        check(!records.isEmpty && records.count <= NameAnswer.mostRecords, "\(records.count) records")
        check(zip(records, records.dropFirst()).allSatisfy { $0 < $1 }, "not in order: \(records)")
        for record in records { checkLine("\(record)") }
    case .nothing: break
    case .failed(let text): checkLine(text)
    }
}
