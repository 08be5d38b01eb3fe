import CLayout
import Control
import Forwarding

/// The last events in the shared region, where they outlive the engine. An event is named by its number after all of it
/// has been written; one that an engine died over is left out.
///
/// The control event loop alone writes it.
struct EventRing: EventStore {
    private let base: UnsafeMutablePointer<limpet_event>
    private let counters: UnsafeMutablePointer<limpet_control_counters>

    init(_ region: SharedRegion) {
        base = region.events
        counters = region.controlCounters
    }

    var longest: Int { MemoryLayout<limpet_event>.size - MemoryLayout<limpet_event>.offset(of: \.text)! }

    var missed: UInt64 { limpet_load64(&counters.pointee.events_dropped) }

    func addMissed(_ count: UInt64) { limpet_bump64(&counters.pointee.events_dropped, count) }

    func load() -> [(number: UInt64, line: [UInt8])] {
        var found: [(number: UInt64, line: [UInt8])] = []
        // What was never written is not read either: a page of the region that is looked at is a page in memory.
        let written = min(limpet_load64(&counters.pointee.events), UInt64(LIMPET_EVENTS) - 1)
        for index in 0...Int(written) {
            let event = base + index
            let number = limpet_load64(&event.pointee.number)
            let length = Int(event.pointee.length)
            guard number % UInt64(LIMPET_EVENTS) == UInt64(index), number != 0, length <= longest else { continue }
            let text = UnsafeRawBufferPointer(start: limpet_event_text(event), count: length)
            found.append((number, [UInt8](text)))
        }
        return found.sorted { $0.number < $1.number }
    }

    func append(_ number: UInt64, _ line: [UInt8]) {
        guard line.count <= longest else { return }
        let event = base + Int(number % UInt64(LIMPET_EVENTS))
        limpet_publish64(&counters.pointee.events, number)
        limpet_publish64(&event.pointee.number, 0)
        limpet_order()
        UnsafeMutableRawBufferPointer(start: limpet_event_text(event), count: line.count).copyBytes(from: line)
        event.pointee.length = UInt32(line.count)
        limpet_publish64(&event.pointee.number, number)
    }
}

extension EventHub {
    /// With what engines before have told; their numbers go on.
    convenience init(in region: SharedRegion) {
        self.init(
            version: runningVersion, epoch: region.header.pointee.started / 1_000_000, store: EventRing(region))
    }
}
