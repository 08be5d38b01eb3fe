import CContinuity
import CLayout
import Linux

/// One stream that is alone on its worker and fast is waited for: the kernel tells of it only when ``piece`` bytes are
/// there (SO_RCVLOWAT, socket(7)). Fewer and larger splices, and fewer changes between sender and worker.
///
/// What has come and is less is not kept waiting for more than two looks. The record says that the socket waits, before it
/// does: an engine that takes over puts an end to it.
struct Patience: ~Copyable {
    /// Bytes that are waited for. A stream that is fast enough to be waited for sends them within a millisecond.
    fileprivate static let piece: Int32 = 256 * 1024
    /// So many bytes of one stream …
    fileprivate static let enough = 16 * 1024 * 1024
    /// … within this time, in ns, are fast.
    fileprivate static let window: UInt64 = 50_000_000
    /// A piece of another stream that is at least so long shows that this one is not alone.
    fileprivate static let company = 65536
    /// Between two looks, in ns.
    fileprivate static let interval: UInt64 = 2_000_000
    /// Looks without a byte after which nobody waits any more.
    fileprivate static let idleLooks = 5

    /// Slot and direction of the stream that was served last, and what it has sent since `since`.
    fileprivate var candidate = UInt64.max
    fileprivate var bytes = 0
    fileprivate var since: UInt64 = 0

    /// The stream that is waited for; nil: none.
    fileprivate var patient: Patient?

    fileprivate struct Patient {
        let slot: Int
        let generation: UInt32
        let direction: Int
        var delivered: UInt64
        var idleLooks = 0
        var nextLook: UInt64
    }

    /// ns; nil: there is nothing to look at.
    var nextLook: UInt64? { patient?.nextLook }
}

extension Worker {
    /// A splice has taken so many bytes from a stream.
    @inline(__always)
    mutating func notePiece(_ slot: Int, _ direction: Int, _ count: Int) {
        let stream = UInt64(slot) << 1 | UInt64(direction)
        guard stream == patience.candidate, now - min(now, patience.since) <= Patience.window else {
            if patience.patient != nil, stream != patience.candidate, count >= Patience.company { endPatience() }
            if patience.patient == nil || stream == patience.candidate {
                patience.candidate = stream
                patience.since = now
                patience.bytes = count
            }
            return
        }
        patience.bytes += count
        if patience.bytes >= Patience.enough, patience.patient == nil { beginPatience(slot, direction) }
    }

    private mutating func beginPatience(_ slot: Int, _ direction: Int) {
        let record = records + slot
        set(limpet_direction_of(record, Int32(direction)), LIMPET_DIRECTION_PATIENT)
        limpet_order()
        StreamSocket.setLowWater(limpet_descriptor(record, Int32(direction)).pointee, Patience.piece)
        patience.patient = Patience.Patient(
            slot: slot, generation: record.pointee.generation, direction: direction,
            delivered: limpet_delivered(record, Int32(direction)).pointee, nextLook: now + Patience.interval)
    }

    /// Whoever is waited for is so no longer.
    mutating func endPatience() {
        guard let patient = patience.patient else { return }
        patience.patient = nil
        patience.candidate = .max
        let record = records + patient.slot
        guard record.pointee.generation == patient.generation, !isFree(record) else { return }
        endPatience(record, patient.direction)
    }

    /// A direction is no stream any more.
    mutating func endPatience(_ slot: Int, _ direction: Int) {
        if let patient = patience.patient, patient.slot == slot, patient.direction == direction { endPatience() }
    }

    /// Done again it changes nothing.
    func endPatience(_ record: UnsafeMutablePointer<limpet_record>, _ direction: Int) {
        StreamSocket.setLowWater(limpet_descriptor(record, Int32(direction)).pointee, 1)
        clear(limpet_direction_of(record, Int32(direction)), LIMPET_DIRECTION_PATIENT)
    }

    /// Fetches what came and was less than is waited for.
    mutating func lookAfterPatient() {
        guard var patient = patience.patient, now >= patient.nextLook else { return }
        let record = records + patient.slot
        guard record.pointee.generation == patient.generation, !isFree(record) else {
            patience.patient = nil
            return
        }
        let direction = Int32(patient.direction)
        let delivered = limpet_delivered(record, direction).pointee
        let isQuiet = delivered == patient.delivered
        patient.delivered = delivered
        patient.nextLook = now + Patience.interval
        patient.idleLooks = isQuiet ? patient.idleLooks + 1 : 0
        patience.patient = patient
        guard isQuiet else { return }
        takeInHand(patient.slot, patient.generation)
        defer { putDown() }
        if patient.idleLooks >= Patience.idleLooks { endPatience() }
        guard wantsInput(limpet_direction_of(record, direction)) else { return }
        pump(patient.slot, patient.direction)
        hasLeftover = false
        if record.pointee.generation == patient.generation, !isFree(record) { updateInterest(patient.slot) }
    }
}
