import CLinux
import Glibc

/// Two ends of a pipe, both non-blocking. A plain value: whoever holds it closes it.
@frozen public struct Pipe: Sendable, Equatable {
    public var read: Int32
    public var write: Int32
    /// Bytes that it takes when it is empty, from F_GETPIPE_SZ.
    public var capacity: Int32

    public init(read: Int32, write: Int32, capacity: Int32) {
        self.read = read
        self.write = write
        self.capacity = capacity
    }

    /// Opens a pipe and asks for a size; what the kernel really gave is in ``capacity``. An unprivileged user past
    /// pipe-user-pages-soft gets 8 KiB or less (pipe(7)). Not close-on-exec: an upgrade inherits it with its bytes.
    public static func open(capacity wanted: Int32) throws(Errno) -> Pipe {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &ends) {
            pipe2($0.baseAddress!.assumingMemoryBound(to: Int32.self), O_NONBLOCK)
        }
        if result != 0 { throw Errno.last }
        let given = limpet_pipe_set_size(ends.1, wanted)
        let capacity = given > 0 ? given : limpet_pipe_get_size(ends.1)
        return Pipe(read: ends.0, write: ends.1, capacity: max(capacity, 0))
    }

    /// Asks for another size; what the kernel really gave is in ``capacity`` afterwards. The pipe must be empty.
    public mutating func ask(for wanted: Int32) {
        let given = limpet_pipe_set_size(write, wanted)
        if given > 0 { capacity = given }
    }

    /// Bytes in it.
    public static func unread(_ end: Int32) -> Int {
        max(0, Int(limpet_unread(end)))
    }

    public func close() {
        Descriptor.close(read)
        Descriptor.close(write)
    }
}

/// Calls on any descriptor.
public enum Descriptor {
    /// close(2). EINTR still closes on Linux: never repeated.
    @inline(__always)
    public static func close(_ descriptor: Int32) {
        _ = CLinux.close(descriptor)
    }

    /// Lets an exec inherit it, see fcntl(2). nil: done.
    public static func keepOverExec(_ descriptor: Int32) -> Errno? {
        fcntl(descriptor, F_SETFD, 0) == 0 ? nil : .last
    }

    /// Waits until there is something to read, an end of it included.
    /// - Parameter moment: of ``Clock/now()``. false: it came first.
    public static func waitUntilReadable(_ descriptor: Int32, until moment: UInt64) -> Bool {
        while true {
            let now = Clock.now()
            if now >= moment { return false }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, Int32(clamping: (moment - now) / 1_000_000 + 1)) > 0 { return true }
        }
    }

    /// A descriptor that only holds its number, so that one can be had when there are none left.
    public static func reserve() -> Int32? {
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        return descriptor < 0 ? nil : descriptor
    }

    /// A copy under another number, which an exec closes.
    public static func duplicate(_ descriptor: Int32) -> Result<Int32, Errno> {
        let copy = limpet_duplicate(descriptor)
        return copy < 0 ? .failure(.last) : .success(copy)
    }

    /// The open descriptors from `range` for which `isWanted` says so, in ascending order. One system call for 4,096
    /// numbers, or for as many as the limit lets be asked for at once, and a short one more for each that is not in use:
    /// poll(2) takes those that were opened with O_PATH for closed.
    public static func open(in range: Range<Int32>, where isWanted: (Int32) -> Bool) -> [Int32] {
        // No more than the limit, or poll(2) refuses.
        let chunk = min(4096, max(1, raiseLimit()))
        let entries = UnsafeMutablePointer<pollfd>.allocate(capacity: chunk)
        defer { entries.deallocate() }
        var found: [Int32] = []
        var next = range.lowerBound
        while next < range.upperBound {
            var count = 0
            while next < range.upperBound, count < chunk {
                if isWanted(next) {
                    entries[count] = pollfd(fd: next, events: 0, revents: 0)
                    count += 1
                }
                next += 1
            }
            while poll(entries, nfds_t(count), 0) < 0, Errno.last == .interrupted {}
            for index in 0..<count {
                let isSeen = entries[index].revents & Int16(POLLNVAL) == 0
                if isSeen || fcntl(entries[index].fd, F_GETFD) >= 0 { found.append(entries[index].fd) }
            }
        }
        return found
    }

    public static func isSocket(_ descriptor: Int32) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    /// RLIMIT_NOFILE's soft limit, after raising it to the hard one.
    public static func raiseLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
