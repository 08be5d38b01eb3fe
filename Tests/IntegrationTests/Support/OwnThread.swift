import Foundation
import Testing

/// Gives each test a thread of its own, and lets few of them run at a time.
///
/// The tests block in system calls. On the concurrency pool, which has one thread per core, they would starve
/// each other and the clock behind their time limits; all at once they would starve the daemons.
struct OwnThreadTrait: TestTrait, SuiteTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        await Gate.shared.enter()
        do {
            try await withTaskExecutorPreference(ThreadPerJob.shared) { try await function() }
        } catch {
            await Gate.shared.leave()
            throw error
        }
        await Gate.shared.leave()
    }
}

extension Trait where Self == OwnThreadTrait {
    /// See ``OwnThreadTrait``.
    static var ownThread: OwnThreadTrait { OwnThreadTrait() }
}

extension Trait where Self == TimeLimitTrait {
    /// The outermost fence of a test. It counts the time in the queue for a place as well, so it is far longer than
    /// a test may take; each wait inside a test has a limit of its own.
    static var fence: TimeLimitTrait { .timeLimit(.minutes(10)) }
}

/// Starts one thread per job.
private final class ThreadPerJob: TaskExecutor {
    static let shared = ThreadPerJob()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        Thread.detachNewThread { job.runSynchronously(on: executor) }
    }
}

/// Admits as many tests as there are places; the others wait in order.
private actor Gate {
    static let shared = Gate(places: 4)

    private var places: Int
    private var queue: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { self.places = places }

    func enter() async {
        if places > 0 {
            places -= 1
        } else {
            await withCheckedContinuation { queue.append($0) }
        }
    }

    func leave() {
        if queue.isEmpty { places += 1 } else { queue.removeFirst().resume() }
    }
}
