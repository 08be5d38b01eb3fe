import Addressing
public import Configuration
import Forwarding
import Linux
import Names

/// Asks for names that nothing is known of, and waits for the answers: at a start, at a reload and for `--check`, each on a
/// thread that may wait.
struct NameRound {
    /// What a start may wait for names. With the first round of checks after it, it is less than what the keeper takes for
    /// standing still.
    static let longestAtStart = Duration.seconds(3)

    let resolver: NameResolver
    private(set) var facts: NameFacts
    /// What came to nothing, by question: the end of a sentence.
    private(set) var failures: [NameQuestion: String] = [:]
    /// What is to be said of answers of which records are left out, likewise.
    private(set) var omissions: [NameQuestion: String] = [:]

    init(_ resolver: NameResolver, knowing facts: NameFacts) {
        self.resolver = resolver
        self.facts = facts
    }

    /// SRV records have names in them that are asked for, too: so there are two rounds, each of which takes as long as
    /// ``DaemonConfiguration/resolveTimeout`` at most while not more questions than the resolver takes at once are asked.
    mutating func ask(_ configuration: DaemonConfiguration, within limit: Duration) {
        let deadline = Clock.now() + limit.nanoseconds
        for _ in 0..<2 {
            let open = configuration.questions(facts).filter { facts.records($0) == nil && failures[$0] == nil }
            guard !open.isEmpty, Clock.now() < deadline else { return }
            ask(open, configuration.resolverSettings, until: deadline)
        }
    }

    /// What came to nothing, and what is left out: one line each, in the order of the names.
    var problems: [String] {
        failures.merging(omissions) { failure, _ in failure }.sorted { "\($0.key)" < "\($1.key)" }.map {
            "\($0.key): \($0.value)"
        }
    }

    private mutating func ask(_ questions: Set<NameQuestion>, _ settings: ResolverSettings, until deadline: UInt64) {
        let answers = Locked<[NameQuestion: NameAnswer]>([:])
        let arrived: WakeUp
        do throws(SystemError) {
            arrived = try WakeUp()
        } catch {
            for question in questions { failures[question] = "it cannot be asked for: \(error)" }
            return
        }
        // Answers that come too late find the box, and nobody who listens.
        let isOver = Locked(false)
        for question in questions {
            resolver.resolve(question, settings, latest: deadline) { answer in
                answers.with { $0[question] = answer }
                isOver.with { if !$0 { arrived.signal() } }
            }
        }
        while answers.with({ $0.count }) < questions.count {
            let now = Clock.now()
            guard now < deadline else { break }
            arrived.wait(milliseconds: Int32(clamping: (deadline - now) / 1_000_000 + 1))
            arrived.clear()
        }
        isOver.with { $0 = true }
        Descriptor.close(arrived.descriptor)
        for (question, answer) in answers.with({ $0 }) {
            let (failure, leftOut) = facts.take(answer, to: question)
            if let failure, facts.records(question) == nil { failures[question] = failure }
            omissions[question] = facts.omission(question, leftOut: leftOut)
        }
        for question in questions where facts.records(question) == nil && failures[question] == nil {
            failures[question] = "there was no answer in time"
        }
    }
}

extension NameFacts {
    /// Without what a configuration does not ask for.
    func wanted(by configuration: DaemonConfiguration) -> NameFacts {
        guard configuration.hasNames else { return NameFacts() }
        let wanted = configuration.wantedNames(self)
        var result = self
        result.services = services.filter { wanted.services.contains($0.key) }
        result.addresses = addresses.filter { wanted.addresses.contains($0.key) }
        return result
    }
}

/// What of the names in a configuration cannot be resolved here and now, or is left out, for `--check`: one line each.
public func nameProblems(of configuration: DaemonConfiguration) -> [String] {
    guard configuration.hasNames else { return [] }
    let resolver: NameResolver
    do throws(SystemError) {
        resolver = try NameResolver()
    } catch {
        return ["names cannot be asked for: \(error)"]
    }
    defer { resolver.stop() }
    var round = NameRound(resolver, knowing: NameFacts())
    round.ask(configuration, within: configuration.resolveTimeout * 2)
    let expansion = NameExpansion(configuration, round.facts)
    return round.problems + expansion.omissions
}
