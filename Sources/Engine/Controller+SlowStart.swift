import Backends
import CLayout
import Configuration
import Forwarding
import Linux
import Logging
import NIOCore

/// Backends on their way up to their full weight. How far each is lies in the region: an engine that takes over goes on
/// from there.
extension Controller {
    struct SlowStarts {
        /// Slots of backends on their way.
        var running: Set<Int> = []
        /// Slots of backends that are down, and start slowly when they come back.
        var down: Set<Int> = []
        var timer: RepeatedTask?
    }

    private static let slowStartStep = TimeAmount.milliseconds(250)

    /// Goes on with what an engine before has begun.
    func beginSlowStarts() {
        for slot in topology.backends.indices where topology.backends[slot].isLive && region.slowStart(slot) != nil {
            slowStarts.running.insert(slot)
        }
        noteSlowStarts()
    }

    /// A backend has come back from being down.
    func startSlowly(_ slot: Int) {
        guard topology.backends[slot].isLive, slowStartTime(slot) != nil else { return }
        region.setSlowStart(began: Clock.now(), tenths: 1, slot)
        slowStarts.running.insert(slot)
        takeWeights()
        noteSlowStarts()
    }

    /// Says of the backends that a reload adds to a service that they begin with little, or with all. Before the topology
    /// is made of it.
    func beginAdded(_ next: SlotTables, _ configuration: DaemonConfiguration) {
        let services = topology.tables.liveServices
        for (slot, backend) in next.backends.enumerated() where backend.use == .live {
            if slot < topology.backends.count, topology.backends[slot].isLive { continue }
            let isSlow =
                services[backend.service] != nil
                && configuration.services.contains { $0.name == backend.service && $0.slowStart != nil }
            region.setSlowStart(began: Clock.now(), tenths: isSlow ? 1 : SlowStart.full, slot)
            if isSlow { slowStarts.running.insert(slot) }
        }
    }

    /// The clock runs exactly while a backend is on its way.
    func noteSlowStarts() {
        if slowStarts.running.isEmpty {
            slowStarts.timer?.cancel()
            slowStarts.timer = nil
        } else if slowStarts.timer == nil {
            slowStarts.timer = eventLoop.scheduleRepeatedTask(
                initialDelay: Controller.slowStartStep, delay: Controller.slowStartStep
            ) { [self] _ in stepSlowStarts() }
        }
    }

    /// nil: it starts with its full weight.
    private func slowStartTime(_ slot: Int) -> UInt64? {
        guard topology.backends[slot].isLive, let service = topology.backends[slot].service else { return nil }
        return topology.services[service].configuration.slowStart?.nanoseconds
    }

    private func stepSlowStarts() {
        var hasChanged = false
        for slot in slowStarts.running {
            guard let state = region.slowStart(slot) else {
                slowStarts.running.remove(slot)
                continue
            }
            let now = Clock.now()
            let tenths =
                slowStartTime(slot).map { SlowStart.tenths(elapsed: now - min(now, state.began), of: $0) }
                ?? SlowStart.full
            if tenths == SlowStart.full { slowStarts.running.remove(slot) }
            if tenths != state.tenths {
                region.setSlowStart(began: state.began, tenths: tenths, slot)
                hasChanged = true
            }
        }
        if hasChanged { takeWeights() }
        noteSlowStarts()
    }

    private func takeWeights() {
        do throws(StartError) {
            try rebuild {}
        } catch {
            log.error("slow start: \(error)")
        }
    }
}

/// Of each backend in worker 0's counters, which begin anew with a slot's next use: milliseconds of ``Clock/now()`` at which
/// the slow start began, and in the lowest byte the tenths of the weight that count; 0: all of it.
extension SharedRegion {
    /// nil: the whole weight counts.
    func slowStart(_ slot: Int) -> (began: UInt64, tenths: Int)? {
        let word = limpet_load64(&counters(0, backend: slot).pointee.slow_start)
        return word == 0 ? nil : (word >> 8 * 1_000_000, Int(word & 0xff))
    }

    /// - Parameter tenths: 1 to 10.
    func setSlowStart(began: UInt64, tenths: Int, _ slot: Int) {
        let word = tenths == SlowStart.full ? 0 : (began / 1_000_000) << 8 | UInt64(tenths)
        limpet_publish64(&counters(0, backend: slot).pointee.slow_start, word)
    }
}
