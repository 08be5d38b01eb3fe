import Addressing
import CContinuity
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore
import Names

/// The resolver, once somebody needs one: a daemon that is told no names has no thread for them. Any thread may use it.
final class LazyResolver: Sendable {
    private let made = Locked<Result<NameResolver, SystemError>?>(nil)

    /// The one there is, or a new one.
    func get() throws(SystemError) -> NameResolver {
        try made.with { made -> Result<NameResolver, SystemError> in
            if case .success(let resolver) = made { return .success(resolver) }
            let result: Result<NameResolver, SystemError>
            do throws(SystemError) {
                result = .success(try NameResolver(prologue: { limpet_fault_thread(-1) }))
            } catch {
                result = .failure(error)
            }
            made = result
            return result
        }.get()
    }
}

/// What is known of the names of backends, and asks for it again when it is time. Lives on the control event loop.
///
/// Once something good is known of a name it stays so, whatever is heard of it later, until something else that is good is
/// heard: a name server that is gone takes no backend with it.
final class NameKeeper: @unchecked Sendable {
    /// How it stands with a name.
    struct Standing {
        /// When it was answered last with something good, in ns since 1970; nil: not since this engine began.
        var answered: UInt64?
        /// What was wrong with the last answer, as the end of a sentence; nil: nothing.
        var failure: String?
        /// Records of the last answer that were left out.
        var leftOut = 0
        /// What is to be said of these, as the end of a sentence; nil: nothing.
        var omission: String?
    }

    private final class Entry {
        var standing = Standing()
        var failures = 0
        var isUnderWay = false
        /// Whether an answer of whatever kind has come.
        var isHeard = false
        var planned: Scheduled<Void>?

        /// A name that was well is no dead one for a name server's restart.
        var prospect: NameResolver.Prospect {
            if standing.answered == nil { return failures == 0 ? .new : .failing }
            return failures < 3 ? .known : .failing
        }
    }

    private(set) var facts: NameFacts
    /// Called when other facts count, and all names that these speak of have been asked for, or some time has passed.
    var changed: () -> Void = {}
    private var configuration: DaemonConfiguration
    private var entries: [NameQuestion: Entry] = [:]
    private var isDirty = false
    /// Ends the waiting for names that were not heard of yet.
    private var settling: Scheduled<Void>?
    private static let longestSettling = TimeAmount.seconds(5)
    private let resolver: LazyResolver
    private let counts: ControlCounts
    private let events: EventHub
    private let eventLoop: any EventLoop
    private let log: Logger

    init(
        _ configuration: DaemonConfiguration, facts: NameFacts, resolver: LazyResolver, counts: ControlCounts,
        events: EventHub, eventLoop: any EventLoop, log: Logger
    ) {
        self.configuration = configuration
        self.facts = facts
        self.resolver = resolver
        self.counts = counts
        self.events = events
        self.eventLoop = eventLoop
        self.log = log
    }

    /// Goes by another configuration from now on. Called once at the beginning, too.
    /// - Parameter learned: what a reload has found out about names that were not known.
    func follow(_ next: DaemonConfiguration, learned: NameFacts = NameFacts()) {
        let isAskedOtherwise =
            next.resolverSettings != configuration.resolverSettings || next.namePace != configuration.namePace
        configuration = next
        facts.addresses.merge(learned.addresses) { own, _ in own }
        facts.services.merge(learned.services) { own, _ in own }
        facts = facts.wanted(by: next)
        noteWanted()
        // What was planned was planned by the rules before.
        if isAskedOtherwise { for (question, entry) in entries { plan(question, entry, in: .zero) } }
        noteSettled()
    }

    /// nil: nobody asks for it.
    func standing(_ question: NameQuestion) -> Standing? { entries[question]?.standing }

    /// Every name that is asked for, in order.
    var standings: [(question: NameQuestion, standing: Standing)] {
        entries.map { ($0.key, $0.value.standing) }.sorted { "\($0.0)" < "\($1.0)" }
    }

    // MARK: Parts

    private func noteWanted() {
        let wanted = configuration.hasNames ? configuration.questions(facts) : []
        for (question, entry) in entries where !wanted.contains(question) {
            entry.planned?.cancel()
            entries[question] = nil
        }
        for question in wanted where entries[question] == nil {
            let entry = Entry()
            entries[question] = entry
            plan(question, entry, in: .zero)
        }
    }

    private func plan(_ question: NameQuestion, _ entry: Entry, in wait: Duration) {
        entry.planned?.cancel()
        let time = TimeAmount.nanoseconds(Int64(clamping: wait.nanoseconds))
        entry.planned = eventLoop.scheduleTask(in: time) { [weak self] in self?.ask(question) }
    }

    private func ask(_ question: NameQuestion) {
        guard let entry = entries[question], !entry.isUnderWay else { return }
        do throws(SystemError) {
            let resolver = try resolver.get()
            entry.isUnderWay = true
            resolver.resolve(question, configuration.resolverSettings, entry.prospect) { [weak self] answer in
                guard let self else { return }
                eventLoop.execute { self.take(answer, to: question) }
            }
        } catch {
            take(NameAnswer(failed: "it cannot be asked for: \(error)"), to: question)
        }
    }

    private func take(_ answer: NameAnswer, to question: NameQuestion) {
        // A reload may have stopped asking.
        guard let entry = entries[question] else { return }
        entry.isUnderWay = false
        entry.isHeard = true
        let former = facts
        let (failure, leftOut) = facts.take(answer, to: question)
        let ttl = answer.ttl
        if ttl != nil { entry.standing.answered = Clock.wall() }
        entry.standing.leftOut = leftOut
        counts.noteResolution(ttl != nil ? .answered : answer.isFailure ? .failed : .empty)
        tell(failure, question, entry)
        // What failed says nothing about what there is.
        if ttl != nil { tellOmission(question, entry) }
        if let ttl {
            entry.failures = 0
            plan(question, entry, in: configuration.namePace.wait(ttl: ttl))
        } else {
            entry.failures += 1
            plan(question, entry, in: configuration.namePace.wait(failures: entry.failures))
        }
        if facts != former {
            isDirty = true
            // SRV records speak of other names.
            noteWanted()
        }
        noteSettled()
    }

    /// Says so when a name begins to fail, fails otherwise, or is well again.
    private func tell(_ failure: String?, _ question: NameQuestion, _ entry: Entry) {
        guard failure != entry.standing.failure else { return }
        entry.standing.failure = failure
        let isKnown = facts.records(question) != nil
        if let failure {
            let fate = isKnown ? "the last good answer is kept" : "nothing is known of it yet"
            log.warning("\(question): \(failure); \(fate)")
            events.post(ControlEvent(.name, new: "failing", cause: "\(question): \(failure); \(fate)"))
        } else {
            log.notice("\(question): it is answered again")
            events.post(ControlEvent(.name, new: "answered", cause: "\(question): it is answered again"))
        }
    }

    /// Says so when records begin to be left out, or others are.
    private func tellOmission(_ question: NameQuestion, _ entry: Entry) {
        let omission = facts.omission(question, leftOut: entry.standing.leftOut)
        guard omission != entry.standing.omission else { return }
        entry.standing.omission = omission
        if let omission { log.warning("\(question): \(omission)") }
    }

    private func noteSettled() {
        guard isDirty else { return }
        guard entries.values.allSatisfy(\.isHeard) else {
            // Some are to be waited for, as one change is better than two; but not for long.
            settling =
                settling
                ?? eventLoop.scheduleTask(in: NameKeeper.longestSettling) { [weak self] in self?.settle() }
            return
        }
        settle()
    }

    private func settle() {
        settling?.cancel()
        settling = nil
        isDirty = false
        changed()
    }
}
