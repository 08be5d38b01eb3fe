import Backends
import CLayout
import Forwarding
import Linux

/// What operators have set, in the shared region. The control plane alone writes it.
///
/// The order of the stores matters where the writer dies between two: then nothing may hold that nobody asked for. So what
/// says that there is something is stored last and taken back first, and a backend never closes its connections before it
/// is known to be the one that was asked to.
extension SharedRegion {
    func intent(_ slot: Int) -> Intent {
        Intent(rawValue: limpet_load8(&backend(slot).pointee.intent)) ?? .ready
    }

    /// When what a backend has left is closed, in ns of ``Clock/now()``; nil: never.
    func closingTime(_ slot: Int) -> UInt64? {
        let time = limpet_load64(&backend(slot).pointee.drain_deadline)
        return time == 0 || intent(slot) == .ready ? nil : time
    }

    /// - Parameters:
    ///   - since: ns since 1970.
    ///   - closingTime: as ``closingTime(_:)``; nothing for ``Intent/ready``.
    ///   - pace: how the connections are shed; nothing for ``Intent/ready``.
    func setIntent(
        _ intent: Intent, _ slot: Int, since: UInt64, closingTime: UInt64?, pace: DrainPace = DrainPace(speed: .none)
    ) {
        let state = backend(slot)
        if intent == .ready {
            limpet_publish8(&state.pointee.intent, intent.rawValue)
            limpet_publish64(&state.pointee.drain_deadline, 0)
            limpet_publish64(&state.pointee.intent_since, 0)
            setDrainPace(DrainPace(speed: .none), slot)
        } else {
            limpet_publish64(&state.pointee.drain_deadline, 0)
            setDrainPace(pace, slot)
            limpet_publish64(&state.pointee.intent_since, since)
            limpet_publish8(&state.pointee.intent, intent.rawValue)
            limpet_publish64(&state.pointee.drain_deadline, closingTime ?? 0)
        }
    }

    /// How the connections of a backend that drains or is disabled are shed. In worker 0's counters, which begin anew with
    /// a slot's next use.
    func drainPace(_ slot: Int) -> DrainPace {
        DrainPace(word: limpet_load64(&counters(0, backend: slot).pointee.drain))
    }

    func setDrainPace(_ pace: DrainPace, _ slot: Int) {
        limpet_publish64(&counters(0, backend: slot).pointee.drain, pace.word)
    }

    /// Puts the closing off, or brings it forward; there has to be a time for it.
    func moveClosingTime(to time: UInt64, _ slot: Int) {
        limpet_publish64(&backend(slot).pointee.drain_deadline, max(1, time))
    }

    /// What was to be closed has been.
    func forgetClosingTime(_ slot: Int) {
        limpet_publish64(&backend(slot).pointee.drain_deadline, 0)
    }

    /// The weight that an operator has set; nil: the configuration's counts.
    func operatorWeight(_ slot: Int) -> OperatorWeight? {
        let state = backend(slot)
        let value = Int(limpet_load16(&state.pointee.weight))
        guard value != 0 else { return nil }
        return OperatorWeight(
            value: value, base: Int(limpet_load16(&state.pointee.weight_base)),
            since: limpet_load64(&state.pointee.weight_since))
    }

    func setOperatorWeight(_ weight: OperatorWeight?, _ slot: Int) {
        let state = backend(slot)
        guard let weight else { return limpet_publish16(&state.pointee.weight, 0) }
        limpet_publish16(&state.pointee.weight_base, UInt16(clamping: weight.base))
        limpet_publish64(&state.pointee.weight_since, weight.since)
        limpet_publish16(&state.pointee.weight, UInt16(clamping: weight.value))
    }

    /// All that is set about a backend. What the region says in time since the start of the machine is told by the wall
    /// clock.
    func operatorIntent(_ slot: Int) -> OperatorIntent {
        var set = OperatorIntent()
        set.intent = intent(slot)
        if set.intent != .ready {
            set.intentSince = limpet_load64(&backend(slot).pointee.intent_since)
            set.closesAt = closingTime(slot).map(ClockPair().wall)
        }
        set.weight = operatorWeight(slot)
        return set
    }

    func setOperatorIntent(_ set: OperatorIntent, _ slot: Int) {
        setOperatorWeight(set.weight, slot)
        setIntent(
            set.intent, slot, since: set.intentSince, closingTime: set.closesAt.map { max(1, ClockPair().boot($0)) })
    }
}

/// Both clocks at one moment, to tell a time of the one by the other.
struct ClockPair {
    /// CLOCK_BOOTTIME and CLOCK_REALTIME, in ns.
    var bootNow = Clock.now()
    var wallNow = Clock.wall()

    /// A time since the start of the machine, by the wall clock; clamped to what 64 bits hold.
    func wall(_ boot: UInt64) -> UInt64 {
        ClockPair.moved(wallNow, from: bootNow, to: boot)
    }

    /// A time of the wall clock, since the start of the machine; clamped to what 64 bits hold.
    func boot(_ wall: UInt64) -> UInt64 {
        ClockPair.moved(bootNow, from: wallNow, to: wall)
    }

    /// `time`, as much later or earlier as `end` is than `start`; clamped.
    private static func moved(_ time: UInt64, from start: UInt64, to end: UInt64) -> UInt64 {
        if end < start { return time - min(time, start - end) }
        let (sum, overflow) = time.addingReportingOverflow(end - start)
        return overflow ? .max : sum
    }
}
