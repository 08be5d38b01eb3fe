import CLinux
import Glibc

/// Signals, waited for instead of handled. Block them before the first thread starts, so that every thread inherits the
/// mask.
public enum Signals {
    public static let terminate = SIGTERM
    public static let interrupt = SIGINT
    public static let hangUp = SIGHUP
    public static let userTwo = SIGUSR2
    /// A child has ended, or was stopped or continued.
    public static let child = SIGCHLD
    public static let abort = SIGABRT
    public static let kill = SIGKILL
    public static let proceed = SIGCONT
    public static let badCall = SIGSYS
    /// Carries the number of another signal from the keeper to the engine. A real-time signal, because those queue: of two
    /// ordinary ones that wait, as after Ctrl-C the terminal's own and the one that is handed on, the second is lost.
    public static let handedOn = Int32(LIMPET_SIGNAL_HANDED_ON)

    /// A signal as ``wait(_:nanoseconds:)`` gives it.
    public struct Arrival: Sendable, Equatable {
        public let number: Int32
        /// Who sent it; 0: the kernel, for a terminal perhaps.
        public let sender: Int32
        /// Of ``handedOn``: the number that it carries.
        public let value: Int32
    }

    /// Blocks the signals for this thread and all that it starts, and ignores SIGPIPE for the process.
    public static func block(_ numbers: [Int32]) {
        signal(SIGPIPE, SIG_IGN)
        var set = makeSet(numbers)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Lets faults end the process at once, as the kernel does it, and children be waited for.
    ///
    /// Where the Swift runtime finds its backtracer it has put handlers in the way: they write registers and the memory
    /// that these point to, the secret key's or a client's bytes perhaps, to the log before the process ends, and one that
    /// was sent such a signal by kill(2) lives on. And whoever started us may ignore SIGCHLD, which is inherited.
    public static func useDefaults() {
        for number in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGCHLD] { signal(number, SIG_DFL) }
    }

    /// Waits for one of the blocked signals.
    /// - Parameter nanoseconds: how long at most; nil: for ever.
    /// - Returns: nil when the time is over.
    public static func wait(_ numbers: [Int32], nanoseconds: UInt64? = nil) -> Arrival? {
        var set = makeSet(numbers)
        var arrival = limpet_arrival()
        while limpet_signal_wait(&set, nanoseconds.map { Int64(clamping: $0) } ?? -1, &arrival) != 0 {
            switch Errno.last {
            case .interrupted: continue
            default: return nil
            }
        }
        return Arrival(number: arrival.number, sender: arrival.sender, value: arrival.value)
    }

    /// kill(2). nil: sent.
    @discardableResult
    public static func send(_ number: Int32, to process: Int32) -> Errno? {
        Glibc.kill(process, number) == 0 ? nil : .last
    }

    /// Sends a signal to one thread of a process, see tgkill(2). nil: sent.
    public static func send(_ number: Int32, to process: Int32, thread: Int32) -> Errno? {
        limpet_signal_thread(process, thread, number) == 0 ? nil : .last
    }

    /// Sends ``handedOn`` with the number of another. nil: sent.
    @discardableResult
    public static func handOn(_ number: Int32, to process: Int32) -> Errno? {
        limpet_signal_hand_on(process, number) == 0 ? nil : .last
    }

    private static func makeSet(_ numbers: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        return set
    }
}
