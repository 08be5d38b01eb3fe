import CCares
public import Linux

/// Asks name servers, on a thread of its own: c-ares reads files, and nobody else is to wait for a disk or a server.
///
/// Any thread may call it. What nobody has been told of is lost with the process, and with it its sockets.
public final class NameResolver: @unchecked Sendable {
    /// Questions that are under way at once; each may have a socket for each server, twice where an answer needs TCP.
    public static let mostUnderWay = 16

    /// What is to be expected of a question. Those of which less is to be expected have fewer of the places, so that names
    /// whose servers are silent, each of which holds its place for the whole time-out, hold up no name that is well.
    public enum Prospect: Int, Sendable, CaseIterable {
        /// The name was answered before.
        case known
        /// Nobody has asked for it yet.
        case new
        /// It was not answered last time.
        case failing

        /// Of ``mostUnderWay``.
        var places: Int {
            switch self {
            case .known: NameResolver.mostUnderWay
            case .new: 8
            case .failing: 4
            }
        }
    }

    private struct Request {
        let prospect: Prospect
        let question: NameQuestion
        let settings: ResolverSettings
        let done: @Sendable (NameAnswer) -> Void
    }

    private struct Mail {
        var requests: [Request] = []
        var isStopped = false
    }

    private let mail: Locked<Mail>
    private let wakeUp: WakeUp
    private let set: Int32
    private let prologue: @Sendable () -> Void

    /// - Parameter prologue: called first on the thread.
    public init(prologue: @escaping @Sendable () -> Void = {}) throws(SystemError) {
        mail = Locked(Mail())
        wakeUp = try WakeUp()
        set = try Poller.create()
        self.prologue = prologue
        try Threads.startDetached("names") { [self] in run() }
    }

    /// Asks.
    /// - Parameter done: called once, on the resolver's thread, after ``ResolverSettings/timeout`` at the latest, counted
    ///   from when its turn comes.
    public func resolve(
        _ question: NameQuestion, _ settings: ResolverSettings, _ prospect: Prospect = .new,
        done: @escaping @Sendable (NameAnswer) -> Void
    ) {
        mail.with {
            $0.requests.append(Request(prospect: prospect, question: question, settings: settings, done: done))
        }
        wakeUp.signal()
    }

    /// Ends the thread. What has been asked and not been answered is not answered any more.
    public func stop() {
        mail.with { $0.isStopped = true }
        wakeUp.signal()
    }

    // MARK: The thread

    private func run() {
        prologue()
        _ = ares_library_init(Int32(ARES_LIB_INIT_ALL))
        let poller = Poller(adopting: set, capacity: 64)
        let wakeUpToken = UInt64.max
        _ = poller.add(wakeUp.descriptor, token: wakeUpToken, interest: .read)
        /// Whose a socket is. Sockets come and go while c-ares works, so an event's may be another's by now; that one finds
        /// nothing there.
        var owners: [Int32: NameLookup] = [:]
        var underWay: [(lookup: NameLookup, prospect: Prospect, done: @Sendable (NameAnswer) -> Void)] = []
        var waiting: [Request] = []
        while true {
            let isStopped = mail.with { mail in
                waiting += mail.requests
                mail.requests = []
                return mail.isStopped
            }
            if isStopped { break }
            while let request = NameResolver.takeNext(&waiting, besides: underWay.map(\.prospect)) {
                let lookup = NameLookup(request.question, request.settings, now: Clock.now()) {
                    descriptor, lookup, reading, writing in
                    guard reading || writing else {
                        poller.remove(descriptor)
                        owners[descriptor] = nil
                        return
                    }
                    owners[descriptor] = lookup
                    let interest: Poller.Interest = [reading ? .read : [], writing ? .write : []]
                    _ = poller.ensure(descriptor, token: UInt64(descriptor), interest: interest)
                }
                underWay.append((lookup, request.prospect, request.done))
            }
            let now = Clock.now()
            let wait = underWay.map { $0.lookup.wait(now: now) }.min() ?? -1
            for index in 0..<poller.wait(milliseconds: wait) {
                let event = poller.event(index)
                if event.token == wakeUpToken {
                    wakeUp.clear()
                } else {
                    let broken = event.failed || event.hungUp
                    let descriptor = Int32(truncatingIfNeeded: event.token)
                    owners[descriptor]?.ready(
                        descriptor, reading: event.readable || broken, writing: event.writable || broken)
                }
            }
            let then = Clock.now()
            for entry in underWay { entry.lookup.tick(now: then) }
            underWay.removeAll { entry in
                guard let answer = entry.lookup.answer else { return false }
                entry.lookup.close()
                entry.done(answer)
                return true
            }
        }
        for entry in underWay { entry.lookup.close() }
        Descriptor.close(wakeUp.descriptor)
        Descriptor.close(set)
    }

    /// The first that waits, of the best prospect that has a place. nil: none has.
    private static func takeNext(_ waiting: inout [Request], besides underWay: [Prospect]) -> Request? {
        guard underWay.count < mostUnderWay else { return nil }
        for prospect in Prospect.allCases where underWay.count(where: { $0 == prospect }) < prospect.places {
            if let index = waiting.firstIndex(where: { $0.prospect == prospect }) { return waiting.remove(at: index) }
        }
        return nil
    }
}
