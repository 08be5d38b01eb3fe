import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// Connections that are closed at a pace: of a backend that is down, where the service wants that, and of clients that are
/// to come home. An engine that takes over begins with those of backends that are down; a rehoming ends with the engine.
extension Controller {
    /// Why, and of what.
    enum SheddingPurpose: Hashable {
        /// Slot of the backend.
        case down(Int)
        /// Slot of the service.
        case rehome(Int)
    }

    struct Sheddings {
        var running: [SheddingPurpose: Shedder] = [:]
        var timer: RepeatedTask?
    }

    private static let sheddingStep = TimeAmount.milliseconds(100)
    /// Time over which `when-down = "shed"` spreads the connections of a backend.
    private static let downSpread = 60.0
    /// Rate of a rehoming that names none.
    private static let rehomeRate = 10

    // MARK: Down

    /// A backend has gone down, or has come back.
    func noteHealth(_ slot: Int) {
        guard health(slot) == .down else {
            // At a start, and when it is new, a backend was not down before.
            if slowStarts.down.remove(slot) != nil { startSlowly(slot) }
            // What is left may stay.
            if sheddings.running.removeValue(forKey: .down(slot)) != nil { noteSheddings() }
            return
        }
        slowStarts.down.insert(slot)
        guard sheddings.running[.down(slot)] == nil else { return }
        switch whenDown(slot) {
        case .keep: return
        case .shed: shedDown(slot, patience: 10_000_000_000, seconds: Controller.downSpread)
        case .close: shedDown(slot, patience: 0, seconds: 1)
        }
    }

    /// An engine begins, or a reload has changed what services want.
    func reviewDown() {
        for slot in topology.backends.indices where topology.backends[slot].isLive && health(slot) == .down {
            noteHealth(slot)
        }
    }

    private func whenDown(_ slot: Int) -> WhenDown {
        guard topology.backends[slot].isLive, let service = topology.backends[slot].service else { return .keep }
        return topology.services[service].configuration.whenDown
    }

    private func shedDown(_ slot: Int, patience: UInt64, seconds: Double) {
        let candidates = candidates { Int($0.backend) == slot }
        if candidates.isEmpty { return }
        log.notice(
            "closing the connections of a backend that is down",
            metadata: [
                "backend": "\(topology.fullName(slot))", "connections": "\(candidates.count)",
                "over": "\(Int(seconds))s",
            ])
        let backend = topology.backends[slot]
        events.post(
            ControlEvent(
                .shed, service: backend.serviceName, backend: backend.configuration.name, new: "begun",
                cause: "it is down, over \(Int(seconds)) s", count: candidates.count))
        begin(
            .down(slot),
            Shedder(
                candidates, order: .random, rate: max(1, Double(candidates.count) / seconds), patience: patience,
                now: Clock.now()))
    }

    // MARK: Home

    func rehome(_ request: RehomeRequest, by caller: Caller) throws(ControlError) -> RehomeReport {
        let services = topology.liveServices.filter {
            request.service == nil || topology.services[$0].configuration.name == request.service
        }
        let rate = request.rate ?? Controller.rehomeRate
        audit("rehome" + (request.service.map { " \($0)" } ?? "") + " --rate \(rate)/s", caller)
        var away: [Int: [Shedder.Candidate]] = [:]
        var wasRunning = false
        for service in services {
            if sheddings.running.removeValue(forKey: .rehome(service)) != nil { wasRunning = true }
            away[service] = rate == 0 ? [] : candidates { mayGoHome($0, service) }
            if rate != 0 { forgetAway(service) }
        }
        let total = away.values.reduce(0) { $0 + $1.count }
        for (service, candidates) in away where !candidates.isEmpty {
            // The rate is that of all services together: each has its part, by what it has to do.
            sheddings.running[.rehome(service)] = Shedder(
                candidates, order: .idle, rate: Double(rate) * Double(candidates.count) / Double(total),
                now: Clock.now())
        }
        noteSheddings()
        // Where there was nothing to do and is nothing, there is nothing to tell.
        if wasRunning || total > 0 {
            events.post(
                ControlEvent(
                    .shed, service: request.service, new: total == 0 ? "ended" : "begun", cause: "rehome, \(rate)/s",
                    count: total, uid: caller.uid))
        }
        return RehomeReport(connections: total, rate: rate)
    }

    /// Whether a connection is away from a home that would take it now.
    private func mayGoHome(_ record: limpet_record, _ service: Int) -> Bool {
        Int(record.service) == service && record.backend != record.home && Int(record.home) < topology.backends.count
            && topology.backends[Int(record.home)].isLive && ineligibility(Int(record.home)) == nil
    }

    // MARK: Parts

    func candidates(_ isMeant: (limpet_record) -> Bool) -> [Shedder.Candidate] {
        var found: [Shedder.Candidate] = []
        forEachConnection { snapshot in
            let record = snapshot.record
            guard isCarrying(record), isMeant(record) else { return }
            found.append(
                Shedder.Candidate(
                    position: snapshot.worker * region.recordsPerWorker + Int(snapshot.slot), id: snapshot.id,
                    opened: record.opened, active: record.active))
        }
        return found
    }

    /// Past its connect, and not being closed.
    private func isCarrying(_ record: limpet_record) -> Bool {
        Int(record.state) == LIMPET_OPEN || Int(record.state) == LIMPET_HALF_CLOSED
    }

    private func begin(_ purpose: SheddingPurpose, _ shedder: Shedder) {
        sheddings.running[purpose] = shedder
        noteSheddings()
    }

    /// The clock runs exactly while there is something to do.
    private func noteSheddings() {
        if sheddings.running.isEmpty {
            sheddings.timer?.cancel()
            sheddings.timer = nil
        } else if sheddings.timer == nil {
            sheddings.timer = eventLoop.scheduleRepeatedTask(
                initialDelay: .zero, delay: Controller.sheddingStep
            ) { [self] _ in stepSheddings() }
        }
    }

    private func stepSheddings() {
        for purpose in Array(sheddings.running.keys) { step(purpose) }
        noteSheddings()
    }

    private func step(_ purpose: SheddingPurpose) {
        guard var shedder = sheddings.running[purpose] else { return }
        let isMeant: (limpet_record) -> Bool
        let reason: EndReason
        switch purpose {
        case .down(let slot):
            guard whenDown(slot) != .keep, health(slot) == .down else {
                sheddings.running[purpose] = nil
                return
            }
            // Nobody is sent away who would have nowhere to go.
            if whenDown(slot) == .shed && isLastEligible(slot) { return }
            isMeant = { Int($0.backend) == slot }
            reason = .down
        case .rehome(let service):
            isMeant = { self.mayGoHome($0, service) }
            reason = .rehome
        }
        post(due(&shedder, isMeant), .orderly, reason)
        sheddings.running[purpose] = shedder.left > 0 ? shedder : nil
        if shedder.left == 0, case .rehome(let service) = purpose {
            let name = topology.services[service].configuration.name
            log.notice("rehome: done", metadata: ["service": "\(name)"])
            events.post(ControlEvent(.shed, service: name, new: "done", cause: "rehome"))
        }
    }

    /// Those whose turn it is now, as they are now.
    func due(_ shedder: inout Shedder, _ isMeant: (limpet_record) -> Bool) -> [ConnectionSnapshot] {
        let now = Clock.now()
        let due = shedder.step(now: now) { candidate in
            guard let snapshot = table.snapshot(candidate.position), snapshot.id == candidate.id,
                isCarrying(snapshot.record), isMeant(snapshot.record)
            else { return nil }
            let (ingoing, outgoing) = snapshot.record.direction
            return ingoing.pipe_bytes == 0 && outgoing.pipe_bytes == 0 ? snapshot.record.active : now
        }
        // Looked at once more: a worker may have given the slot to another client meanwhile.
        return due.compactMap { candidate in
            table.snapshot(candidate.position).flatMap { $0.id == candidate.id && isMeant($0.record) ? $0 : nil }
        }
    }
}
