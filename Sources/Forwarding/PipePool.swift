import CLayout
import Linux

/// The empty pipes of one worker. A pipe that ever held bytes comes back only when it is known to be empty; otherwise
/// it is closed, so that one client's bytes can never reach another.
struct PipePool: ~Copyable {
    /// What a new pipe asks the kernel for.
    static let wantedCapacity: Int32 = 256 * 1024
    /// Empty pipes to keep; more are closed. 4 MiB per worker at most: an ordinary user has 64 MiB of them (pipe(7)).
    private static let kept = 16
    /// A pipe that takes less than this is one of those that an unprivileged user gets when he has many, see pipe(7).
    private static let small: Int32 = 65536
    /// Nanoseconds between two tries after the kernel refused one.
    private static let retryAfter: UInt64 = 100_000_000

    private let free: UnsafeMutablePointer<Pipe>
    private var freeCount = 0
    private var existing = 0
    private let maximum: Int
    private var refusedUntil: UInt64 = 0
    /// When to ask again for a larger one, in ns.
    private var smallUntil: UInt64 = 0
    private let counters: UnsafeMutablePointer<limpet_worker>

    /// - Parameter maximum: pipes that may exist at once.
    init(maximum: Int, counters: UnsafeMutablePointer<limpet_worker>) {
        self.maximum = maximum
        self.counters = counters
        free = .allocate(capacity: PipePool.kept)
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
        if freeCount == PipePool.kept || (isSmall && freeCount > 0) {
            discard(pipe)
            return
        }
        free[freeCount] = pipe
        freeCount += 1
        limpet_store64(&counters.pointee.pipes_held, UInt64(existing - freeCount))
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
        free[freeCount - 1].ask(for: PipePool.wantedCapacity)
    }

    private mutating func open(now: UInt64) {
        if existing >= maximum || now < refusedUntil {
            limpet_bump64(&counters.pointee.pipes_refused, 1)
            return
        }
        do {
            free[0] = try Pipe.open(capacity: PipePool.wantedCapacity)
            counters.pointee.highest = max(counters.pointee.highest, free[0].read, free[0].write)
            freeCount = 1
            existing += 1
            limpet_store64(&counters.pointee.pipes, UInt64(existing))
        } catch {
            refusedUntil = now + PipePool.retryAfter
            limpet_bump64(&counters.pointee.pipes_refused, 1)
        }
    }
}
