import Addressing
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore
import Names
import Observability

/// Goes over to what the name servers say: a reload of which the file has no part.
extension Controller {
    /// How far it has come.
    struct NameChange {
        var isPlanned = false
        /// What was in the way at the last attempt.
        var hindrance: String?
    }

    /// Answers that come together make one change.
    private static let gathering = TimeAmount.milliseconds(20)
    /// What could not be done is tried again.
    private static let nameRetry = TimeAmount.seconds(5)

    /// Begins to ask. Once, on the event loop.
    func beginNames() {
        nameKeeper.changed = { [weak self] in self?.planNames(in: Controller.gathering) }
        nameKeeper.follow(request.configuration)
    }

    /// Goes over to the names that are known by then.
    func planNames(in time: TimeAmount) {
        guard !nameChange.isPlanned else { return }
        nameChange.isPlanned = true
        eventLoop.scheduleTask(in: time) { [self] in
            nameChange.isPlanned = false
            takeNames()
        }
    }

    private func takeNames() {
        guard isServing, nameKeeper.facts.wanted(by: request.configuration) != topology.names else { return }
        let promise = eventLoop.makePromise(of: ReloadReport.self)
        promise.futureResult.assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success: nameChange.hindrance = nil
            case .failure(let error): noteHindrance(error)
            }
            // More may have been heard meanwhile.
            if isServing, nameKeeper.facts.wanted(by: request.configuration) != topology.names {
                planNames(in: nameChange.hindrance == nil ? Controller.gathering : Controller.nameRetry)
            }
        }
        enqueue(.names, promise)
    }

    private func noteHindrance(_ error: any Error) {
        let text = (error as? ControlError)?.message ?? "\(error)"
        guard nameChange.hindrance != text else { return }
        nameChange.hindrance = text
        // An upgrade or a shutdown is in the way of its own accord.
        guard (error as? ControlError)?.code != .busy else { return }
        log.error("the backends cannot follow the name servers: \(text)")
    }

    /// Says what has changed.
    func announceNames(_ former: NameFacts, _ changes: [ConfigurationChange], _ warnings: [String]) {
        let next = topology.names
        for question in request.configuration.questions(next) {
            let (before, after) = (former.records(question), next.records(question))
            guard before != after else { continue }
            let old = before.map { $0.joined(separator: " ") }
            let new = after.map { $0.joined(separator: " ") } ?? "none"
            log.notice(
                "\(question) has changed",
                metadata: ["was": "\(NameText.shortened(old ?? "none"))", "is": "\(NameText.shortened(new))"])
            events.post(
                ControlEvent(
                    .name, old: old.map(NameText.shortened), new: NameText.shortened(new),
                    cause: "\(question) has changed", count: after?.count))
        }
        for change in changes { log.notice("names: \(change)") }
        for warning in warnings { log.warning("names: \(warning)") }
    }

    /// What is known of the name that a backend hangs on.
    func nameRow(_ slot: Int) -> BackendRow.Resolution? {
        guard let question = topology.question(slot) else { return nil }
        let standing = nameKeeper.standing(question)
        return BackendRow.Resolution(
            name: "\(question)", addresses: topology.endpoints(slot).map { "\($0.address)" },
            records: topology.names.records(question)?.count ?? 0, leftOut: standing?.leftOut ?? 0,
            answeredAt: standing?.answered.map { Timestamp(nanoseconds: $0) }, error: standing?.failure,
            template: topology.backends[slot].configuration.template)
    }
}

/// Long lists, for a line of the log.
enum NameText {
    static func shortened(_ text: String) -> String {
        text.utf8.count <= 300 ? text : String(text.prefix(300)) + " …"
    }
}

extension DaemonConfiguration {
    /// Descriptors that the resolver may have open at once: each question a socket for each server, twice where an
    /// answer needs TCP; and its own. resolv.conf(5) has three servers at most.
    var nameDescriptors: Int {
        hasNames ? 2 * NameResolver.mostUnderWay * (resolvers.isEmpty ? 3 : resolvers.count) + 4 : 0
    }
}

extension Controller {
    func writeNames(_ text: inout MetricsText) {
        text.write(MetricCatalogue.nameResolutions) { samples in
            for result in ControlCounts.ResolutionResult.allCases {
                samples.add(["\(result)"], counts.resolutions(result))
            }
        }
        let now = Clock.wall()
        let standings = nameKeeper.standings
        text.write(MetricCatalogue.nameAge) { samples in
            for (question, standing) in standings {
                guard let answered = standing.answered else { continue }
                samples.add(["\(question)"], Double((now - min(now, answered)) / 1_000_000) / 1000)
            }
        }
        text.write(MetricCatalogue.nameRecords) { samples in
            for (question, _) in standings {
                samples.add(["\(question)"], topology.names.records(question)?.count ?? 0)
            }
        }
    }
}
