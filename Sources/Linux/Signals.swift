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
