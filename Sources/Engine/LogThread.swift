import Addressing
import Backends
import CContinuity
import CLayout
import Configuration
import Forwarding
import Linux
import Logging
import Observability

/// Writes the access log, and what of the log itself finds no reader at once, on a thread of its own.
///
/// Workers leave entries in rings of the shared region (`Forwarding/Ending`), so that a line is written by whichever engine
/// comes to it: at least once. Nobody ever waits for this thread; where standard error takes nothing, the rings fill up, and
/// what finds no place is counted by the workers and told of here.
final class LogThread: Sendable {
    /// Wakes the thread, where it sleeps.
    let wakeUp: WakeUp
    private let region: SharedRegion
    private let topology: Locked<Topology>
    private let log: Logger
    private let hasEnded = Monitor(false)
    private let isEnding = Locked(false)

    /// Milliseconds that the thread sleeps at most, and where there is something to tell.
    private static let longestSleep: Int32 = 60_000
    private static let shortSleep: Int32 = 1000
    /// Milliseconds that it leaves be after it was woken: many ends come together, and are written together.
    private static let gathering: Int32 = 5
    /// Milliseconds that it waits for a reader before it looks whether the daemon ends …
    private static let patience: Int32 = 1000
    /// … and how long the end of the daemon waits for it.
    private static let lastWords = Duration.seconds(10)
    /// ns between two lines about lines that were lost.
    private static let tellingInterval: UInt64 = 1_000_000_000

    init(_ region: SharedRegion, _ topology: Topology, _ log: Logger) throws(SystemError) {
        self.region = region
        self.topology = Locked(topology)
        self.log = log
        wakeUp = try WakeUp()
    }

    /// Once, before the workers start.
    func start() throws(SystemError) {
        let region = region
        let state = region.logState
        LogOutput.queue(
            wakeUp: wakeUp, lost: Int(clamping: limpet_load64(&state.pointee.log_waiting)),
            counters: LogOutput.Counters(
                dropped: { limpet_bump64(&region.logState.pointee.log_dropped, UInt64(bitPattern: Int64($0))) },
                waiting: { limpet_bump64(&region.logState.pointee.log_waiting, UInt64(bitPattern: Int64($0))) }))
        limpet_store32(&state.pointee.asleep, 0)
        try Threads.startDetached("log") { [self] in
            limpet_fault_thread(-1)
            run()
            LogOutput.stopQueueing()
            hasEnded.with { $0 = true }
        }
    }

    /// What slots mean has changed.
    func follow(_ next: Topology) {
        topology.with { $0 = next }
    }

    /// Writes what is left, as long as somebody reads it. Once all workers have ended.
    func finish() {
        isEnding.with { $0 = true }
        wakeUp.signal()
        _ = hasEnded.wait(within: LogThread.lastWords) { $0 ? true : nil }
    }

    // MARK: The thread

    private func run() {
        var writer = AccessLineWriter(Log.settings(region))
        var chunk: [UInt8] = []
        var tails = (0..<region.workerCount).map { region.accessRing($0).pointee.tail }
        var told: UInt64 = 0
        while true {
            told = tell(told)
            chunk.removeAll(keepingCapacity: true)
            LogOutput.takeWaiting(into: &chunk)
            fill(&chunk, &tails, &writer)
            if chunk.isEmpty {
                LogOutput.rest()
                if isEnding.with({ $0 }) { return }
                sleep()
                continue
            }
            while !LogOutput.writeChunk(&chunk, within: LogThread.patience) {
                if isEnding.with({ $0 }) { return }
            }
            LogOutput.rest()
            for worker in tails.indices { limpet_publish64(&region.accessRing(worker).pointee.tail, tails[worker]) }
        }
    }

    /// Adds lines of the rings, as many as go out at once.
    /// - Parameter tails: how far each ring is in the chunk.
    private func fill(_ chunk: inout [UInt8], _ tails: inout [UInt64], _ writer: inout AccessLineWriter) {
        let topology = self.topology.with { $0 }
        for worker in tails.indices {
            let ring = region.accessRing(worker)
            // What a damaged counter says is not believed.
            let head = limpet_load64_ordered(&ring.pointee.head)
            if head &- tails[worker] > UInt64(LIMPET_ACCESS_ENTRIES) {
                tails[worker] = head
                limpet_publish64(&ring.pointee.tail, head)
            }
            while tails[worker] != head {
                let bytes = writer.bytes(line(limpet_entry(ring, tails[worker]).pointee, topology))
                guard chunk.isEmpty || chunk.count + bytes.count <= LogOutput.piece else { return }
                chunk += bytes
                tails[worker] += 1
            }
        }
    }

    private func sleep() {
        limpet_store32(&region.logState.pointee.asleep, 1)
        limpet_fence()
        if !hasWork {
            let isTold = region.logState.pointee.access_told == region.accessLogDropped()
            wakeUp.wait(milliseconds: isTold ? LogThread.longestSleep : LogThread.shortSleep)
            Threads.pause(milliseconds: LogThread.gathering)
        }
        limpet_store32(&region.logState.pointee.asleep, 0)
        wakeUp.clear()
    }

    private var hasWork: Bool {
        LogOutput.isWaiting || isEnding.with { $0 }
            || (0..<region.workerCount).contains {
                let ring = region.accessRing($0)
                return limpet_load64(&ring.pointee.head) != ring.pointee.tail
            }
    }

    /// Says how many lines were lost, when some were.
    /// - Parameter last: when that was said last, in ns.
    private func tell(_ last: UInt64) -> UInt64 {
        let state = region.logState
        let dropped = region.accessLogDropped()
        let now = Clock.now()
        guard dropped > state.pointee.access_told, now - last >= LogThread.tellingInterval else { return last }
        log.warning("\(dropped - state.pointee.access_told) lines of the access log are lost: nobody read it in time")
        state.pointee.access_told = dropped
        return now
    }

    /// An entry with its names.
    private func line(_ entry: limpet_access_entry, _ topology: Topology) -> AccessLine {
        let reason = EndReason(rawValue: entry.end) ?? .unknown
        let client = entry.client.endpoint?.named
        let isAway = entry.home != .max && entry.home != entry.backend
        return AccessLine(
            time: Clock.wall() &- (Clock.now() &- entry.time), id: entry.id, client: client?.description,
            peer: entry.peer.endpoint?.named.description,
            listener: listenerName(entry.listener),
            service: serviceName(entry, topology), backend: backendName(entry.backend, topology),
            home: backendName(entry.home, topology),
            away: isAway ? awayWord(entry.away_reason) : nil,
            connect: entry.connect == 0 ? nil : UInt64(entry.connect), retries: max(0, Int(entry.attempt) - 1),
            end: entry.kind == UInt8(LIMPET_ACCESS_START)
                ? nil
                : AccessLine.End(
                    duration: entry.duration, bytesIn: entry.bytes.0, bytesOut: entry.bytes.1, reason: reason.word,
                    by: reason.by.rawValue))
    }

    private func awayWord(_ reason: UInt8) -> String {
        let reason = AwayReason(rawValue: reason) ?? .home
        // It had come home, and the configuration has made another its home since.
        return reason == .home ? "moved" : reason.word
    }

    private func listenerName(_ slot: UInt16) -> String {
        guard slot < region.listenerSlots else { return "-" }
        return region.listenerName(Int(slot)) ?? "-"
    }

    private func backendName(_ slot: UInt16, _ topology: Topology) -> String? {
        slot < topology.backends.count ? topology.backends[Int(slot)].configuration.name : nil
    }

    private func serviceName(_ entry: limpet_access_entry, _ topology: Topology) -> String {
        // A backend knows its service also where that service's slot is another's by now.
        if entry.backend < topology.backends.count { return topology.backends[Int(entry.backend)].serviceName }
        let slot = Int(entry.service)
        return slot < topology.services.count ? topology.services[slot].configuration.name : "-"
    }
}
