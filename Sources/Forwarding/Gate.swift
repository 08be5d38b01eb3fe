internal import Glibc

/// Where workers stop for an upgrade, until they are let go or the process ends. One is used once.
public final class Gate: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var awaited: Int
    private var isOpen = false

    /// - Parameter workers: that are to stop here.
    init(workers: Int) {
        awaited = workers
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// On a worker's thread: says that it has stopped, and waits.
    func stop() {
        pthread_mutex_lock(mutex)
        awaited -= 1
        pthread_cond_broadcast(condition)
        while !isOpen { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// Waits until all have stopped. False: they had not after `nanoseconds`.
    func wait(nanoseconds: UInt64) -> Bool {
        var until = timespec()
        clock_gettime(CLOCK_MONOTONIC, &until)
        let end = UInt64(until.tv_nsec) + nanoseconds % 1_000_000_000
        until.tv_sec += Int(nanoseconds / 1_000_000_000 + end / 1_000_000_000)
        until.tv_nsec = Int(end % 1_000_000_000)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while awaited > 0 {
            if pthread_cond_timedwait(condition, mutex, &until) != 0 { return awaited == 0 }
        }
        return true
    }

    /// Lets all go, also those that come later.
    func open() {
        pthread_mutex_lock(mutex)
        isOpen = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }
}
