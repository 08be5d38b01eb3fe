import Backends
import CContinuity
import CLayout
import Linux

/// Connects that come to nothing: what is given back, what is counted, and who is tried next.
extension Worker {
    /// Ends a connect that was under way and goes on to the next backend.
    mutating func connectEnded(_ slot: Int, _ error: Errno, resetting: Bool = false) {
        if dialOther(slot, error, resetting: resetting) { return }
        let backend = records[slot].backend
        abandonConnect(slot, resetting: resetting)
        connectFailed(slot, backend, error)
        noteAway(records + slot, backend, .connectFailed)
        dialNext(slot)
    }

    /// Takes back a connect that is under way: descriptor, counters, timer.
    /// - Parameter resetting: the backend may have accepted already: it gets RST, not FIN.
    mutating func abandonConnect(_ slot: Int, resetting: Bool) {
        let record = records + slot
        let backend = record.pointee.backend
        wheel.cancel(slot)
        if resetting { StreamSocket.resetOnClose(record.pointee.descriptor.1) }
        closeBackend(record)
        releaseLoad(backend)
        limpet_bump64(&counters(backend).pointee.connecting, .max)
    }

    mutating func connectFailed(_ slot: Int, _ backend: UInt16, _ error: Errno) {
        tried[slot, default: []].append(backend)
        let kind: Incident.Kind
        let failure: Int
        switch error {
        case .connectionRefused: (kind, failure) = (.connect, LIMPET_FAILURE_REFUSED)
        case .timedOut: (kind, failure) = (.connect, LIMPET_FAILURE_TIMEOUT)
        case .connectionReset: (kind, failure) = (.connect, LIMPET_FAILURE_RESET)
        case .networkUnreachable, .hostUnreachable, .noSuchFile, .notADirectory:
            (kind, failure) = (.connect, LIMPET_FAILURE_UNREACHABLE)
        case let error where error.isLocal: (kind, failure) = (.local, LIMPET_FAILURE_LOCAL)
        default: (kind, failure) = (.connect, LIMPET_FAILURE_OTHER)
        }
        let counters = counters(backend)
        limpet_bump64(limpet_backend_failures(counters, Int32(failure)), 1)
        if kind == .local {
            limpet_bump64(&own.pointee.local_failures, 1)
        } else {
            tally.connectFailed(Int(backend))
        }
        incidents.add(Incident(kind: kind, slot: backend, errno: error))
    }

    /// No local address has a port left for connections to a backend. It is no failure of the backend's, and none of its
    /// connects: none was made.
    func outOfPorts(_ record: UnsafeMutablePointer<limpet_record>, _ backend: UInt16) {
        noteAway(record, backend, .connectFailed)
        limpet_bump64(limpet_backend_failures(counters(backend), Int32(LIMPET_FAILURE_LOCAL)), 1)
        limpet_bump64(&own.pointee.local_failures, 1)
        incidents.add(Incident(kind: .sourcePorts, slot: backend, errno: .addressNotAvailable))
    }

    /// The backend can have no connection that comes from the client's address, as it is to.
    func noWayFromClient(_ record: UnsafeMutablePointer<limpet_record>, _ backend: UInt16) {
        noteAway(record, backend, .connectFailed)
        incidents.add(Incident(kind: .clientFamily, slot: backend, errno: .addressNotAvailable))
    }

    /// No backend is left to try: the client is reset, so that it knows at once.
    /// - Parameter spent: there were others, for which no local port was left.
    mutating func exhausted(_ slot: Int, spent: Bool) {
        if !spent { incidents.add(Incident(kind: .exhausted, slot: records[slot].service, errno: .connectionRefused)) }
        let reason: EndReason =
            spent ? .sourcePorts : records[slot].attempt == 0 ? .noBackend : .connectFailure
        refuse(slot, reason)
    }

    func reportLocal(_ error: Errno) {
        limpet_bump64(&own.pointee.local_failures, 1)
        incidents.add(Incident(kind: .local, slot: .max, errno: error))
    }

    @inline(__always)
    func counters(_ backend: UInt16) -> UnsafeMutablePointer<limpet_backend_counters> {
        region.counters(index, backend: Int(backend))
    }
}
