import Addressing
import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// Changes that an operator asks for. Each is logged with who asked.
extension Controller {
    /// What a drain's deadline closes, it closes in so many steps …
    private static let closingSteps = 10
    /// … this far apart, so that the survivors are not met by all at once.
    private static let closingStep = TimeAmount.milliseconds(100)

    /// So many numbers of connections are written into one line of the log.
    private static let auditedIDs = 16

    func drain(_ request: DrainRequest, by caller: Caller) throws(ControlError) -> BackendRow {
        let slot = try find(request.backend)
        if !request.force && intent(slot) == .ready && isLastEligible(slot) {
            throw ControlError(
                .needsForce,
                "drain of \(request.backend) would leave service \(request.backend.service) without a backend that takes"
                    + " new connections")
        }
        setIntent(.drain, slot)
        forgetDeadline(slot)
        if let deadline = request.deadline {
            let amount = TimeAmount.nanoseconds(Int64(clamping: deadline.nanoseconds))
            drainDeadlines[slot] = [eventLoop.scheduleTask(in: amount) { [self] in closeDrained(slot) }]
        }
        audit("drain \(request.backend)" + (request.deadline.map { " --deadline \(seconds($0))" } ?? ""), caller)
        return row(slot)
    }

    func undrain(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> BackendRow {
        let slot = try find(request.backend)
        forgetDeadline(slot)
        if intent(slot) == .drain { setIntent(.ready, slot) }
        audit("undrain \(request.backend)", caller)
        return row(slot)
    }

    func close(_ request: CloseRequest, by caller: Caller) throws(ControlError) -> CloseReport {
        let matches: (ConnectionSnapshot) -> Bool
        let text: String
        switch request.selector {
        case .ids(let ids):
            let wanted = Set(ids.map(\.value))
            matches = { wanted.contains($0.id) }
            // As many as a line can hold; a request can hold thousands.
            text =
                ids.prefix(Controller.auditedIDs).map { "\($0)" }.joined(separator: " ")
                + (ids.count > Controller.auditedIDs ? " and \(ids.count - Controller.auditedIDs) more" : "")
        case .backend(let name):
            guard let slot = topology.anySlot(service: name.service, backend: name.backend) else {
                throw ControlError(.noSuchObject, "\(name): no such backend")
            }
            matches = { Int($0.record.backend) == slot }
            text = "--backend \(name)"
        case .service(let name):
            guard let index = topology.anyService(name) else {
                throw ControlError(.noSuchObject, "\(name): no such service")
            }
            matches = { Int($0.record.service) == index }
            text = "--service \(name)"
        case .client(let prefix):
            matches = { snapshot in snapshot.client.map { prefix.contains($0.address) } ?? false }
            text = "--client \(prefix)"
        }
        var found: [ConnectionSnapshot] = []
        forEachConnection { if matches($0) { found.append($0) } }
        post(found, request.reset ? Forwarding.CloseMode.reset : .orderly)
        audit(
            "close \(text)" + (request.reset ? " --reset" : "")
                + ": \(found.count == 1 ? "1 connection" : "\(found.count) connections")", caller)
        guard case .ids(let ids) = request.selector else { return CloseReport(closed: found.count) }
        let met = Set(found.map(\.id))
        return CloseReport(closed: found.count, missing: ids.filter { !met.contains($0.value) })
    }

    func shutdown(_ request: ShutdownRequest, by caller: Caller) throws(ControlError) {
        audit("shutdown" + (request.drain.map { " --drain \(seconds($0))" } ?? ""), caller)
        beginShutdown(drain: request.drain ?? self.request.configuration.shutdownDrain)
    }

    // MARK: Parts

    private func find(_ name: BackendName) throws(ControlError) -> Int {
        guard let slot = topology.slot(service: name.service, backend: name.backend) else {
            throw ControlError(.noSuchObject, "\(name): no such backend")
        }
        return slot
    }

    private func isLastEligible(_ slot: Int) -> Bool {
        guard let service = topology.backends[slot].service else { return false }
        return !topology.services[service].slots.contains { $0 != slot && ineligibility($0) == nil }
    }

    private func setIntent(_ intent: Backends.Intent, _ slot: Int) {
        limpet_store8(&region.backend(slot).pointee.intent, intent.rawValue)
        noteStates()
    }

    /// A drain's deadline has come: what is left gets FIN, in random order over a second.
    private func closeDrained(_ slot: Int) {
        drainDeadlines[slot] = nil
        var left: [ConnectionSnapshot] = []
        forEachConnection { if Int($0.record.backend) == slot { left.append($0) } }
        guard !left.isEmpty else { return }
        log.notice(
            "drain deadline: closing what is left",
            metadata: ["backend": "\(topology.fullName(slot))", "connections": "\(left.count)"])
        left.shuffle()
        let perStep = (left.count + Controller.closingSteps - 1) / Controller.closingSteps
        for (step, start) in stride(from: 0, to: left.count, by: perStep).enumerated() {
            let part = Array(left[start..<min(start + perStep, left.count)])
            drainDeadlines[slot, default: []].append(
                eventLoop.scheduleTask(in: Controller.closingStep * step) { [self] in post(part, .orderly) })
        }
    }

    /// Another drain, or an undrain: the deadline before it counts no more, even where its closing has begun.
    private func forgetDeadline(_ slot: Int) {
        for task in drainDeadlines.removeValue(forKey: slot) ?? [] { task.cancel() }
    }

    private func post(_ connections: [ConnectionSnapshot], _ mode: Forwarding.CloseMode) {
        for worker in 0..<workers.count {
            let commands = connections.filter { $0.worker == worker }.map {
                WorkerCommand.close(slot: $0.slot, generation: $0.generation, mode)
            }
            if !commands.isEmpty { workers.post(commands, to: worker) }
        }
    }

    /// As a duration is written on a command line: whole seconds where it can be, else milliseconds.
    private func seconds(_ duration: Duration) -> String {
        let milliseconds = duration.nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    private func audit(_ command: String, _ caller: Caller) {
        log.notice(
            "control: \(command)",
            metadata: ["uid": "\(caller.uid)", "pid": "\(caller.pid)"])
    }
}
