import Addressing
import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Health
import Linux
import Logging
import NIOCore

/// The health of all backends: what the checks find goes into the shared region, where the workers read it, into the log,
/// and to those who follow the events.
///
/// What is known lies in the region alone, one byte for each backend, stored whole: an engine that takes over goes on from
/// it. How many checks in a row have failed is counted anew then. Lives on the control event loop.
final class HealthKeeper: @unchecked Sendable {
    let events: EventHub
    private let region: SharedRegion
    private let log: Logger
    private let group: any EventLoopGroup
    /// The control event loop.
    let eventLoop: any EventLoop
    private var topology: Topology
    private var monitor: HealthMonitor?
    /// Services, by name, of which no backend is up.
    private var bereft: Set<String> = []
    /// Called when an agent has changed a weight.
    var weightsChanged: () -> Void = {}
    /// Called after each change, with the backend.
    var changed: (Int) -> Void = { _ in }

    /// The longest that the first round may hold up a start.
    static let longestFirstRound = Duration.seconds(5)

    init(
        topology: Topology, region: SharedRegion, events: EventHub, group: any EventLoopGroup, log: Logger
    ) {
        self.topology = topology
        self.region = region
        self.events = events
        self.group = group
        eventLoop = group.next()
        self.log = log
    }

    /// Begins to check, on the event loop.
    func begin() {
        let monitor = HealthMonitor(eventLoop: eventLoop) { [weak self] slot, health, cause in
            self?.settle(health, slot, cause: cause)
        } hindered: { [weak self] slot, reason in
            guard let self else { return }
            log.error("backend \(reason)", metadata: ["backend": "\(self.topology.fullName(slot))"])
        } told: { [weak self] slot, reply, text in
            self?.take(reply, slot, text)
        }
        self.monitor = monitor
        for service in topology.liveServices { noteBereft(service) }
        follow(topology)
    }

    /// Goes over to another configuration.
    func follow(_ next: Topology) {
        let former = topology.backends.indices.filter { isChecked($0) }
        let lost = Set(topology.backends.indices.filter { topology.isNowhere($0) })
        topology = next
        noteNames(lost)
        // Nothing would ever take it up again.
        for slot in former where next.backends[slot].isLive && next.check(slot) == nil && region.health(slot) == .down {
            set(.unchecked, slot, cause: "its check was switched off")
        }
        bereft.formIntersection(next.liveServices.map { next.services[$0].configuration.name })
        forgetStandings()
        monitor?.watch(
            next.backends.indices.compactMap { slot in
                guard let check = next.check(slot), !next.isNowhere(slot) else { return nil }
                let backend = next.backends[slot].configuration
                let isElsewhere = check.port != nil || check.address != nil
                let header = isElsewhere ? nil : next.sendProxy(slot)
                return HealthMonitor.Watched(
                    slot: slot,
                    target: CheckTarget(
                        check: check, address: backend.address, resolved: next.endpoints(slot).map(\.address),
                        preamble: header.map(HealthKeeper.preamble) ?? [], source: next.checkSource(slot)),
                    health: region.health(slot).asChecked, isPaused: region.intent(slot) == .maintenance)
            })
    }

    /// A backend is down as long as no address of its name is known.
    /// - Parameter lost: those of which none was known before.
    private func noteNames(_ lost: Set<Int>) {
        for slot in topology.backends.indices where topology.backends[slot].isLive {
            guard let question = topology.question(slot) else { continue }
            if topology.isNowhere(slot) {
                set(.down, slot, cause: "no address of \(question) is known")
            } else if lost.contains(slot), region.health(slot) == .down {
                set(topology.check(slot) == nil ? .unchecked : .checking, slot, cause: "\(question) has an address")
            }
        }
    }

    /// The header that says that the connection is the balancer's own.
    private static func preamble(_ version: ProxyHeader.Version) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ProxyHeader.longest) { buffer, count in
            count = ProxyHeader.write(
                version, client: nil, local: nil, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// An operator has begun or ended a maintenance.
    func noteIntent(_ slot: Int) {
        monitor?.setPaused(slot, region.intent(slot) == .maintenance)
    }

    /// - Returns: whether checks decide about a backend.
    func isChecked(_ slot: Int) -> Bool { monitor?.isWatched(slot) ?? false }

    func report(_ slot: Int) -> HealthMonitor.Report? { monitor?.report(slot) }

    func check(_ slot: Int) -> EventLoopFuture<CheckResult>? { monitor?.check(slot) }

    /// Connections to a backend that is checked fail in a row: it is down at once.
    func markedDown(_ slot: Int, cause: String) { monitor?.mark(slot, cause: cause) }

    /// Something about a backend's connections asks for a check, and for nothing else.
    func checkSoon(_ slot: Int) { monitor?.checkSoon(slot) }

    /// What the checks say, unless the agent has asked for something that goes before it.
    private func settle(_ health: Backends.Health, _ slot: Int, cause: String) {
        let standing = region.standing(slot)
        let effective: Backends.Health =
            switch standing.wish {
            case .maintenance: .maintenance
            case .drain: .draining
            case .ready: standing.percent == 0 ? .draining : health
            }
        set(effective, slot, cause: cause)
    }

    /// An agent has spoken.
    private func take(_ reply: AgentReply, _ slot: Int, _ text: String) {
        let former = region.standing(slot)
        var standing = former
        standing.take(reply)
        guard standing != former else { return }
        region.setStanding(standing, slot)
        let configured = topology.backends[slot].configuration.maxConnections
        limpet_store64(&region.backend(slot).pointee.limit, region.effectiveLimit(slot, configured: configured))
        log.notice(
            "\(text): it is obeyed",
            metadata: [
                "backend": "\(topology.fullName(slot))", "percent": "\(standing.percent)",
                "max_connections": "\(standing.maxConnections == 0 ? "none" : "\(standing.maxConnections)")",
            ])
        if standing.percent != former.percent { weightsChanged() }
        settle(monitor?.health(slot) ?? region.health(slot).asChecked, slot, cause: text)
    }

    /// Backends that are not asked by way of an agent any more have nobody who could take back what one had asked for.
    private func forgetStandings() {
        var hasWeights = false
        for slot in topology.backends.indices where region.standing(slot).word != 0 {
            guard topology.check(slot)?.isAgent != true else { continue }
            hasWeights = hasWeights || region.standing(slot).percent != 100
            region.setStanding(AgentStanding(), slot)
            guard topology.backends[slot].isLive else { continue }
            let configured = topology.backends[slot].configuration.maxConnections
            limpet_store64(&region.backend(slot).pointee.limit, region.effectiveLimit(slot, configured: configured))
        }
        if hasWeights { weightsChanged() }
    }

    /// The health of a backend changes.
    func set(_ health: Backends.Health, _ slot: Int, cause: String) {
        let former = region.health(slot)
        guard former != health, slot < topology.backends.count, topology.backends[slot].isLive else { return }
        limpet_publish8(&region.backend(slot).pointee.health, health.rawValue)
        let backend = topology.backends[slot]
        log.log(
            level: health == .down ? .warning : .notice,
            "backend \(health.shown): \(cause)",
            metadata: [
                "backend": "\(topology.fullName(slot))", "address": "\(backend.configuration.address)",
                "was": "\(former.shown)",
            ])
        events.post(
            ControlEvent(
                .health, service: backend.serviceName, backend: backend.configuration.name, old: former.shown,
                new: health.shown, cause: cause))
        if let service = backend.service { noteBereft(service) }
        changed(slot)
    }

    /// Says when a service has no backend any more that is up, and when it has one again.
    private func noteBereft(_ index: Int) {
        let service = topology.services[index]
        let name = service.configuration.name
        let isUp = service.slots.contains { [.up, .unchecked].contains(region.health($0)) }
        // At the start nothing is known yet: that is no news.
        let isUnknown = service.slots.contains { region.health($0) == .checking }
        if !isUp, !isUnknown, bereft.insert(name).inserted {
            log.critical("no backend of the service is up", metadata: ["service": "\(name)"])
            events.post(
                ControlEvent(.service, service: name, old: "up", new: "down", cause: "no backend of it is up"))
        } else if isUp, bereft.remove(name) != nil {
            log.notice("a backend of the service is up again", metadata: ["service": "\(name)"])
            events.post(
                ControlEvent(.service, service: name, old: "down", new: "up", cause: "a backend of it is up again"))
        }
    }

    /// Waits until each backend has been checked once; at most as long as a check may take, and never longer than
    /// ``longestFirstRound``. For another thread than the loop's, after ``begin()``.
    func waitForFirstRound() {
        let limit = topology.backends.indices.compactMap { topology.check($0)?.timeout }.max()
        guard let limit else { return }
        let done = Completion()
        let time = min(limit, HealthKeeper.longestFirstRound) + .milliseconds(200)
        eventLoop.execute { [self] in
            guard let monitor else { return done.complete() }
            monitor.awaitFirstRound().whenComplete { _ in done.complete() }
            eventLoop.scheduleTask(in: .nanoseconds(Int64(clamping: time.nanoseconds))) { done.complete() }
        }
        done.wait()
    }
}

extension HealthCheck {
    var isAgent: Bool { if case .agent = kind { true } else { false } }
}

extension Backends.Health {
    /// Without what an agent has asked for.
    fileprivate var asChecked: Backends.Health { self == .draining || self == .maintenance ? .up : self }

    /// As it is shown: a backend without a check counts as up.
    fileprivate var shown: String { self == .unchecked ? Backends.Health.up.word : word }
}

extension SharedRegion {
    /// What is known of a backend.
    func health(_ slot: Int) -> Backends.Health {
        Backends.Health(rawValue: limpet_load8(&backend(slot).pointee.health)) ?? .unchecked
    }
}

extension Topology {
    /// How a backend is checked; nil: not at all, or it has been removed.
    func check(_ slot: Int) -> HealthCheck? {
        let backend = backends[slot]
        guard backend.isLive, let service = backend.service else { return nil }
        let check = backend.configuration.health ?? services[service].configuration.health
        return check.isOff ? nil : check
    }

    /// Where checks of a backend come from: from the first address of each family that its connections come from.
    func checkSource(_ slot: Int) -> CheckSource {
        guard let source = backends[slot].service.map({ services[$0].configuration.source }) else {
            return CheckSource()
        }
        return CheckSource(
            v4: source.addresses(.v4).first, v6: source.addresses(.v6).first, mark: source.mark, device: source.device)
    }

    /// The header that connections to a backend begin with.
    func sendProxy(_ slot: Int) -> ProxyHeader.Version? {
        backends[slot].service.flatMap { services[$0].configuration.sendProxy?.header }
    }
}

extension DaemonConfiguration {
    /// Checks that may be under way at once, each with a descriptor.
    var checksAtOnce: Int {
        let checked = services.reduce(0) { sum, service in
            // How many one stands for is not known; so many are checked at the same moment at most, mostly.
            sum
                + service.backends.filter { !($0.health ?? service.health).isOff }.reduce(0) {
                    $0 + ($1.isTemplate ? 32 : 1)
                }
        }
        return min(checked, HealthMonitor.mostUnderWay)
    }
}
