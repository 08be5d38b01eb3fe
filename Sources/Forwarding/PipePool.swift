import CLayout
import Linux

/// The empty pipes of one worker. A pipe that ever held bytes comes back only when it is known to be empty; otherwise
/// it is closed, so that one client's bytes can never reach another.
struct PipePool: ~Copyable {
    /// What the first pipes ask the kernel for: pipe-max-size, as it is by default. A stream that is taken in pieces of
    /// this size costs half of what it costs in pieces of a quarter of it.
    static let largest: Int32 = 1024 * 1024
    /// What those ask for that come after them: then many connections are held up at once, and an ordinary user has 64 MiB
    /// of pipes (pipe-user-pages-soft, pipe(7)).
    static let ordinary: Int32 = 256 * 1024
    /// Of those 64 MiB, what the large pipes of all workers may take together.
    private static let largeBudget = 32 * 1024 * 1024
    /// Large pipes that a worker has use for: it fills and empties one at a time.
    private static let largeAtMost = 8
    /// Empty pipes to keep; more are closed.
    private static let kept = 16
    /// A pipe that takes less than this is one of those that an unprivileged user gets when he has many, see pipe(7).
    private static let small: Int32 = 65536
    /// Nanoseconds between two tries after the kernel refused one.
    private static let retryAfter: UInt64 = 100_000_000

    private let free: UnsafeMutablePointer<Pipe>
    private var freeCount = 0
    private var existing = 0
    private let maximum: Int
    /// As long as fewer exist, the next one is to be large.
    private let large: Int
    private var refusedUntil: UInt64 = 0
    /// When to ask again for a larger one, in ns.
    private var smallUntil: UInt64 = 0
    private let counters: UnsafeMutablePointer<limpet_worker>

    /// - Parameters:
    ///   - maximum: pipes that may exist at once.
    ///   - workers: that share what the user may have of pipes.
    init(maximum: Int, workers: Int, counters: UnsafeMutablePointer<limpet_worker>) {
        self.maximum = maximum
        large = min(PipePool.largeAtMost, max(1, PipePool.largeBudget / Int(PipePool.largest) / workers))
        self.counters = counters
        free = .allocate(capacity: PipePool.kept + 1)
    }

    /// At the start: pipes that connections hold from before.
    mutating func start(holding count: Int) {
        existing = count
        limpet_store64(&counters.pointee.pipes, UInt64(count))
        limpet_store64(&counters.pointee.pipes_held, UInt64(count))
    }

    deinit {
        for index in 0..<freeCount { free[index].close() }
        free.deallocate()
    }

    /// Bytes that the next pipe can take for certain; 0: there is none to be had, so nothing may be read for good.
    @inline(__always)
    mutating func reserve(now: UInt64) -> Int {
        prepare(now: now)
        return freeCount > 0 ? Int(free[freeCount - 1].capacity) : 0
    }

    /// Takes an empty pipe; nil: there is none to be had.
    mutating func take(now: UInt64) -> Pipe? {
        prepare(now: now)
        guard freeCount > 0 else { return nil }
        freeCount -= 1
        limpet_store64(&counters.pointee.pipes_held, UInt64(existing - freeCount))
        return free[freeCount]
    }

    /// Gives back a pipe that is known to be empty.
    mutating func giveBack(_ pipe: Pipe) {
        let isSmall = pipe.capacity < PipePool.small
        if isSmall && freeCount > 0 {
            discard(pipe)
            return
        }
        // By size, the largest last: it is taken first, so that a stream gets a large one where there is one.
        var place = freeCount
        while place > 0, free[place - 1].capacity > pipe.capacity {
            free[place] = free[place - 1]
            place -= 1
        }
        free[place] = pipe
        freeCount += 1
        if freeCount > PipePool.kept { dropSmallest() }
        limpet_store64(&counters.pointee.pipes_held, UInt64(existing - freeCount))
    }

    private mutating func dropSmallest() {
        let smallest = free[0]
        freeCount -= 1
        for index in 0..<freeCount { free[index] = free[index + 1] }
        discard(smallest)
    }

    /// Closes a pipe that may still hold bytes.
    mutating func discard(_ pipe: Pipe) {
        pipe.close()
        existing -= 1
        limpet_store64(&counters.pointee.pipes, UInt64(existing))
        limpet_store64(&counters.pointee.pipes_held, UInt64(existing - freeCount))
    }

    /// Sees to it that the next pipe is there, and no smaller than it has to be.
    @inline(__always)
    private mutating func prepare(now: UInt64) {
        if freeCount == 0 {
            open(now: now)
        } else if free[freeCount - 1].capacity < PipePool.small {
            enlarge(now: now)
        }
    }

    /// Asks again for what the kernel refused when the next pipe was opened: otherwise one small pipe, handed out and given
    /// back, would keep the worker at small reads for good.
    private mutating func enlarge(now: UInt64) {
        if now < smallUntil { return }
        smallUntil = now + PipePool.retryAfter
        free[freeCount - 1].ask(for: existing <= large ? PipePool.largest : PipePool.ordinary)
    }

    private mutating func open(now: UInt64) {
        if existing >= maximum || now < refusedUntil {
            limpet_bump64(&counters.pointee.pipes_refused, 1)
            return
        }
        do {
            free[0] = try Pipe.open(capacity: existing < large ? PipePool.largest : PipePool.ordinary)
            limpet_store_signed32(
                &counters.pointee.highest, max(counters.pointee.highest, free[0].read, free[0].write))
            freeCount = 1
            existing += 1
            limpet_store64(&counters.pointee.pipes, UInt64(existing))
        } catch {
            refusedUntil = now + PipePool.retryAfter
            limpet_bump64(&counters.pointee.pipes_refused, 1)
        }
    }
}
