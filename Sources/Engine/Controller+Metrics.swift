import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Health
import Linux
import Observability

/// The metrics, collected when they are asked for. What each one is stands in ``MetricCatalogue``.
extension Controller {
    func metrics() -> String {
        noteStates()
        var text = MetricsText()
        writeDaemon(&text)
        writeListeners(&text)
        writeServices(&text)
        writeAffinity(&text)
        writeBackends(&text)
        writeEnds(&text)
        writeNames(&text)
        writeWorkers(&text)
        writeProcess(&text)
        return text.text
    }

    // MARK: The daemon

    private func writeDaemon(_ text: inout MetricsText) {
        let continuity = region.continuity.pointee
        let sum = workerSums()
        text.write(MetricCatalogue.buildInfo) { $0.add([runningVersion], 1) }
        text.write(MetricCatalogue.startTime) { $0.add(Double(region.header.pointee.started / 1_000_000) / 1000) }
        text.write(MetricCatalogue.ready) { $0.add(readiness().ready) }
        text.write(MetricCatalogue.configHash) { $0.add([configHash], 1) }
        text.write(MetricCatalogue.mappingHash) { samples in
            for service in liveServices { samples.add([service.configuration.name, service.mappingHash], 1) }
        }
        text.write(MetricCatalogue.reloads) { samples in
            samples.add(["success"], counts.reloads.succeeded)
            samples.add(["failure"], counts.reloads.failed)
        }
        text.write(MetricCatalogue.upgrades) { samples in
            samples.add(["success"], counts.upgrades(.served))
            samples.add(["refused"], counts.upgrades(.refused))
            samples.add(["rolled_back"], counts.upgrades(.rolledBack))
        }
        text.write(MetricCatalogue.crashes) { $0.add(continuity.deaths) }
        let sandbox = SandboxState(region).report
        text.write(MetricCatalogue.sandbox) { samples in
            samples.add(["system-calls"], sandbox.systemCalls ? 1 : 0)
            samples.add(["files"], UInt64(sandbox.landlockABI ?? 0))
        }
        text.write(MetricCatalogue.sandboxViolations) { $0.add(sandbox.violations) }
        text.write(MetricCatalogue.workers) { $0.add(region.workerCount) }
        text.write(MetricCatalogue.connections) { $0.add(region.open) }
        text.write(MetricCatalogue.connectionsLimit) { $0.add(limpet_load64(&region.header.pointee.limit)) }
        text.write(MetricCatalogue.descriptorFailures) { $0.add(sum.descriptor_failures) }
        text.write(MetricCatalogue.localFailures) { $0.add(sum.local_failures) }
        text.write(MetricCatalogue.pipePool) { samples in
            samples.add(["held"], sum.pipes_held)
            samples.add(["free"], sum.pipes > sum.pipes_held ? sum.pipes - sum.pipes_held : 0)
        }
        text.write(MetricCatalogue.pipePoolLimit) { $0.add(budget.pipeCap) }
        text.write(MetricCatalogue.pipesRefused) { $0.add(sum.pipes_refused) }
        text.write(MetricCatalogue.accessLogDropped) { $0.add(region.accessLogDropped()) }
        text.write(MetricCatalogue.logDropped) { $0.add(region.logDropped()) }
        text.write(MetricCatalogue.eventsDropped) { $0.add(events.missed) }
    }

    /// What the workers count each for itself.
    private func workerSums() -> limpet_worker {
        var sum = limpet_worker()
        for index in 0..<region.workerCount {
            let worker = region.worker(index)
            sum.pipes &+= limpet_load64(&worker.pointee.pipes)
            sum.pipes_held &+= limpet_load64(&worker.pointee.pipes_held)
            sum.pipes_refused &+= limpet_load64(&worker.pointee.pipes_refused)
            sum.descriptor_failures &+= limpet_load64(&worker.pointee.descriptor_failures)
            sum.local_failures &+= limpet_load64(&worker.pointee.local_failures)
        }
        return sum
    }

    private func writeListeners(_ text: inout MetricsText) {
        let rows = listeners().map { (labels: [$0.service, $0.name], row: $0) }
        text.write(MetricCatalogue.listenerConnections) { samples in
            for (labels, row) in rows { samples.add(labels, row.connections) }
        }
        text.write(MetricCatalogue.listenerAccepted) { samples in
            for (labels, row) in rows { samples.add(labels, row.accepted) }
        }
        text.write(MetricCatalogue.listenerRefused) { samples in
            for listener in listenerSet.ordered(by: topology.liveServices) {
                let labels = [topology.services[listener.service].configuration.name, listener.name]
                let slots = slots(ofListener: listener.slot)
                for reason in Controller.refusals {
                    let refused = slots.reduce(0) { $0 &+ region.refused(byListener: $1, reason) }
                    samples.add(labels + [reason.word], refused)
                }
            }
        }
        text.write(MetricCatalogue.listenerAccepting) { samples in
            for (labels, row) in rows { samples.add(labels, row.state == .accepting) }
        }
    }

    private static let refusals = EndReason.allCases.filter { $0.isRefusal || $0 == .local || $0 == .clientReset }

    // MARK: Connections that have ended, and the workers

    private func writeEnds(_ text: inout MetricsText) {
        text.write(MetricCatalogue.connectionsClosed) { samples in
            // What never had a place in the table is no connection that ended.
            for reason in EndReason.allCases { samples.add([reason.word], region.closed(reason)) }
        }
        text.write(MetricCatalogue.connectionDuration) { $0.add(MetricHistogram(region.connectionDurations())) }
    }

    private func writeWorkers(_ text: inout MetricsText) {
        text.write(MetricCatalogue.spliceCalls) { samples in
            for result in SpliceResult.allCases { samples.add(["\(result)"], region.spliceCalls(result)) }
        }
        text.write(MetricCatalogue.eventLoopLag) { samples in
            for worker in 0..<region.workerCount {
                samples.add(["\(worker)"], Double(region.eventLoopLag(ofWorker: worker)) / 1e9)
            }
        }
        text.write(MetricCatalogue.workerCPU) { samples in
            for worker in 0..<region.workerCount {
                samples.add(["\(worker)"], Double(workers.processorTime(ofWorker: worker)) / 1e9)
            }
        }
    }

    // MARK: Services and backends

    private var liveServices: [Topology.Service] { topology.liveServices.map { topology.services[$0] } }

    /// Backends of a service that are up, full ones included; nil: nothing is known of any yet, and none is up.
    func backendsUp(_ service: Topology.Service) -> Int? {
        let states = service.slots.map(state)
        let up = states.count { $0 == .up || $0 == .full }
        return up == 0 && states.contains(.checking) ? nil : up
    }

    private func writeServices(_ text: inout MetricsText) {
        let services = liveServices.map { (name: $0.configuration.name, up: backendsUp($0)) }
        text.write(MetricCatalogue.serviceBackendsUp) { samples in
            for service in services { samples.add([service.name], service.up ?? 0) }
        }
        text.write(MetricCatalogue.servicePanic) { samples in
            for service in services { samples.add([service.name], service.up == 0) }
        }
    }

    /// A backend as it is now.
    private struct Shown {
        let slot: Int
        let labels: [String]
        let configuration: BackendConfiguration
        let isLive: Bool
        let state: String
        var totals: limpet_backend_counters
    }

    /// Those that are configured, and those that were removed and have connections left.
    private var shown: [Shown] {
        topology.backends.indices.compactMap { slot in
            let backend = topology.backends[slot]
            guard backend.isLive || limpet_load64(&region.backend(slot).pointee.load) > 0 else { return nil }
            return Shown(
                slot: slot, labels: [backend.serviceName, backend.configuration.name],
                configuration: backend.configuration, isLive: backend.isLive,
                state: backend.isLive ? state(slot).metricLabel : BackendState.removedLabel, totals: totals(slot))
        }
    }

    private func writeBackends(_ text: inout MetricsText) {
        let backends = shown
        func write<Value: BinaryInteger>(_ family: MetricFamily, _ value: (Shown) -> Value?) {
            text.write(family) { samples in
                for backend in backends { if let value = value(backend) { samples.add(backend.labels, value) } }
            }
        }
        text.write(MetricCatalogue.backendUp) { samples in
            for backend in backends where backend.isLive {
                samples.add(backend.labels, [.up, .unchecked].contains(health(backend.slot)))
            }
        }
        text.write(MetricCatalogue.backendState) { samples in
            for backend in backends {
                for word in BackendState.metricLabels { samples.add(backend.labels + [word], backend.state == word) }
            }
        }
        text.write(MetricCatalogue.backendStateChanges) { samples in
            for backend in backends {
                for state in BackendState.allCases {
                    samples.add(backend.labels + [state.metricLabel], counts.stateChanges(backend.slot, state))
                }
            }
        }
        text.write(MetricCatalogue.backendWeight) { samples in
            for backend in backends where backend.isLive {
                samples.add(
                    backend.labels, region.effectiveWeight(backend.slot, configured: backend.configuration.weight))
            }
        }
        write(MetricCatalogue.backendConnections) { $0.totals.open }
        write(MetricCatalogue.backendConnecting) { $0.totals.connecting }
        write(MetricCatalogue.backendAway) { $0.totals.away }
        write(MetricCatalogue.backendConnectionsLimit) { backend -> UInt64? in
            let limit = limpet_load64(&region.backend(backend.slot).pointee.limit)
            return limit == 0 || !backend.isLive ? nil : limit
        }
        write(MetricCatalogue.backendConnectionsTotal) { $0.totals.total }
        write(MetricCatalogue.backendBytesIn) { $0.totals.bytes.0 }
        write(MetricCatalogue.backendBytesOut) { $0.totals.bytes.1 }
        text.write(MetricCatalogue.backendConnectFailures) { samples in
            for backend in backends {
                for (number, reason) in Controller.connectFailures {
                    var totals = backend.totals
                    samples.add(
                        backend.labels + [reason], limpet_backend_failures(&totals, Int32(number)).pointee)
                }
            }
        }
        text.write(MetricCatalogue.backendConnectDuration) { samples in
            for backend in backends {
                samples.add(backend.labels, MetricHistogram(region.connectDurations(ofBackend: backend.slot)))
            }
        }
        write(MetricCatalogue.backendFallbacks) { $0.totals.fallbacks }
        text.write(MetricCatalogue.backendCheckDuration) { samples in
            for backend in backends {
                guard let check = healthKeeper.report(backend.slot)?.last else { continue }
                samples.add(backend.labels, Double(check.duration) / 1e9)
            }
        }
        write(MetricCatalogue.backendDrainRemaining) { backend -> UInt64 in
            guard intent(backend.slot) == .drain else { return 0 }
            return limpet_load64(&region.backend(backend.slot).pointee.load)
        }
        writeSourcePorts(&text)
    }

    private func writeSourcePorts(_ text: inout MetricsText) {
        guard let rows = sourcePorts() else { return }
        text.write(MetricCatalogue.sourcePorts) { samples in
            for row in rows { samples.add([row.source, row.service, row.backend], row.used) }
        }
        text.write(MetricCatalogue.sourcePortsLimit) { samples in
            for row in rows { if let limit = row.limit { samples.add([row.source, row.service, row.backend], limit) } }
        }
    }

    private static let connectFailures: [(Int, String)] = [
        (LIMPET_FAILURE_REFUSED, "refused"), (LIMPET_FAILURE_UNREACHABLE, "unreachable"),
        (LIMPET_FAILURE_TIMEOUT, "timeout"), (LIMPET_FAILURE_RESET, "reset"), (LIMPET_FAILURE_LOCAL, "local"),
        (LIMPET_FAILURE_OTHER, "other"),
    ]

    // MARK: The process

    private func writeProcess(_ text: inout MetricsText) {
        let workers = 0..<region.workerCount
        let highest = workers.map { limpet_load_signed32(&region.worker($0).pointee.highest) }.max() ?? 0
        text.write(MetricCatalogue.processCPU) { $0.add(Double(ProcessUsage.processorTime) / 1e9) }
        text.write(MetricCatalogue.processOpenDescriptors) {
            $0.add(ProcessUsage.openDescriptors(below: highest + 512))
        }
        text.write(MetricCatalogue.processDescriptorLimit) { $0.add(budget.limit) }
        let memory = ProcessUsage.memory
        if let memory {
            text.write(MetricCatalogue.processVirtualMemory) { $0.add(memory.virtual) }
        }
        text.write(MetricCatalogue.processVirtualMemoryLimit) {
            $0.add(ProcessUsage.memoryLimit.map(Double.init) ?? .infinity)
        }
        if let memory { text.write(MetricCatalogue.processResidentMemory) { $0.add(memory.resident) } }
        text.write(MetricCatalogue.processStartTime) { $0.add(counts.engineStart) }
    }
}

extension MetricHistogram {
    fileprivate init(_ histogram: Histogram) {
        self.init(bounds: histogram.bounds, counts: histogram.counts, sum: histogram.sum)
    }
}

extension BackendState {
    /// The word that `limpetctl backends` shows.
    var metricLabel: String {
        switch self {
        case .maintenance: "maintenance"
        case .draining: "draining"
        case .drained: "drained"
        case .down: "down"
        case .checking: "checking"
        case .full: "full"
        case .up: "up"
        }
    }

    /// A reload has taken it out of the configuration.
    static let removedLabel = "removed"

    /// All that the label can say.
    static let metricLabels = allCases.map(\.metricLabel) + [removedLabel]
}
