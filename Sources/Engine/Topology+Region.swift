import Backends
import CLayout
import Configuration
import Forwarding
import Health
import Linux
import Logging

/// What the shared region has to say of each slot, brought in line with what the slots mean. Everything here may be done
/// again at any time and then changes nothing: so a change of the configuration that a death has cut short is either
/// whole or not there, and every engine begins with it.
extension Topology {
    /// Brings the backends in line, and the listeners but for their sockets. On the control plane's thread, or before there
    /// is one.
    /// - Parameter removedDeadline: time that what is retired now leaves to its connections; nil: for ever.
    /// - Returns: the weights of operators that no longer count, as the configuration has had another since.
    @discardableResult
    func settle(
        in region: SharedRegion, removedDeadline: Duration?
    ) -> [(slot: Int, weight: OperatorWeight)] {
        var beaten: [(slot: Int, weight: OperatorWeight)] = []
        let end = removedDeadline.map { max(1, Clock.now() + $0.nanoseconds) } ?? 0
        for (slot, backend) in backends.enumerated() {
            let state = region.backend(slot)
            if backend.isLive {
                begin(slot, region)
                settleHealth(slot, region)
                limpet_store64(
                    &state.pointee.limit, region.effectiveLimit(slot, configured: backend.configuration.maxConnections))
                // Whoever changed the weight in the file since has had the last word.
                if let set = region.operatorWeight(slot), set.base != backend.configuration.weight {
                    region.setOperatorWeight(nil, slot)
                    beaten.append((slot, set))
                }
            } else if state.pointee.used == UInt8(LIMPET_SLOT_LIVE) {
                // What an operator wanted of it goes with it.
                region.setOperatorIntent(OperatorIntent(), slot)
                limpet_store8(&state.pointee.state, 0)
                limpet_publish64(&state.pointee.since, Clock.wall())
                state.pointee.removed_deadline = end
                limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_RETIRED))
            }
        }
        region.affinity.settle(
            entries: affinityEntries, isUsed: liveServices.contains { services[$0].configuration.affinity != nil })
        let serviceSlots = tables.liveServices
        let gone = tables.goneListeners
        for (slot, listener) in tables.listeners.enumerated() {
            let state = region.listener(slot)
            if listener.use == .live {
                state.pointee.removed_deadline = 0
                if let service = serviceSlots[listener.service] { state.pointee.service = UInt16(service) }
            } else if state.pointee.used == UInt8(LIMPET_SLOT_LIVE) || state.pointee.removed_deadline == .max {
                // One that has only got other sockets, in another slot, is not removed before that one is.
                state.pointee.removed_deadline = gone.contains(slot) ? end : .max
                // Nobody is to come there any more; who waits is taken in.
                region.removeFile(ofListener: slot)
                limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_RETIRED))
            }
        }
        return beaten
    }

    /// What a reload does with listeners whose sockets give way to others, where a death has cut it short: these listen before
    /// those are closed, so that at every moment somebody listens.
    /// - Returns: see ``closeRetiredListeners(in:)``.
    func exchangeListeners(in region: SharedRegion, _ log: Logger) -> [AcceptedSocket] {
        ListenerSet(region).listen(log, below: tables.listeners.count)
        return closeRetiredListeners(in: region)
    }

    /// Closes the sockets of listeners that are not live. Where workers serve, they have done it already: then this finds
    /// what a death has left.
    /// - Returns: the clients that waited there, for ``WorkerPool`` to take in.
    @discardableResult
    func closeRetiredListeners(in region: SharedRegion) -> [AcceptedSocket] {
        var accepted: [AcceptedSocket] = []
        for slot in 0..<region.listenerSlots {
            let state = region.listener(slot)
            if slot < tables.listeners.count {
                guard tables.listeners[slot].use == .retired else { continue }
                accepted += ListenerSet.takeIn(slot, in: region)
                ListenerSet.close(slot, in: region)
            } else if state.pointee.used != UInt8(LIMPET_SLOT_FREE) {
                // Bound for a change that a death came before.
                region.removeFile(ofListener: slot)
                ListenerSet.close(slot, in: region)
                limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_FREE))
            }
        }
        return accepted
    }

    /// A check that was switched on takes a backend as it was, which is up; one that was switched off leaves nothing that
    /// could take it down.
    private func settleHealth(_ slot: Int, _ region: SharedRegion) {
        let health = region.health(slot)
        let settled: Health =
            switch health {
            case .unchecked: check(slot) == nil ? .unchecked : .up
            case .checking, .up: check(slot) == nil ? .unchecked : health
            // Without a check it was taken out by its connections, and has its time to come back.
            case .down: .down
            // What an agent had asked for goes with it.
            case .draining, .maintenance: check(slot)?.isAgent == true ? health : check(slot) == nil ? .unchecked : .up
            }
        if settled != health { limpet_publish8(&region.backend(slot).pointee.health, settled.rawValue) }
    }

    /// The first state of a backend that was not there, or that was removed before. Its intent follows, see
    /// ``IntentRestore``.
    private func begin(_ slot: Int, _ region: SharedRegion) {
        let state = region.backend(slot)
        guard state.pointee.used != UInt8(LIMPET_SLOT_LIVE) else { return }
        limpet_store8(
            &state.pointee.health, (check(slot) == nil ? Health.unchecked : Health.checking).rawValue)
        state.pointee.removed_deadline = 0
        region.setStanding(AgentStanding(), slot)
        limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_LIVE))
    }
}

extension SlotLimits {
    /// Services have no slots in the region; but a record has 16 bits for each number.
    init(_ region: SharedRegion) {
        self.init(services: Tally.maximumServices, backends: region.backendSlots, listeners: region.listenerSlots)
    }
}

extension SharedRegion {
    /// What the sockets of listeners are, with the ports that they have, by slot; nil where there never were any.
    func boundListeners(_ tables: SlotTables) -> [ListenerConfiguration?] {
        tables.listeners.indices.map { slot in
            guard let address = listenerAddress(slot) else { return nil }
            var listener = ListenerConfiguration(address)
            listener.device = listenerDevice(slot)
            listener.isV6Only = !isDual(listener: slot)
            return listener
        }
    }

    /// The weight of a backend: the operator's, unless the file has had another since, else the file's; of either, the share
    /// that its agent asks for.
    func wholeWeight(_ slot: Int, configured: Int) -> Int {
        var weight = configured
        if let set = operatorWeight(slot), set.base == configured { weight = set.value }
        return standing(slot).weight(weight)
    }

    /// The weight that is in force: the whole one, and while the backend starts slowly, so many tenths of that.
    func effectiveWeight(_ slot: Int, configured: Int) -> Double {
        let whole = Double(wholeWeight(slot, configured: configured))
        guard let tenths = slowStart(slot)?.tenths else { return whole }
        return whole * Double(tenths) / Double(SlowStart.full)
    }

    /// The limit of a backend that is in force: the file's or its agent's, whichever is lower; 0: none.
    func effectiveLimit(_ slot: Int, configured: Int?) -> UInt64 {
        let limits = [configured ?? 0, standing(slot).maxConnections].filter { $0 > 0 }
        return UInt64(limits.min() ?? 0)
    }

    /// What the agent of a backend has asked for. The control plane alone writes it: one word, stored whole.
    func standing(_ slot: Int) -> AgentStanding {
        AgentStanding(word: limpet_load64(&counters(0, backend: slot).pointee.agent))
    }

    func setStanding(_ standing: AgentStanding, _ slot: Int) {
        limpet_publish64(&counters(0, backend: slot).pointee.agent, standing.word)
    }
}
