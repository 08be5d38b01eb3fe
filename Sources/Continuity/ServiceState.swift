internal import CLayout
public import Forwarding
internal import Linux

/// What the engine writes down for the service manager; the keeper tells it (``ServiceNotices``). For the control event loop
/// alone.
public struct ServiceState: Sendable {
    private let region: SharedRegion

    public init(_ region: SharedRegion) {
        self.region = region
    }

    /// Whether there is anybody to be told.
    public var isHeard: Bool { region.process.pointee.notify_socket > 0 }

    /// An engine serves: the daemon has started. A reload that another has died in is over.
    public func ready() {
        let process = region.process
        limpet_store64(&process.pointee.reloads_ended, process.pointee.reloads_begun)
        if process.pointee.phase == UInt32(LIMPET_PHASE_STARTING) {
            limpet_publish32(&process.pointee.phase, UInt32(LIMPET_PHASE_READY))
        }
        wakeKeeper()
    }

    public func stopping() {
        limpet_publish32(&region.process.pointee.phase, UInt32(LIMPET_PHASE_STOPPING))
        wakeKeeper()
    }

    /// A reload has begun; ``reloadEnded()`` follows.
    public func reloadBegan() {
        let process = region.process
        limpet_store64(&process.pointee.reload_moment, Clock.monotonic() / 1000)
        limpet_publish64(&process.pointee.reloads_begun, process.pointee.reloads_begun + 1)
        wakeKeeper()
    }

    public func reloadEnded() {
        let process = region.process
        limpet_publish64(&process.pointee.reloads_ended, process.pointee.reloads_begun)
        wakeKeeper()
    }

    /// How it is, in words: one line, cut to what there is room for.
    public func say(_ text: String) {
        let process = region.process
        // The engine before may have died in the middle of it.
        if process.pointee.status_sequence & 1 != 0 { limpet_write_end(&process.pointee.status_sequence) }
        limpet_write_begin(&process.pointee.status_sequence)
        limpet_status_set(process, text)
        limpet_write_end(&process.pointee.status_sequence)
        wakeKeeper()
    }

    /// It looks once a second anyway, and whenever a child of its has changed.
    private func wakeKeeper() {
        let keeper = region.continuity.pointee.keeper
        if isHeard, keeper > 0 { Signals.send(Signals.child, to: keeper) }
    }
}
