import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import NIOCore

/// What operators want of a backend: drain, maintenance, weight. It takes effect at once; the answer waits until it is
/// written down.
extension Controller {
    func drain(_ request: DrainRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let slot = try find(request.backend)
        if !request.force && intent(slot) == .ready && isLastEligible(slot) {
            throw ControlError(.needsForce, "drain of \(request.backend) would leave \(bereft(slot))")
        }
        audit("drain \(request.backend)" + options(of: request), caller)
        let now = Clock.now()
        setIntent(
            .drain, slot, closingTime: request.deadline.map { now + max(1, $0.nanoseconds) },
            pace: DrainPace(
                speed: request.speed, order: request.order, isForced: request.force,
                begins: request.grace == .zero ? 0 : now + request.grace.nanoseconds), by: caller)
        return saved(slot)
    }

    func undrain(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let slot = try find(request.backend)
        if intent(slot) == .maintenance {
            throw ControlError(.refused, "\(request.backend) is in maintenance and does not drain; enable ends that")
        }
        audit("undrain \(request.backend)", caller)
        setIntent(.ready, slot, closingTime: nil, by: caller)
        return saved(slot)
    }

    func disable(_ request: DisableRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let slot = try find(request.backend)
        let totals = totals(slot)
        let open = totals.open + totals.connecting
        if !request.force {
            var reasons: [String] = []
            if intent(slot) == .ready && isLastEligible(slot) { reasons.append("leave \(bereft(slot))") }
            if request.close && open > 0 {
                reasons.append(open == 1 ? "close 1 connection" : "close \(open) connections")
            }
            if !reasons.isEmpty {
                throw ControlError(
                    .needsForce, "disable of \(request.backend) would \(reasons.joined(separator: " and would "))")
            }
        }
        audit(
            "disable \(request.backend)" + (request.close ? " --close" : "")
                + (request.over.map { " --over \(seconds($0))" } ?? ""), caller)
        let now = Clock.now()
        // Whoever closes connections has said that it is to be: nothing puts it off.
        setIntent(
            .maintenance, slot, closingTime: request.close ? now + (request.over?.nanoseconds ?? 0) : nil,
            pace: DrainPace(
                speed: request.over.map { .over($0.inSeconds) } ?? .none, isForced: request.close), by: caller)
        return saved(slot)
    }

    func enable(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let slot = try find(request.backend)
        if intent(slot) == .drain {
            throw ControlError(.refused, "\(request.backend) drains and is not in maintenance; undrain ends that")
        }
        audit("enable \(request.backend)", caller)
        setIntent(.ready, slot, closingTime: nil, by: caller)
        return saved(slot)
    }

    func setWeight(_ request: WeightRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let slot = try find(request.backend)
        audit("weight \(request.backend) \(request.weight.map(String.init) ?? WeightText.file)", caller)
        var set = OperatorIntent()
        let configured = topology.backends[slot].configuration.weight
        set.weight = request.weight.map { OperatorWeight(value: $0, base: configured, since: Clock.wall()) }
        _ = set.settle(configuredWeight: configured)
        let before = region.operatorWeight(slot)
        let old = before.map { Int($0.value) } ?? configured
        region.setOperatorWeight(set.weight, slot)
        let taken = eventLoop.makePromise(of: Void.self)
        do throws(StartError) {
            try rebuild { taken.succeed() }
        } catch {
            taken.succeed()
            region.setOperatorWeight(before, slot)
            throw ControlError(.failed, "\(error)")
        }
        let new = set.weight.map { Int($0.value) } ?? configured
        if new != old {
            let backend = topology.backends[slot]
            events.post(
                ControlEvent(
                    .weight, service: backend.serviceName, backend: backend.configuration.name, old: "\(old)",
                    new: "\(new)", uid: caller.uid))
        }
        return saved(slot, and: taken.futureResult)
    }

    // MARK: Parts

    /// Writes all intents down. The reply's row is of the moment at which that is done, and `other` is too.
    private func saved(_ slot: Int, and other: EventLoopFuture<Void>? = nil) -> EventLoopFuture<BackendChange> {
        save().and(other ?? eventLoop.makeSucceededVoidFuture()).map { [self] unsaved, _ in
            BackendChange(backend: row(slot), unsaved: unsaved)
        }
    }

    /// Writes all intents down.
    @discardableResult
    func save() -> EventLoopFuture<String?> {
        intents.save(
            topology.backends.indices.filter { topology.backends[$0].isLive }.map { slot in
                let backend = topology.backends[slot]
                return NamedIntent(
                    service: backend.serviceName, backend: backend.configuration.name, set: region.operatorIntent(slot))
            })
    }

    private func options(of request: DrainRequest) -> String {
        var text = request.grace > .zero ? " --grace \(seconds(request.grace))" : ""
        switch request.speed {
        case .none: break
        case .rate(let rate): text += " --rate \(Int(rate))/s"
        case .over(let time): text += " --over \(seconds(.milliseconds(Int64(time * 1000))))"
        }
        if let deadline = request.deadline { text += " --deadline \(seconds(deadline))" }
        if request.order != .random { text += " --order \(request.order.rawValue)" }
        return text + (request.force ? " --force" : "")
    }

    private func setIntent(
        _ intent: Backends.Intent, _ slot: Int, closingTime: UInt64?, pace: DrainPace = DrainPace(speed: .none),
        by caller: Caller
    ) {
        let former = self.intent(slot)
        if former != intent {
            let backend = topology.backends[slot]
            events.post(
                ControlEvent(
                    .intent, service: backend.serviceName, backend: backend.configuration.name, old: former.word,
                    new: intent.word, uid: caller.uid))
        }
        region.setIntent(intent, slot, since: Clock.wall(), closingTime: closingTime, pace: pace)
        forgetClosing(slot)
        armClosing(slot)
        healthKeeper.noteIntent(slot)
        noteStates()
    }

    func isLastEligible(_ slot: Int) -> Bool {
        guard let service = topology.backends[slot].service else { return false }
        return !topology.services[service].slots.contains { $0 != slot && ineligibility($0) == nil }
    }

    private func bereft(_ slot: Int) -> String {
        "service \(topology.backends[slot].serviceName) without a backend that takes new connections"
    }
}
