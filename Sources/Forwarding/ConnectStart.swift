import Addressing
import CContinuity
import CLayout
import Linux

/// Starting one connect to a backend, and giving it up.
extension Worker {
    /// nil: under way, and epoll will tell.
    mutating func startConnect(
        _ slot: Int, _ service: ForwardingTable.Service, _ member: ForwardingTable.Member
    ) -> NoSource? {
        let record = records + slot
        var opened = StreamSocket.open(family: member.address.family)
        if case .failure(.tooManyFiles) = opened, reserveDescriptor >= 0 {
            // The client is in already: it gets the number that was kept, and accepting pauses until it is back.
            Descriptor.close(reserveDescriptor)
            reserveDescriptor = -1
            limpet_bump64(&own.pointee.descriptor_failures, 1)
            opened = StreamSocket.open(family: member.address.family)
        }
        let descriptor: Int32
        switch opened {
        case .success(let value): descriptor = value
        case .failure(let error): return .failed(error)
        }
        noteHighest(descriptor)
        inject(LIMPET_AT_SOCKET_OPENED)
        // Named before the connect, so that a connect that is under way at a death goes on.
        limpet_write_begin(&record.pointee.sequence)
        record.pointee.backend = member.slot
        nameBackend(slot, member.address)
        record.pointee.deadline = service.connectTimeout == 0 ? 0 : now + timeToConnect(slot, service, member)
        record.pointee.active = now
        limpet_order()
        record.pointee.descriptor.1 = descriptor
        limpet_write_end(&record.pointee.sequence)
        inject(LIMPET_AT_BACKEND_NAMED)
        service.options.applyBuffers(to: descriptor)
        service.options.applyFirst(to: descriptor, isUnix: member.address.isUnix)
        if let failure = connect(record, service.source, member) {
            if failure == .failed(.wouldBlock), member.address.isUnix {
                // Its queue is full: see retryConnect.
                armDialTimer(slot)
                limpet_bump64(&counters(member.slot).pointee.connecting, 1)
                return nil
            }
            closeBackend(record)
            return failure
        }
        inject(LIMPET_AT_CONNECT_STARTED)
        if let failure = poller.add(
            descriptor, token: Token.record(slot, side: 1, generation: record.pointee.generation),
            interest: Worker.dialInterest)
        {
            closeBackend(record)
            return .failed(failure)
        }
        record.pointee.events.1 = Worker.dialInterest.rawValue
        inject(LIMPET_AT_BACKEND_WATCHED)
        armDialTimer(slot)
        limpet_bump64(&counters(member.slot).pointee.connecting, 1)
        return nil
    }

    /// Un-names the backend's socket and closes it.
    mutating func closeBackend(_ record: UnsafeMutablePointer<limpet_record>) {
        let descriptor = record.pointee.descriptor.1
        limpet_write_begin(&record.pointee.sequence)
        record.pointee.descriptor.1 = -1
        // A connection that has a backend's socket counts under that backend: which it is must not be gone before.
        limpet_order()
        record.pointee.events.1 = 0
        record.pointee.deadline = 0
        record.pointee.backend = .max
        // The next backend gets a header of its own.
        record.pointee.header_left = 0
        record.pointee.header = 0
        limpet_write_end(&record.pointee.sequence)
        dropPipe(limpet_direction_of(record, Int32(LIMPET_IN)))
        inject(LIMPET_AT_CONNECT_UNNAMED)
        Descriptor.close(descriptor)
        inject(LIMPET_AT_CONNECT_CLOSED)
    }
}
