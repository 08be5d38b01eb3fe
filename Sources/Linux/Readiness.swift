import CLinux
import Glibc

/// Many sockets looked at once, see poll(2). Belongs to one thread.
public struct Readiness: ~Copyable {
    private let entries: UnsafeMutablePointer<pollfd>
    private let capacity: Int
    private var count = 0

    public init(capacity: Int) {
        self.capacity = capacity
        entries = .allocate(capacity: capacity)
    }

    deinit {
        entries.deallocate()
    }

    public mutating func clear() { count = 0 }

    /// - Parameter orHasRoom: whether it is ready as well when it can be written to, as it is once a connect has succeeded.
    /// - Precondition: there are fewer than the capacity.
    public mutating func add(_ descriptor: Int32, orHasRoom: Bool) {
        precondition(count < capacity)
        entries[count] = pollfd(fd: descriptor, events: Int16(POLLIN | POLLPRI | (orHasRoom ? POLLOUT : 0)), revents: 0)
        count += 1
    }

    /// Looks at all of them, without waiting. False: the kernel refused, and nothing is known.
    public borrowing func look() -> Bool {
        while true {
            if poll(entries, nfds_t(count), 0) >= 0 { return true }
            if Errno.last != .interrupted { return false }
        }
    }

    /// Whether the socket that was added in this place can be read, has ended or failed.
    public borrowing func isReady(_ place: Int) -> Bool { entries[place].revents != 0 }
}
