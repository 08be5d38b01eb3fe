import Foundation
import Synchronization

/// Something that a test waited for did not happen.
struct TimedOut: Error, CustomStringConvertible {
    var what: String
    var limit: Duration

    var description: String { "waited \(limit) in vain for: \(what)" }
}

/// The longest that a test waits for one thing. Generous: the suite may share its cores with a build.
let patience = Duration.seconds(30)

/// Returns as soon as `condition` holds.
/// - Throws: ``TimedOut`` when it does not hold within the limit, and what the condition throws.
func eventually(_ what: String, within limit: Duration = patience, _ condition: () throws -> Bool) throws {
    let end = ContinuousClock.now + limit
    while try !condition() {
        if ContinuousClock.now >= end { throw TimedOut(what: what, limit: limit) }
        usleep(5_000)
    }
}

/// Looks again and again for as long as `duration` and says whether `condition` held each time. For what must NOT happen:
/// it can miss a failure on a slow machine, and never invents one.
func holds(for duration: Duration, _ condition: () throws -> Bool) rethrows -> Bool {
    let end = ContinuousClock.now + duration
    repeat {
        if try !condition() { return false }
        usleep(10_000)
    } while ContinuousClock.now < end
    return true
}

/// Work on a second thread whose outcome the test waits for.
final class Background<Value: Sendable>: Sendable {
    private let outcome = Mutex<Result<Value, any Error>?>(nil)
    private let what: String

    init(_ what: String, _ body: @escaping @Sendable () throws -> Value) {
        self.what = what
        Thread.detachNewThread {
            let result = Result { try body() }
            self.outcome.withLock { $0 = result }
        }
    }

    /// What the work returned or threw.
    /// - Throws: ``TimedOut`` as well, when it has not ended within the limit.
    func value(within limit: Duration = .seconds(90)) throws -> Value {
        try eventually(what, within: limit) { outcome.withLock { $0 != nil } }
        return try outcome.withLock { try $0!.get() }
    }

    var isDone: Bool { outcome.withLock { $0 != nil } }
}

extension Duration {
    /// Milliseconds for poll(2): rounded up, 0 or more.
    var pollMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        return Int32(max(0, min(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000, 600_000)))
    }
}

/// True as soon as `condition` holds, false when it does not within the limit.
func becomes(within limit: Duration, _ condition: () throws -> Bool) throws -> Bool {
    do {
        try eventually("", within: limit, condition)
        return true
    } catch is TimedOut {
        return false
    }
}

/// Something that one thread tells others once.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}
