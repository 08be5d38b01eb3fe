public import CLinux
import Glibc

/// Threads without Dispatch or Tasks.
public enum Threads {
    /// Starts a thread.
    /// - Parameters:
    ///   - name: at most 15 bytes show in /proc.
    ///   - body: runs once on the new thread.
    /// - Returns: a handle for ``join(_:)``.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) -> pthread_t {
        let box = Unmanaged.passRetained(Box(name: name, body: body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
                pthread_setname_np(pthread_self(), String(box.name.prefix(15)))
                box.body()
                return nil
            }, box.toOpaque())
        if result != 0 {
            box.release()
            throw SystemError("start a thread", Errno(rawValue: result))
        }
        return thread
    }

    /// Starts a thread that nobody waits for: what it held is given back when it ends.
    /// - Parameters: as of ``start(_:_:)``.
    public static func startDetached(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        pthread_detach(try start(name, body))
    }

    /// Lets the calling thread sleep.
    public static func pause(milliseconds: Int32) {
        _ = poll(nil, 0, milliseconds)
    }

    /// Waits for the thread's end.
    public static func join(_ thread: pthread_t) {
        pthread_join(thread, nil)
    }

    /// ns that the thread has run so far; nil: it has ended. The thread must not have been joined.
    public static func processorTime(_ thread: pthread_t) -> UInt64? {
        var clock = clockid_t()
        var time = timespec()
        guard pthread_getcpuclockid(thread, &clock) == 0, clock_gettime(clock, &time) == 0 else { return nil }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Processors that the process may use, at least 1.
    public static var usableProcessors: Int { Int(limpet_usable_processors()) }

    private final class Box: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}

/// A pthread mutex around a value. Not for the forwarding path; a plain lock because the standard library's is bound to
/// the thread that made it in ways that a cloned process breaks.
public final class Locked<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    public init(_ value: Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    public func with<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }
}

/// A counter in the kernel that wakes an epoll set, see eventfd(2). Any thread may signal it. Not close-on-exec: an
/// upgrade inherits it.
public struct WakeUp: Sendable {
    public let descriptor: Int32

    /// Not close-on-exec: an upgrade inherits it. Nobody closes it.
    public init() throws(SystemError) {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK))
        if descriptor < 0 { throw SystemError("create an eventfd", .last) }
    }

    /// An eventfd that was made before.
    public init(adopting descriptor: Int32) {
        self.descriptor = descriptor
    }

    public func signal() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Waits until somebody signals, or for so long.
    public func wait(milliseconds: Int32) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, milliseconds)
    }

    /// Takes the signals that came so far.
    public func clear() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}
