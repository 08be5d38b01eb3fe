import CCares
public import Linux

/// Asks name servers, on a thread of its own: c-ares reads files, and nobody else is to wait for a disk or a server.
///
/// Any thread may call it. What nobody has been told of is lost with the process, and with it its sockets.
public final class NameResolver: @unchecked Sendable {
    /// Questions that are under way at once; each may have a socket for each server, twice where an answer needs TCP.
    public static let mostUnderWay = 16

    /// ns after which a question makes way for others that wait, and is asked again after them: silent servers hold their
    /// places for the whole time-out.
    static let patience: UInt64 = 500_000_000

    /// What is to be expected of a question. Those of which less is to be expected have fewer of the places, so that names
    /// whose servers are silent hold up no name that is well.
    public enum Prospect: Int, Sendable, CaseIterable {
        /// The name was answered before.
        case known
        /// Nobody has asked for it yet.
        case new
        /// It was not answered last time.
        case failing
        /// It has made way for others: the resolver's own.
        case silent

        /// Of ``mostUnderWay``.
        var places: Int {
            switch self {
            case .known: NameResolver.mostUnderWay
            case .new: 8
            case .failing, .silent: 4
            }
        }
    }

    private struct Request {
        var prospect: Prospect
        let question: NameQuestion
        let settings: ResolverSettings
        let latest: UInt64
        let done: @Sendable (NameAnswer) -> Void
    }

    /// A question that is under way.
    private struct Turn {
        let request: Request
        let lookup: NameLookup
        /// ns of ``Clock``.
        let began: UInt64
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
    /// - Parameters:
    ///   - latest: ns of ``Clock``: if its turn has not come by then, it is not asked any more.
    ///   - done: called once, on the resolver's thread, after ``ResolverSettings/timeout`` at the latest, counted from when
    ///     its last turn comes.
    public func resolve(
        _ question: NameQuestion, _ settings: ResolverSettings, _ prospect: Prospect = .new, latest: UInt64 = .max,
        done: @escaping @Sendable (NameAnswer) -> Void
    ) {
        let request = Request(
            prospect: prospect, question: question, settings: settings, latest: latest, done: done)
        mail.with { $0.requests.append(request) }
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
        var underWay: [Turn] = []
        var waiting: [Request] = []
        while true {
            let isStopped = mail.with { mail in
                waiting += mail.requests
                mail.requests = []
                return mail.isStopped
            }
            if isStopped { break }
            NameResolver.dropLate(&waiting, now: Clock.now())
            NameResolver.makeWay(&underWay, for: &waiting, now: Clock.now())
            while let request = NameResolver.takeNext(&waiting, besides: underWay.map(\.request.prospect)) {
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
                underWay.append(Turn(request: request, lookup: lookup, began: Clock.now()))
            }
            let now = Clock.now()
            var wait = underWay.map { $0.lookup.wait(now: now) }.min() ?? -1
            if let next = NameResolver.wayIsMade(underWay, for: waiting) {
                wait = min(wait, Int32(clamping: (next - min(next, now)) / 1_000_000 + 1))
            }
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
                entry.request.done(answer)
                return true
            }
        }
        for entry in underWay { entry.lookup.close() }
        Descriptor.close(wakeUp.descriptor)
        Descriptor.close(set)
    }

    /// What nobody waits for any more takes nobody's place.
    private static func dropLate(_ waiting: inout [Request], now: UInt64) {
        waiting.removeAll { request in
            guard now >= request.latest else { return false }
            request.done(NameAnswer(failed: "its turn did not come in time, as other names were not answered"))
            return true
        }
    }

    /// Those that have had their time make way for others that may be better. A slow server is heard all the same: the
    /// question is asked again, and then has its whole time-out.
    private static func makeWay(_ underWay: inout [Turn], for waiting: inout [Request], now: UInt64) {
        guard let next = wayIsMade(underWay, for: waiting), now >= next else { return }
        underWay.removeAll { turn in
            guard turn.request.prospect != .silent, now >= turn.began + patience else { return false }
            turn.lookup.close()
            var request = turn.request
            request.prospect = .silent
            waiting.append(request)
            return true
        }
    }

    /// When the next one makes way, in ns of ``Clock``; nil: nobody waits for that.
    private static func wayIsMade(_ underWay: [Turn], for waiting: [Request]) -> UInt64? {
        guard waiting.contains(where: { $0.prospect != .silent }) else { return nil }
        return underWay.lazy.filter { $0.request.prospect != .silent }.map { $0.began + patience }.min()
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
