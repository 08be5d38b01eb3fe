import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// How a backend that drains, or that is disabled with its connections, becomes empty: after the grace period its connections
/// are closed at a pace, each at a quiet moment where one comes, and only while the others can take the clients. What was
/// asked for lies in the region (``DrainPace``), so that an engine that takes over goes on with it.
extension Controller {
    struct Drains {
        /// By backend slot: those that have connections yet and are to lose them.
        var running: [Int: Drain] = [:]
        var timer: RepeatedTask?
        /// Number of the last event that an engine before has posted.
        var inherited: UInt64 = 0
    }

    struct Drain {
        fileprivate var shedder: Shedder?
        /// By number: when the first attempt to close a connection quietly was made.
        fileprivate var attempts = Attempts()
        fileprivate var watch = DrainWatch()
        /// What is against closing anything now; nil: nothing.
        fileprivate(set) var hindrance: DrainHindrance?
        fileprivate var nextLook: UInt64 = 0
        /// When connections are looked for again that were not there before.
        fileprivate var nextSearch: UInt64 = 0
        fileprivate var lastStep: UInt64
        fileprivate var beginning: Beginning
        /// The deadline has come.
        fileprivate var wasDue = false
    }

    /// Whether it has been told that connections are being closed.
    fileprivate enum Beginning {
        case untold
        /// By an engine before, and not yet that this one goes on.
        case inherited
        case told
    }

    private static let drainStep = TimeAmount.milliseconds(100)
    /// Between two looks at the others, in ns.
    private static let drainLook: UInt64 = 200_000_000
    /// The same where nobody is shed, and between two searches.
    private static let drainRest: UInt64 = 1_000_000_000

    /// Goes on with what the region says of a backend.
    func armDrain(_ slot: Int) {
        guard drains.running[slot] == nil, topology.backends[slot].isLive, intent(slot) != .ready, load(slot) > 0,
            region.drainPace(slot).speed != .none || region.closingTime(slot) != nil
        else { return }
        drains.running[slot] = Drain(lastStep: Clock.now(), beginning: isInherited(slot) ? .inherited : .untold)
        noteDrains()
    }

    /// Whether an engine before has told that the drain of a backend has begun, and nobody of its end.
    private func isInherited(_ slot: Int) -> Bool {
        let backend = topology.backends[slot]
        for posted in events.recent(EventHub.capacity).reversed()
        where posted.event.event == .drain && posted.event.service == backend.serviceName
            && posted.event.backend == backend.configuration.name
        {
            if posted.number > drains.inherited { return false }
            switch posted.event.new {
            case "begun", "resumed": return true
            case "done", "ended": return false
            default: continue
            }
        }
        return false
    }

    /// How the drain of a backend stands; nil: it does not drain, and nothing is to be closed.
    func drainRow(_ slot: Int) -> DrainRow? {
        guard topology.backends[slot].isLive, intent(slot) != .ready else { return nil }
        let pace = region.drainPace(slot)
        let deadline = region.closingTime(slot)
        let left = load(slot)
        let now = Clock.now()
        let hindrance = drains.running[slot]?.hindrance
        let isDue = deadline.map { $0 <= now + Controller.drainRest } ?? false
        let phase: DrainRow.Phase =
            if left == 0 {
                .done
            } else if closings[slot]?.hasBegun == true {
                .closing
            } else if pace.speed == .none {
                hindrance != nil && isDue && !pace.isForced ? .paused : .kept
            } else if now < pace.begins {
                .grace
            } else {
                hindrance == nil ? .shedding : .paused
            }
        let rate: Double? = if case .rate(let rate) = pace.speed { rate } else { nil }
        let secondsLeft: Double? =
            switch phase {
            case .done: 0
            case .closing: nil
            case .paused: pace.isForced ? deadline.map { seconds(until: $0, now) } : nil
            case .kept, .grace, .shedding: pace.secondsLeft(connections: left, now: now, deadline: deadline)
            }
        return DrainRow(
            phase: phase, reason: phase == .paused ? hindrance?.sentence : nil, rate: rate,
            order: pace.speed == .none ? nil : pace.order.rawValue, forced: pace.isForced,
            graceSeconds: phase == .grace ? seconds(until: pace.begins, now) : 0, secondsLeft: secondsLeft)
    }

    private func seconds(until time: UInt64, _ now: UInt64) -> Double {
        time > now ? Double((time - now) / 1_000_000) / 1000 : 0
    }

    /// Connections of a backend, those being dialled included.
    private func load(_ slot: Int) -> Int { Int(clamping: limpet_load64(&region.backend(slot).pointee.load)) }

    /// The clock runs exactly while there is something to do.
    private func noteDrains() {
        if drains.running.isEmpty {
            drains.timer?.cancel()
            drains.timer = nil
        } else if drains.timer == nil {
            drains.timer = eventLoop.scheduleRepeatedTask(
                initialDelay: .zero, delay: Controller.drainStep
            ) { [self] _ in
                for slot in Array(drains.running.keys) { stepDrain(slot) }
                noteDrains()
            }
        }
    }

    private func stepDrain(_ slot: Int) {
        guard var drain = drains.running[slot] else { return }
        let now = Clock.now()
        let pace = region.drainPace(slot)
        let isOver = !topology.backends[slot].isLive || intent(slot) == .ready
        if isOver || load(slot) == 0 {
            drains.running[slot] = nil
            if !isOver { tellDrain(slot, "done") }
            return
        }
        // The deadline has come: nobody is asked any more, and what is being closed is waited for.
        if closings[slot]?.hasBegun == true {
            drains.running[slot]?.wasDue = true
            return
        }
        if drain.wasDue {
            guard now >= drain.nextSearch else { return }
            drain.nextSearch = now + Controller.drainRest
            // Unless somebody has come in late.
            drain.wasDue = candidates { Int($0.backend) == slot }.isEmpty
            drains.running[slot] = drain
            if drain.wasDue { return }
        }
        look(&drain, slot, pace, now)
        if pace.speed != .none, now >= pace.begins { shed(&drain, slot, pace, now) }
        drain.lastStep = now
        drains.running[slot] = drain
    }

    /// Sees whether the others can take the clients.
    private func look(_ drain: inout Drain, _ slot: Int, _ pace: DrainPace, _ now: UInt64) {
        guard now >= drain.nextLook else { return }
        drain.nextLook = now + (pace.speed == .none ? Controller.drainRest : Controller.drainLook)
        let former = drain.hindrance
        drain.hindrance = drain.watch.look(survivors(slot), now: now)
        guard former != drain.hindrance, pace.speed != .none, now >= pace.begins else { return }
        if let hindrance = drain.hindrance {
            tellDrain(slot, "paused", cause: hindrance.sentence, level: .warning)
        } else {
            tellDrain(slot, "resumed")
            if drain.beginning == .inherited { drain.beginning = .told }
        }
    }

    private func survivors(_ slot: Int) -> [DrainWatch.Survivor] {
        guard let service = topology.backends[slot].service else { return [] }
        return topology.services[service].slots.filter { $0 != slot }.map { other in
            var failures: UInt64 = 0
            for worker in 0..<region.workerCount {
                let counters = region.counters(worker, backend: other)
                for failure in 0..<Int32(LIMPET_FAILURES) {
                    failures &+= limpet_load64(limpet_backend_failures(counters, failure))
                }
            }
            return DrainWatch.Survivor(
                slot: other, name: topology.backends[other].configuration.name, ineligible: ineligibility(other),
                failures: failures)
        }
    }

    private func shed(_ drain: inout Drain, _ slot: Int, _ pace: DrainPace, _ now: UInt64) {
        if drain.hindrance != nil {
            // Whoever forces a drain says that its deadline does not wait.
            if !pace.isForced, let time = region.closingTime(slot) {
                region.moveClosingTime(to: time + (now - min(now, drain.lastStep)), slot)
            }
            drain.shedder?.pause(now: now)
            return
        }
        if drain.shedder?.left ?? 0 == 0, now >= drain.nextSearch {
            drain.nextSearch = now + Controller.drainRest
            begin(&drain, slot, pace, now)
        }
        guard var shedder = drain.shedder else { return }
        let reason: EndReason = intent(slot) == .maintenance ? .disable : .drain
        postQuietly(due(&shedder) { Int($0.backend) == slot }, reason) { drain.attempts.insists($0, now) }
        drain.shedder = shedder
    }

    private func begin(_ drain: inout Drain, _ slot: Int, _ pace: DrainPace, _ now: UInt64) {
        let candidates = candidates { Int($0.backend) == slot }
        guard !candidates.isEmpty, let rate = pace.rate(for: candidates.count) else { return }
        if case .over = pace.speed {
            // From here on it is a rate: whoever goes on with it ends when this would have.
            region.setDrainPace(
                DrainPace(speed: .rate(rate), order: pace.order, isForced: pace.isForced, begins: pace.begins), slot)
        }
        drain.shedder = Shedder(candidates, order: pace.order, rate: rate, atOnce: 0, now: now)
        if drain.beginning != .told {
            tellDrain(slot, drain.beginning == .untold ? "begun" : "resumed", connections: candidates.count)
            drain.beginning = .told
        }
    }

    /// - Parameter what: begun, paused, resumed, deadline, done or ended.
    func tellDrain(
        _ slot: Int, _ what: String, cause: String? = nil, connections: Int? = nil, level: Logger.Level = .notice
    ) {
        let backend = topology.backends[slot]
        events.post(
            ControlEvent(
                .drain, service: backend.serviceName, backend: backend.configuration.name, new: what, cause: cause,
                count: connections ?? load(slot)))
        var metadata: Logger.Metadata = [
            "backend": "\(topology.fullName(slot))", "connections": "\(connections ?? load(slot))",
        ]
        if let cause { metadata["cause"] = "\(cause)" }
        log.log(level: level, "drain: \(what)", metadata: metadata)
    }
}
