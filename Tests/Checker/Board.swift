import Addressing
import Linux
import Synchronization

/// What the threads of the checker tell each other.
final class Board: Sendable {
    let plan: Plan
    let ledger = Ledger()
    /// Where clients connect to.
    let targets = Locked<[Target]>([])
    /// New connections per second.
    let churn: Atomic<Int>
    let isStopping = Atomic(false)
    /// Clients that were started; the next one's number.
    let started = Atomic(0)
    /// Standing connections that work.
    let settled = Atomic(0)
    /// Answers that came.
    let messages = Atomic(0)
    let connectFailures = Atomic(0)
    /// The longest time in ns between a question and its answer: since the last mark, and ever.
    let gap = Atomic<UInt64>(0)
    let worstGap = Atomic<UInt64>(0)
    /// The longest time in ns from a connect to the first byte back.
    let worstOpening = Atomic<UInt64>(0)
    /// The threads that have come to their end.
    let clientsDone = Atomic(false)
    let backendsDone = Atomic(false)
    /// Nothing moves any more: what is not over is not going to be.
    let isGivenUp = Atomic(false)
    /// Grows with everything that happens, so that a standstill shows.
    let progress = Atomic(0)
    let faults = Locked(Faults())

    init(plan: Plan, churn: Int) {
        self.plan = plan
        self.churn = Atomic(churn)
    }

    var stopping: Bool { isStopping.load(ordering: .relaxed) }

    /// Notes something that must not be, and says it, the first few times.
    func fault(_ kind: WritableKeyPath<Faults, Int>, _ what: @autoclosure () -> String) {
        let isNews = faults.with { faults in
            faults[keyPath: kind] += 1
            faults.total += 1
            return faults.total <= 20
        }
        if isNews { Output.error("limpet-checker: \(what())") }
    }

    static func raise(_ highest: borrowing Atomic<UInt64>, to value: UInt64) {
        highest.max(value, ordering: .relaxed)
    }
}

/// What must not be, counted by streams or connections.
struct Faults: Sendable {
    var total = 0
    /// Streams that skipped bytes, repeated some, had another connection's, or something else entirely.
    var skipped = 0
    var repeated = 0
    var foreign = 0
    var corrupt = 0
    /// PROXY headers that were not right.
    var headers = 0
    /// Connections that came twice.
    var doubled = 0
    /// Connections that never reached a backend, or could not be made.
    var lost = 0
    /// Connections that a reset ended which nobody had sent.
    var resets = 0
    /// Resets that arrived as an orderly end.
    var resetsAsEnds = 0
    /// Streams that ended in good order before all their bytes had come.
    var short = 0
    /// Streams whose end never came.
    var stuck = 0
}
