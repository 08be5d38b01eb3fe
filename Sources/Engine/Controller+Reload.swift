import Backends
import CContinuity
import CLayout
import Configuration
import Continuity
import Control
import Forwarding
import Glibc
import Linux
import Logging
import NIOCore

/// Reads the configuration again and goes over to it, all of it or nothing.
///
/// The order is what makes it whole: new listeners are bound and named in the region; then the document is exchanged, by
/// one store; then the workers are told, and take their leave of the listeners that are gone. An engine that dies before
/// that store leaves the old configuration, one that dies after it the new one, and the next engine brings everything
/// else in line with it (``Topology/settle(in:removedDeadline:)``).
extension Controller {
    /// Reloads wait here for each other.
    struct Reloads {
        var waiting: [(purpose: ReloadPurpose, promise: EventLoopPromise<ReloadReport>)] = []
        var isUnderWay = false
    }

    func reload(_ request: ReloadRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<ReloadReport> {
        audit("reload" + (request.dryRun ? " --dry-run" : ""), caller)
        return reload(isDryRun: request.dryRun, by: caller)
    }

    /// SIGHUP came: there is nobody to answer but the log.
    func reloadOnSignal() {
        log.notice("SIGHUP: reading the configuration again")
        reload(isDryRun: false, by: nil).whenComplete { [log] result in
            switch result {
            case .success(let report):
                for warning in report.warnings { log.warning("\(warning)") }
                if report.changes.isEmpty {
                    log.notice("nothing has changed: the configuration is the one that is active")
                }
            case .failure(let error as ControlError):
                for line in [error.message] + (error.further ?? []) { log.error("reload refused: \(line)") }
            case .failure(let error):
                log.error("reload failed: \(error)")
            }
        }
    }

    private func reload(isDryRun: Bool, by caller: Caller?) -> EventLoopFuture<ReloadReport> {
        let promise = eventLoop.makePromise(of: ReloadReport.self)
        if !isDryRun { promise.futureResult.whenComplete { [self] in tell($0, caller) } }
        enqueue(isDryRun ? .dryRun : .file, promise)
        return promise.futureResult
    }

    /// It is its turn once those before it have ended.
    func enqueue(_ purpose: ReloadPurpose, _ promise: EventLoopPromise<ReloadReport>) {
        reloads.waiting.append((purpose, promise))
        nextReload()
    }

    /// What came of a reload, for those who follow the events.
    private func tell(_ result: Result<ReloadReport, any Error>, _ caller: Caller?) {
        var event = ControlEvent(.reload, uid: caller?.uid)
        switch result {
        case .success(let report):
            event.new = report.changes.isEmpty ? "unchanged" : "applied"
            event.count = report.changes.count
        case .failure(let error):
            event.new = "refused"
            let lines = (error as? ControlError).map { [$0.message] + ($0.further ?? []) }
            event.cause = lines?.joined(separator: "; ") ?? "\(error)"
        }
        events.post(event)
    }

    private func nextReload() {
        guard !reloads.isUnderWay, !reloads.waiting.isEmpty else { return }
        let (purpose, promise) = reloads.waiting.removeFirst()
        guard isServing else {
            promise.fail(ControlError(.busy, "limpetd is shutting down: nothing is reloaded any more"))
            return nextReload()
        }
        guard !isUpgrading else {
            promise.fail(ControlError(.busy, "an upgrade is under way: nothing has changed; try again"))
            return nextReload()
        }
        reloads.isUnderWay = true
        if purpose == .file { serviceState.reloadBegan() }
        let preparation = ReloadPreparation(
            purpose: purpose, active: request, topology: topology, region: region, budget: budget, userName: userName,
            socket: control?.socket, groups: active.controlGroups ?? ControlGroups(),
            facts: nameKeeper.facts, resolver: resolver)
        let reading = fileReading
        do throws(SystemError) {
            try Threads.startDetached("reload") { [self] in
                var reading = reading
                let outcome: Result<ReloadPlan, ControlError>
                do throws(ControlError) {
                    outcome = .success(try preparation.prepare(&reading))
                } catch {
                    outcome = .failure(error)
                }
                eventLoop.execute { [self, reading] in
                    fileReading = reading
                    prepared(outcome, purpose, promise)
                }
            }
        } catch {
            ended(promise, .failure(ControlError(.failed, "\(error); nothing has changed")))
        }
    }

    private func prepared(
        _ outcome: Result<ReloadPlan, ControlError>, _ purpose: ReloadPurpose, _ promise: EventLoopPromise<ReloadReport>
    ) {
        switch outcome {
        case .failure(let error):
            noteReload(purpose, succeeded: false)
            ended(promise, .failure(error))
        case .success(let plan):
            guard purpose != .dryRun else { return ended(promise, .success(plan.report)) }
            guard let change = plan.change else {
                noteReload(purpose, succeeded: true)
                // What an operator has set of the log ends with any reload.
                if purpose == .file { Log.configure(request.configuration, in: region) }
                return ended(promise, .success(plan.report))
            }
            do throws(ControlError) {
                guard isServing else { throw ControlError(.busy, "limpetd is shutting down: nothing has changed") }
                try apply(plan, change, purpose) { [self] in
                    topology.closeRetiredListeners(in: region)
                    noteRemoved()
                    forgetUnremembered()
                    noteReload(purpose, succeeded: true)
                    ended(promise, .success(plan.report))
                }
            } catch {
                ListenerSet.unbind(change.bound, in: region)
                if case .replaced(let socket?) = change.web { Descriptor.close(socket) }
                followGroups()
                noteReload(purpose, succeeded: false)
                ended(promise, .failure(error))
            }
        }
    }

    /// What nobody has asked for is not counted.
    private func noteReload(_ purpose: ReloadPurpose, succeeded: Bool) {
        if purpose == .file { counts.noteReload(succeeded: succeeded) }
    }

    private func ended(_ promise: EventLoopPromise<ReloadReport>, _ result: Result<ReloadReport, ControlError>) {
        reloads.isUnderWay = false
        serviceState.reloadEnded()
        promise.completeWith(result.mapError { $0 as any Error })
        nextReload()
    }

    /// - Parameter done: called on the event loop once every worker goes by it.
    private func apply(
        _ plan: ReloadPlan, _ change: ReloadPlan.Change, _ purpose: ReloadPurpose, done: @escaping @Sendable () -> Void
    ) throws(ControlError) {
        let former = topology
        var document = active
        if purpose == .names {
            document.take(change.names, change.assignment.tables)
        } else {
            document.take(plan.configuration, change.assignment.tables, change.names, change.groups)
        }
        clearRecycled(change.assignment)
        change.assignment.keepAdmission(in: region)
        beginAdded(change.assignment.tables, plan.configuration)
        let next: Topology
        do throws(StartError) {
            next = try Topology(
                plan.configuration, change.assignment.tables, names: change.names, after: former,
                weight: region.effectiveWeight)
            inject(LIMPET_AT_RELOAD_BOUND)
            NeededCapabilities(region).noteMore(Identity.capabilities(of: plan.configuration))
            limpet_store8(&region.continuity.pointee.options_due, 1)
            try document.publish(in: SharedDocument(region: region))
        } catch {
            limpet_store8(&region.continuity.pointee.options_due, 0)
            throw ControlError(.failed, "\(error); nothing has changed")
        }
        inject(LIMPET_AT_RELOAD_PUBLISHED)
        NeededCapabilities(region).note(Identity.capabilities(of: plan.configuration))
        // From here on it is the configuration that counts. A version that has made way could not read it perhaps.
        if purpose == .file { forgetVersionBefore() }
        let formerServices = request.configuration.services
        active = document
        request.configuration = plan.configuration
        budget = change.budget
        if purpose == .file { followGroups() }
        if purpose == .file { Log.configure(plan.configuration, in: region) }
        let beaten = next.settle(in: region, removedDeadline: plan.configuration.removedDeadline)
        limpet_store64(&region.header.pointee.limit, UInt64(change.limit))
        for slot in former.backends.indices where !next.backends[slot].isLive { forgetClosing(slot) }
        changeOptions(from: formerServices)
        ListenerSet(region).setInterception(next, in: region, log)
        ListenerSet(region).listen(log)
        limpet_store8(&region.continuity.pointee.options_due, 0)
        if case .replaced(let socket) = change.web {
            WebListener.name(socket, in: region)
            serveWeb()
        } else {
            noteStatusPage()
        }
        inject(LIMPET_AT_RELOAD_SETTLED)
        goOver(to: next, listeners: ListenerSet(region), done: done)
        forgetPassives()
        reviewDown()
        noteSlowStarts()
        noteStates()
        save()
        announce(plan, purpose, former.names, beaten)
        if purpose == .file { nameKeeper.follow(plan.configuration, learned: change.names) }
        if nameKeeper.facts.wanted(by: plan.configuration) != change.names { planNames(in: .zero) }
    }

    private func changeOptions(from former: [ServiceConfiguration]) {
        ListenerSet(region).setOptions(of: request.configuration.services, tables: topology.tables, unlessAsIn: former)
    }

    /// Counters of slots that were somebody else's begin anew. No connection bears these slots, and no worker has them in
    /// its table.
    private func clearRecycled(_ assignment: SlotAssignment) {
        for worker in 0..<region.workerCount {
            for slot in assignment.recycledBackends {
                region.counters(worker, backend: slot).pointee = limpet_backend_counters()
            }
            for slot in assignment.recycledListeners {
                region.counters(worker, listener: slot).pointee = limpet_listener_counters()
            }
        }
        region.affinity.forget(backends: assignment.recycledBackends, services: assignment.recycledServices)
        for slot in assignment.recycledBackends {
            region.clearMetrics(ofBackend: slot)
            tally.setFailuresInARow(0, slot)
        }
        incidents.forget(backends: Set(assignment.recycledBackends))
        for slot in assignment.recycledListeners { region.clearMetrics(ofListener: slot) }
    }

    private func announce(
        _ plan: ReloadPlan, _ purpose: ReloadPurpose, _ names: NameFacts,
        _ beaten: [(slot: Int, weight: OperatorWeight)]
    ) {
        if purpose == .names {
            announceNames(names, plan.changes, plan.report.warnings)
        } else {
            for change in plan.changes { log.notice("reload: \(change)") }
        }
        for (slot, weight) in beaten {
            log.notice(
                "the weight that an operator had set gives way to the configuration's",
                metadata: [
                    "backend": "\(topology.fullName(slot))", "set": "\(weight.value)",
                    "configured_then": "\(weight.base)",
                    "configured": "\(topology.backends[slot].configuration.weight)",
                ])
            let backend = topology.backends[slot]
            events.post(
                ControlEvent(
                    .weight, service: backend.serviceName, backend: backend.configuration.name, old: "\(weight.value)",
                    new: "\(backend.configuration.weight)",
                    cause: "its weight in the configuration has changed"))
        }
        guard purpose == .file else { return }
        log.notice(
            "reloaded",
            metadata: ["changes": "\(plan.changes.count)", "config_hash": "\(plan.configuration.configHash)"])
    }
}
