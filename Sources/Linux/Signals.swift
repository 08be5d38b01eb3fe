import CLinux
import Glibc

/// Signals by descriptor. Block them before the first thread starts, so that every thread inherits the mask.
public enum Signals {
    public static let terminate = SIGTERM
    public static let interrupt = SIGINT
    public static let hangUp = SIGHUP

    /// Blocks the signals for this thread and all that it starts, and ignores SIGPIPE for the process.
    public static func block(_ numbers: [Int32]) {
        signal(SIGPIPE, SIG_IGN)
        var set = makeSet(numbers)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Lets faults end the process at once, as the kernel does it.
    ///
    /// Where the Swift runtime finds its backtracer it has put handlers in the way: they write registers and the memory
    /// that these point to, the secret key's or a client's bytes perhaps, to the log before the process ends, and one that
    /// was sent such a signal by kill(2) lives on.
    public static func endAtFaults() {
        for number in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] { signal(number, SIG_DFL) }
    }

    /// Waits for one of the blocked signals and returns its number.
    public static func wait(_ numbers: [Int32]) -> Int32 {
        var set = makeSet(numbers)
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        return number
    }

    private static func makeSet(_ numbers: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        return set
    }
}
