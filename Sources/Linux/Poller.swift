public import CLinux

/// A level-triggered epoll set, see epoll(7). Belongs to one thread. The set itself outlives this value: the kernel keeps
/// what is in it for whoever adopts the descriptor next.
public struct Poller: ~Copyable {
    /// What a descriptor is watched for. EPOLLERR and EPOLLHUP are always reported.
    @frozen public struct Interest: OptionSet, Sendable {
        public let rawValue: UInt8
        @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
        public static let read = Interest(rawValue: 1)
        public static let write = Interest(rawValue: 2)
        /// Told of once for each time that something comes, and not as long as there is something: the kernel need not look
        /// again. EPOLLET, with EPOLLRDHUP and EPOLLPRI: then ``Event/isMore`` says when one read may not get all.
        public static let edge = Interest(rawValue: 4)

        /// Of those who watch the same socket, not all are woken: EPOLLEXCLUSIVE. Such a descriptor can be added to the set
        /// and removed, not modified.
        public static let exclusive = Interest(rawValue: 8)

        @inlinable var epoll: UInt32 {
            (rawValue & 1 != 0 ? EPOLLIN.rawValue : 0) | (rawValue & 2 != 0 ? EPOLLOUT.rawValue : 0)
                | (rawValue & 4 != 0 ? EPOLLRDHUP.rawValue | EPOLLPRI.rawValue | 1 << 31 : 0)
                | (rawValue & 8 != 0 ? 1 << 28 : 0)
        }
    }

    /// What epoll said of one descriptor.
    @frozen public struct Event: Sendable {
        public let token: UInt64
        @usableFromInline let bits: UInt32
        @inlinable init(token: UInt64, bits: UInt32) {
            self.token = token
            self.bits = bits
        }
        @inlinable public var readable: Bool { bits & EPOLLIN.rawValue != 0 }
        @inlinable public var writable: Bool { bits & EPOLLOUT.rawValue != 0 }
        /// With ``Interest/edge``: an end or an urgent mark is among what can be read, so that a read that gets less than it
        /// asked for has not got all.
        @inlinable public var isMore: Bool { bits & (EPOLLRDHUP.rawValue | EPOLLPRI.rawValue) != 0 }
        /// An error waits in the socket: read it with recv, send or SO_ERROR.
        @inlinable public var failed: Bool { bits & EPOLLERR.rawValue != 0 }
        /// Both directions are shut. Cannot be masked.
        @inlinable public var hungUp: Bool { bits & EPOLLHUP.rawValue != 0 }
    }

    public let descriptor: Int32
    @usableFromInline let events: UnsafeMutablePointer<epoll_event>
    /// Events taken out of the kernel in one go.
    public let capacity: Int

    /// - Parameters:
    ///   - descriptor: from ``create()``, by whomever; stays open when this value ends.
    ///   - capacity: events taken out of the kernel in one go.
    public init(adopting descriptor: Int32, capacity: Int) {
        self.descriptor = descriptor
        self.capacity = capacity
        events = .allocate(capacity: capacity)
        events.initialize(repeating: epoll_event(), count: capacity)
    }

    deinit {
        events.deallocate()
    }

    /// A new set. Not close-on-exec: an upgrade inherits it.
    public static func create() throws(SystemError) -> Int32 {
        let descriptor = epoll_create1(0)
        if descriptor < 0 { throw SystemError("create an epoll set", .last) }
        return descriptor
    }

    /// Waits. Returns the number of events, to be fetched with ``event(_:)``; 0 at the time-out or a signal.
    /// - Parameter milliseconds: −1 waits for ever.
    @inlinable
    public func wait(milliseconds: Int32) -> Int {
        let count = limpet_epoll_wait(descriptor, events, Int32(capacity), milliseconds)
        return count < 0 ? 0 : Int(count)
    }

    @inlinable
    public func event(_ index: Int) -> Event {
        let event = events[index]
        return Event(token: event.data.u64, bits: event.events)
    }

    /// Puts an event in the place of another, until the next ``wait(milliseconds:)``.
    @inlinable
    public func keep(_ event: Event, at index: Int) {
        events[index].data.u64 = event.token
        events[index].events = event.bits
    }

    public func add(_ target: Int32, token: UInt64, interest: Interest) -> Errno? {
        control(EPOLL_CTL_ADD, target, token, interest)
    }

    public func modify(_ target: Int32, token: UInt64, interest: Interest) -> Errno? {
        control(EPOLL_CTL_MOD, target, token, interest)
    }

    /// Watches a descriptor whether or not it is in the set already. nil: done.
    public func ensure(_ target: Int32, token: UInt64, interest: Interest) -> Errno? {
        let failure = modify(target, token: token, interest: interest)
        return failure == .noSuchFile ? add(target, token: token, interest: interest) : failure
    }

    public func remove(_ target: Int32) {
        _ = control(EPOLL_CTL_DEL, target, 0, [])
    }

    /// The same of a set that nobody waits for at the time.
    public static func remove(_ target: Int32, from descriptor: Int32) {
        var event = epoll_event()
        _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, target, &event)
    }

    @inline(__always)
    private func control(_ operation: Int32, _ target: Int32, _ token: UInt64, _ interest: Interest) -> Errno? {
        var event = epoll_event()
        event.events = interest.epoll
        event.data.u64 = token
        return epoll_ctl(descriptor, operation, target, &event) == 0 ? nil : .last
    }
}
