import CContinuity
import Linux

/// Brings texts to the disk on a thread of its own, so that a disk that takes its time holds up nobody else. Only the
/// newest text counts: those that come while one is being written replace each other.
///
/// Its methods may be called from any thread.
final class IntentWriter: Sendable {
    private struct Work {
        /// The newest text, until it has been written.
        var text: [UInt8]?
        /// Its number: counts the texts from 1.
        var number: UInt64 = 0
        /// The number of the last one that an attempt was made with.
        var tried: UInt64 = 0
        /// Whether an attempt is under way.
        var isTrying = false
        var isEnding = false
        var hasEnded = false

        /// Whether the newest text was tried in vain.
        var hasFailed: Bool { text != nil && number == tried }
    }

    let path: String
    private let work = Monitor(Work())
    private let replace: @Sendable (String, [UInt8]) -> SystemError?
    private let retry: Duration

    /// - Parameters:
    ///   - path: the file that is replaced.
    ///   - retry: time after which a text that could not be written is tried again.
    ///   - replace: how it is done.
    init(
        path: String, retry: Duration = .seconds(10),
        replace: @escaping @Sendable (String, [UInt8]) -> SystemError? = { DurableFile.replace($0, with: $1) }
    ) {
        self.path = path
        self.retry = retry
        self.replace = replace
    }

    /// Starts the thread.
    /// - Parameter attempted: called on that thread after each attempt, with the number of the text: it and all before it
    ///   are on the disk, or the failure says why not.
    func start(attempted: @escaping @Sendable (_ number: UInt64, _ failure: SystemError?) -> Void) throws(SystemError) {
        try Threads.startDetached("intent") { [self] in
            limpet_fault_thread(-1)
            while let (number, text) = next() {
                let failure = replace(path, text)
                work.with { work in
                    work.tried = number
                    work.isTrying = false
                    if failure == nil && work.number == number { work.text = nil }
                }
                attempted(number, failure)
            }
            work.with { $0.hasEnded = true }
        }
    }

    /// Whether an attempt is under way.
    var isTrying: Bool { work.with { $0.isTrying } }

    /// Hands over a text.
    /// - Returns: its number.
    func write(_ text: [UInt8]) -> UInt64 {
        work.with { work in
            work.text = text
            work.number += 1
            return work.number
        }
    }

    /// Lets what was handed over be written, what has failed be tried once more, and ends the thread.
    /// - Returns: whether it has ended; if not, the disk is still taking its time.
    func finish(within limit: Duration) -> Bool {
        work.with { work in
            work.isEnding = true
            if work.hasFailed && !work.isTrying { work.number += 1 }
        }
        return work.wait(within: limit) { $0.hasEnded ? true : nil } ?? false
    }

    /// The next text to write; waits for it. nil: there is none any more.
    private func next() -> (number: UInt64, text: [UInt8])? {
        let pause = work.with { $0.hasFailed } ? retry : nil
        let fresh = work.wait(within: pause) { work -> (number: UInt64, text: [UInt8])?? in
            if let text = work.text, work.number != work.tried {
                work.isTrying = true
                return .some((work.number, text))
            }
            return work.isEnding ? .some(nil) : nil
        }
        // Where the time ran out: once more with the same.
        return fresh
            ?? work.with { work in
                work.isTrying = true
                return work.text.map { (work.number, $0) }
            }
    }
}
