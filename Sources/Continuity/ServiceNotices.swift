internal import CLayout
internal import Forwarding
internal import Linux

/// What the keeper tells the service manager: how far the daemon is, as the engine has written it down (``ServiceState``),
/// and that it is alive itself.
///
/// All of it comes from the keeper, so that a unit need not listen to anybody else, and so that the watchdog is about the
/// process whose end would be the end of all connections. (An engine that stands still the keeper ends by itself.) For the
/// keeper's only thread; it opens nothing but in ``init(_:)``, and waits for nobody.
struct ServiceNotices {
    /// How much longer a stop may take each time that it is said so, in µs …
    private static let extensionTime: UInt64 = 30_000_000
    /// … and how often, in ns.
    private static let extensionInterval: UInt64 = 10_000_000_000
    /// After a sign of life that found no room, in ns.
    private static let retry: UInt64 = 100_000_000

    private let process: UnsafeMutablePointer<limpet_process>
    private let manager: ServiceManager?
    /// The time between two signs of life, in ns; nil: nobody waits for them. Half of what is granted.
    private let beat: UInt64?
    private var nextBeat: UInt64 = 0
    private var nextExtension: UInt64 = 0
    /// What it has been told, by this image or by one before.
    private var phase: Int
    private var reloadsBegun: UInt64
    private var isReloading = false
    private var sequence: UInt32 = 0

    /// While there is no engine: opens the socket, unless an image before has.
    init(_ region: SharedRegion) {
        process = region.process
        manager = ServiceManager.own
        if manager != nil { process.pointee.notify_socket = ServiceManager.openSocket() ?? -1 }
        // Told once, to the process that the service manager has started; whatever its number is by now.
        if process.pointee.watchdog == 0 {
            process.pointee.watchdog =
                ServiceManager.watchdog(
                    interval: Environment.value("WATCHDOG_USEC"), process: Environment.value("WATCHDOG_PID"),
                    own: Processes.own) ?? 0
        }
        beat = process.pointee.watchdog == 0 ? nil : max(1, process.pointee.watchdog / 2) * 1000
        phase = Int(process.pointee.phase)
        reloadsBegun = process.pointee.reloads_begun
    }

    /// When the next sign of life is due, in ns of ``Clock``; nil: none is.
    var due: UInt64? { manager == nil || beat == nil ? nil : nextBeat }

    /// Tells what there is to tell. What finds no room is told at the next look.
    mutating func look(now: UInt64) {
        guard manager != nil else { return }
        if let beat, now >= nextBeat {
            nextBeat = now + (tell("WATCHDOG=1") ? beat : min(beat, ServiceNotices.retry))
        }
        let engine = Int(limpet_load32(&process.pointee.phase))
        if engine >= LIMPET_PHASE_READY, phase < LIMPET_PHASE_READY, tell("READY=1") { phase = LIMPET_PHASE_READY }
        tellReload()
        if engine == LIMPET_PHASE_STOPPING, now >= nextExtension {
            let stopping = phase < LIMPET_PHASE_STOPPING ? "STOPPING=1\n" : ""
            if tell(stopping + "EXTEND_TIMEOUT_USEC=\(ServiceNotices.extensionTime)") {
                phase = LIMPET_PHASE_STOPPING
                nextExtension = now + ServiceNotices.extensionInterval
            }
        }
        tellStatus()
    }

    /// Tells in words how it is, until the next engine says so itself.
    func say(_ text: String) {
        tell("STATUS=\(text)")
    }

    /// Both ends of a reload, also where it was over before anybody looked.
    private mutating func tellReload() {
        let begun = limpet_load64(&process.pointee.reloads_begun)
        if begun != reloadsBegun {
            let moment = limpet_load64(&process.pointee.reload_moment)
            guard tell("RELOADING=1\nMONOTONIC_USEC=\(moment)") else { return }
            reloadsBegun = begun
            isReloading = true
        }
        if isReloading, limpet_load64(&process.pointee.reloads_ended) == begun, tell("READY=1") { isReloading = false }
    }

    private mutating func tellStatus() {
        let begun = limpet_load32(&process.pointee.status_sequence)
        guard begun != sequence, begun & 1 == 0 else { return }
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(LIMPET_STATUS_BYTES)) { buffer in
            limpet_status_copy(process, buffer.baseAddress!)
            return String(cString: buffer.baseAddress!)
        }
        guard limpet_read_valid(&process.pointee.status_sequence, begun) else { return }
        if tell("STATUS=\(text)") { sequence = begun }
    }

    @discardableResult
    private func tell(_ message: String) -> Bool {
        guard let manager, process.pointee.notify_socket >= 0 else { return true }
        // Whoever is not there any more, or has no right, is not told at all.
        return manager.tell(message, by: process.pointee.notify_socket) != .wouldBlock
    }
}
