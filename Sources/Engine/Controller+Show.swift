import Addressing
import Backends
import CLayout
import Configuration
import Continuity
import Control
import Forwarding
import Glibc
import Health
import Linux
import Stickiness

/// Answers to questions.
extension Controller {
    func status() -> StatusReport {
        var own = limpet_worker()
        for index in 0..<region.workerCount {
            let worker = region.worker(index)
            own.pipes &+= limpet_load64(&worker.pointee.pipes)
            own.pipes_refused &+= limpet_load64(&worker.pointee.pipes_refused)
            own.descriptor_failures &+= limpet_load64(&worker.pointee.descriptor_failures)
            own.local_failures &+= limpet_load64(&worker.pointee.local_failures)
        }
        let continuity = region.continuity.pointee
        let death = DeathReport(region)
        return StatusReport(
            pid: continuity.keeper, enginePID: Processes.own, engineGeneration: Int(continuity.generation),
            uptimeSeconds: Double(Clock.now() - continuity.started) / 1e9, ready: isServing, workers: workers.count,
            connections: region.open, maxConnections: Int(clamping: region.header.pointee.limit),
            descriptorLimit: budget.limit, descriptorFailures: own.descriptor_failures,
            localFailures: own.local_failures, pipes: Int(clamping: own.pipes), maxPipes: budget.pipeCap,
            pipesRefused: own.pipes_refused, capabilities: Privileges.names,
            sandbox: SandboxState(region).report, user: userName,
            configHash: configHash,
            services: topology.liveServices.map {
                ServiceStatus(
                    name: topology.services[$0].configuration.name, mappingHash: topology.services[$0].mappingHash)
            }, differences: differences(), metrics: WebListener.address(in: region).map { "\($0)" },
            unsaved: intents.unsaved, sourcePorts: sourcePorts(),
            lastDeath: death.time == 0
                ? nil
                : EngineDeath(
                    time: Timestamp(nanoseconds: death.time), reason: death.reason, trace: death.trace,
                    buildID: death.buildID))
    }

    private func differences() -> [Difference] {
        topology.backends.indices.filter { topology.backends[$0].isLive }.flatMap { slot in
            let backend = topology.backends[slot]
            func difference(
                _ field: Difference.Field, _ value: String, _ configured: String, _ since: UInt64
            ) -> Difference {
                Difference(
                    service: backend.serviceName, backend: backend.configuration.name, field: field, value: value,
                    configured: configured, since: Timestamp(nanoseconds: since))
            }
            let set = region.operatorIntent(slot)
            var found: [Difference] = []
            if set.intent != .ready {
                found.append(difference(.intent, set.intent.word, Backends.Intent.ready.word, set.intentSince))
            }
            if let weight = set.weight {
                found.append(
                    difference(.weight, "\(weight.value)", "\(backend.configuration.weight)", weight.since))
            }
            return found
        }
    }

    func backends() -> [BackendRow] {
        noteStates()
        // What was removed stands after the rest of its service, as long as there is something to show.
        let removed = topology.backends.indices.filter { !topology.backends[$0].isLive && hasConnections($0) }
        let services = topology.liveServices.map { topology.services[$0] }
        var rows = services.flatMap { service in
            (service.slots + removed.filter { topology.backends[$0].serviceName == service.configuration.name }).map(
                row)
        }
        let live = Set(services.map(\.configuration.name))
        rows += removed.filter { !live.contains(topology.backends[$0].serviceName) }.map(row)
        return rows
    }

    func row(_ slot: Int) -> BackendRow {
        let backend = topology.backends[slot]
        let totals = totals(slot)
        var failures: UInt64 = 0
        // A lack of this machine is no failure of the backend's.
        for failure in 0..<Int32(LIMPET_FAILURES) where failure != Int32(LIMPET_FAILURE_LOCAL) {
            var copy = totals
            failures &+= limpet_backend_failures(&copy, failure).pointee
        }
        let set = region.operatorIntent(slot)
        let report = healthKeeper.report(slot)
        return BackendRow(
            service: backend.serviceName, name: backend.configuration.name,
            address: backend.configuration.address, state: backend.isLive ? wire(state(slot)) : .removed,
            intent: wire(intent(slot)), health: wire(health(slot)),
            weight: backend.isLive ? region.wholeWeight(slot, configured: backend.configuration.weight) : 0,
            weightConfigured: backend.isLive ? backend.configuration.weight : 0,
            connections: Int(clamping: totals.open),
            connecting: Int(clamping: totals.connecting), away: Int(clamping: totals.away), total: totals.total,
            bytesIn: totals.bytes.0, bytesOut: totals.bytes.1, connectFailures: failures, fallbacks: totals.fallbacks,
            since: Timestamp(nanoseconds: limpet_load64(&region.backend(slot).pointee.since)),
            intentSince: set.intent == .ready ? nil : Timestamp(nanoseconds: set.intentSince),
            closesAt: set.closesAt.map { Timestamp(nanoseconds: $0) },
            weightSince: set.weight.map { Timestamp(nanoseconds: $0.since) },
            check: report?.kind.word ?? topology.check(slot)?.kind.word ?? "off",
            checkResult: report?.last?.text ?? (topology.isNowhere(slot) ? nameRow(slot)?.error : nil),
            checkedAt: report?.last == nil ? nil : report.map { Timestamp(nanoseconds: $0.lastTime) },
            nextCheck: report?.nextTime.map { Timestamp(nanoseconds: $0) },
            ramp: backend.isLive ? region.slowStart(slot).map { Double($0.tenths) / Double(SlowStart.full) } : nil,
            drain: drainRow(slot), resolution: nameRow(slot))
    }

    func listeners() -> [ListenerRow] {
        let atLimit = limpet_load64(&region.header.pointee.waiting) != 0
        return listenerSet.ordered(by: topology.liveServices).map { listener in
            let totals = listenerTotals(listener.slot)
            let admission = region.admission(of: listener.slot)
            let reason =
                !isAccepting
                ? "shutting down"
                : !listener.isListening
                    ? "its socket does not listen"
                    : admission != .open
                        ? "an operator wants it so"
                        : atLimit ? "at the connection limit" : lacksDescriptors ? "no descriptor is left" : nil
            return ListenerRow(
                service: topology.services[listener.service].configuration.name, name: listener.name,
                address: listener.address.description, connections: Int(clamping: totals.open),
                accepted: totals.accepted, refused: totals.refused,
                state: reason == nil ? .accepting : isAccepting && admission == .refusing ? .refusing : .paused,
                reason: reason,
                options: options(ofListener: listener.slot)
                    + options(topology.services[listener.service].configuration))
        }
    }

    /// What a service asks of the sockets at which it listens and of those who come there: whose PROXY headers are taken,
    /// as the flag says it, and whether clients speak first.
    private func options(_ service: ServiceConfiguration) -> [String] {
        let networks = service.acceptProxy.map(\.description)
        return (networks.isEmpty ? [] : ["\(ConfigurationKeys.acceptProxy.name)=\(networks.joined(separator: ","))"])
            + (service.isClientFirst ? [ConfigurationKeys.clientFirst.name] : [])
    }

    private func options(ofListener slot: Int) -> [String] {
        guard let configuration = topology.configuration(ofListener: slot) else { return [] }
        if case .inherited = configuration.address { return [configuration.name] + configuration.options }
        return configuration.options + (region.isInherited(listener: slot) ? ["inherited"] : [])
    }

    /// Slots of a live listener: its own, and those that it had before with other sockets.
    func slots(ofListener slot: Int) -> [Int] {
        [slot] + (topology.formerListeners[slot] ?? [])
    }

    private func listenerTotals(_ slot: Int) -> limpet_listener_counters {
        var totals = limpet_listener_counters()
        for slot in slots(ofListener: slot) {
            for worker in 0..<region.workerCount {
                let counters = region.counters(worker, listener: slot)
                totals.open &+= limpet_load64(&counters.pointee.open)
                totals.accepted &+= limpet_load64(&counters.pointee.accepted)
                totals.refused &+= limpet_load64(&counters.pointee.refused)
            }
        }
        return totals
    }

    func configuration() -> String { request.configuration.canonicalText }

    func readiness() -> ReadyReport {
        ReadyReport(ready: isServing, reason: isServing ? nil : "shutting down")
    }

    /// Whether a backend has any, those being dialled included.
    private func hasConnections(_ slot: Int) -> Bool { limpet_load64(&region.backend(slot).pointee.load) > 0 }

    // MARK: Connections

    func connections() -> any ConnectionCursor { TableCursor(self) }

    /// nil for one that this configuration does not know.
    func row(_ snapshot: ConnectionSnapshot, now: UInt64) -> ConnectionRow? {
        let record = snapshot.record
        // Without one it waits for its PROXY header, or for a connect that it may start.
        let hasBackend = record.backend != .max
        guard !hasBackend || Int(record.backend) < topology.backends.count,
            Int(record.service) < topology.services.count, let client = snapshot.client, let peer = snapshot.peer,
            let listener = region.listenerName(Int(record.listener))
        else { return nil }
        let local = snapshot.clientLocal ?? region.listenerAddress(Int(record.listener))?.endpoint
        let service = topology.services[Int(record.service)]
        // Not the record's own key: that may be of the hash before a reload.
        let key = service.keyer.key(for: client.address, port: client.port)
        // As long as it is not known who the client is, nor is its home.
        let home =
            hasBackend || record.home != .max
            ? service.rendezvous.first(of: key).map { service.configuration.backends[$0].name } : nil
        return ConnectionRow(
            id: ConnectionID(snapshot.id), service: service.configuration.name, listener: listener,
            backend: hasBackend ? topology.backends[Int(record.backend)].configuration.name : "-",
            home: home ?? "-", client: client, peer: peer, clientLocal: local,
            backendAddress: hasBackend ? snapshot.backendAddress : nil, backendLocal: snapshot.backendLocal,
            state: wire(record.state),
            ageSeconds: seconds(since: record.opened, now), idleSeconds: seconds(since: record.active, now),
            bytesIn: snapshot.bytesIn, bytesOut: snapshot.bytesOut, worker: snapshot.worker,
            awayReason: record.away_reason == 0 ? nil : AwayReason(rawValue: record.away_reason)?.word,
            position: snapshot.worker * region.recordsPerWorker + Int(snapshot.slot))
    }

    private func seconds(since moment: UInt64, _ now: UInt64) -> Double {
        // Milliseconds are what the clock of a worker's turn is good for.
        moment < now ? Double((now - moment) / 1_000_000) / 1000 : 0
    }

    // MARK: Where

    func locate(_ request: WhereRequest) throws(ControlError) -> WhereReport {
        guard let index = topology.serviceIndex(request.service) else {
            throw ControlError(.noSuchObject, "\(request.service): no such service")
        }
        let service = topology.services[index]
        if service.keyer.input == .sourcePort && request.port == nil {
            throw ControlError(
                .badRequest,
                "service \(request.service) hashes the source port too; give it with the address, as in 203.0.113.7:51234"
            )
        }
        let key = service.keyer.key(for: request.address, port: request.port ?? 0)
        let order = service.rendezvous.preferenceOrder(of: key)
        let names = service.configuration.backends.map(\.name)
        let bound = loadBound(service)
        let isOverBound = { (position: Int) in
            bound?.isExceeded(
                load: limpet_load64(&self.region.backend(service.slots[position]).pointee.load),
                weight: service.tenths(position)) ?? false
        }
        let remembered = topology.remembered(key, service: index, in: region).flatMap(service.slots.firstIndex)
        let denials = denials(request.address, of: index)
        let isOut = denials.contains { $0.listener == nil } || !denials.isEmpty && denials.count == listenerCount(index)
        let choice = Selection.choose(order, remembered: remembered, of: service.rendezvous) { position in
            request.without.contains(names[position]) || isOverBound(position)
                ? nil : tier(service.slots[position], service)
        }
        let chosen = isOut ? nil : choice
        var preference: [WhereReport.Preference] = []
        var passedOver: (name: String, reason: AwayReason)?
        var isPast = false
        for position in order {
            let imagined = request.without.contains(names[position])
            let reason =
                imagined ? nil : ineligibility(service.slots[position]) ?? (isOverBound(position) ? .full : nil)
            preference.append(
                WhereReport.Preference(
                    backend: names[position], eligible: !imagined && reason == nil,
                    reason: imagined ? "left out as asked" : reason?.word))
            if position == chosen { isPast = true }
            if !isPast && passedOver == nil, let reason { passedOver = (names[position], reason) }
        }
        let isLastResort = chosen.map { ineligibility(service.slots[$0]) != nil } ?? false
        return WhereReport(
            address: request.port.map { "\(Endpoint(address: request.address, port: $0))" } ?? "\(request.address)",
            key: keyText(service, request), service: request.service, chosen: chosen.map { names[$0] },
            reason: isOut
                ? denialText(denials, request.service)
                : reasonText(
                    chosen: chosen.map { names[$0] }, isLastResort: isLastResort, first: preference.first, passedOver,
                    isRemembered: chosen != nil && chosen == remembered) + someDenialText(denials),
            preference: preference, remembered: remembered.map { names[$0] }, denials: denials)
    }

    /// As the workers reckon.
    private func loadBound(_ service: Topology.Service) -> LoadBound? {
        guard let factor = service.configuration.maxLoadFactor else { return nil }
        let counted = service.slots.indices.filter { tier(service.slots[$0], service) == .up }
        return LoadBound(
            factor: factor,
            load: counted.reduce(0) { $0 + limpet_load64(&region.backend(service.slots[$1]).pointee.load) },
            weight: counted.reduce(0) { $0 + service.tenths($1) })
    }

    private func keyText(_ service: Topology.Service, _ request: WhereRequest) -> String {
        let address = request.address.unmapped
        let mask = service.keyer.mask
        let bits = address.family == .v4 ? mask.ipv4 : mask.ipv6
        let prefix = address.family == .user ? "\(address)" : "\(address.masked(to: bits))/\(bits)"
        guard service.keyer.input == .sourcePort, let port = request.port else { return prefix }
        return "\(prefix) port \(port)"
    }

    private func reasonText(
        chosen: String?, isLastResort: Bool, first: WhereReport.Preference?,
        _ passedOver: (name: String, reason: AwayReason)?, isRemembered: Bool
    ) -> String {
        guard let chosen else { return "no backend of the service takes new connections" }
        if isRemembered, first?.backend != chosen {
            return "\(chosen) is the one that the client had last, and is remembered (affinity)"
        }
        if isLastResort { return "no backend of the service is up; \(chosen) is tried all the same" }
        guard let first, first.backend != chosen else { return "\(chosen) is the client's first choice" }
        if let passedOver {
            return "\(passedOver.name) \(passedOver.reason.sentence); \(chosen) is the next choice"
        }
        return "\(first.backend) was left out as asked; \(chosen) is the next choice"
    }

    // MARK: Words

    private func wire(_ state: BackendState) -> BackendRow.State {
        switch state {
        case .maintenance: .maintenance
        case .draining: .draining
        case .drained: .drained
        case .down: .down
        case .checking: .checking
        case .full: .full
        case .up: .up
        }
    }

    private func wire(_ intent: Backends.Intent) -> BackendRow.Intent {
        switch intent {
        case .ready: .ready
        case .drain: .drain
        case .maintenance: .maintenance
        }
    }

    /// A backend without a check counts as up.
    private func wire(_ health: Backends.Health) -> BackendRow.Health {
        switch health {
        // What its agent asks for shows in the state.
        case .unchecked, .up, .draining, .maintenance: .up
        case .checking: .checking
        case .down: .down
        }
    }

    func wire(_ state: UInt8) -> ConnectionRow.State {
        switch Int(state) {
        case LIMPET_CONNECTING: .connecting
        case LIMPET_HALF_CLOSED: .halfClosed
        case LIMPET_CLOSING: .closing
        default: .open
        }
    }
}
