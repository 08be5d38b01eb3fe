import Backends
import Continuity
import Forwarding
import Linux

/// What the service manager is told of the daemon, by way of the keeper.
extension Controller {
    /// The words that it was told last.
    struct ServiceReport {
        fileprivate var told: Words?
        fileprivate var nextCount: UInt64 = 0
    }

    /// Connections come and go all the time: their number alone is told this often, in ns.
    private static let countInterval: UInt64 = 30_000_000_000
    /// The same while the daemon ends, when it is what everybody waits for.
    private static let countIntervalAtTheEnd: UInt64 = 5_000_000_000

    /// One line for `systemctl status`.
    fileprivate struct Words: Equatable {
        var connections: Int
        var backends: Int
        var serving: Int
        /// When what is left is closed, in seconds from now; nil: the daemon does not end.
        var end: UInt64?

        var text: String {
            let count = connections == 1 ? "1 connection" : "\(connections) connections"
            if let end { return "Stopping: \(count) left, closed in \(end) s at the latest" }
            return "Serving \(count), \(serving) of \(backends) backends up"
        }

        /// Whether more than the number of connections and the time that passes is different.
        func differs(from other: Words) -> Bool {
            backends != other.backends || serving != other.serving || (end == nil) != (other.end == nil)
        }
    }

    var serviceState: ServiceState { ServiceState(region) }

    /// Once, when all that an engine serves is there.
    func tellReady() {
        serviceState.ready()
        noteService()
    }

    /// Tells how it is when that has changed. Called once a second.
    func noteService() {
        guard serviceState.isHeard else { return }
        let now = Clock.now()
        let words = words(now)
        if let told = service.told, !words.differs(from: told), words == told || now < service.nextCount { return }
        service.told = words
        service.nextCount = now + (isServing ? Controller.countInterval : Controller.countIntervalAtTheEnd)
        serviceState.say(words.text)
    }

    private func words(_ now: UInt64) -> Words {
        let live = topology.backends.indices.filter { topology.backends[$0].isLive }
        let until: UInt64? =
            switch phase {
            case .serving: nil
            case .leaving(_, let until), .draining(let until), .closing(let until): until
            case .ended: now
            }
        return Words(
            connections: region.open, backends: live.count,
            serving: live.count { ineligibility($0) == nil || state($0) == .full },
            end: until.map { ($0 - min(now, $0)) / 1_000_000_000 })
    }
}
