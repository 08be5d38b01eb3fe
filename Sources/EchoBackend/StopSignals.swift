import Glibc

/// SIGINT and SIGTERM, taken from their default action and waited for instead.
///
/// The mask is per thread and inherited: create the value on the main thread before any other thread starts.
struct StopSignals: Sendable {
    /// Blocks the signals in the calling thread and in all that it will start, and ignores SIGPIPE.
    init() {
        signal(SIGPIPE, SIG_IGN)
        var set = Self.set
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for one of the signals. Any thread, one at a time.
    /// - Returns: its number.
    func wait() -> Int32 {
        var set = Self.set
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        return number
    }

    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        return set
    }
}
