import Addressing
import Backends
import CLayout
import Linux
import Stickiness

/// Taking connections in: the limit, the choice of a backend, the record.
extension Worker {
    /// Connections to take from one listener before others have their turn.
    private static let acceptsPerTurn = 64
    /// How long accepting rests when there are no descriptors, in ns.
    private static let descriptorPause: UInt64 = 100_000_000

    mutating func acceptBatch(_ position: Int) {
        guard listening == .yes else { return }
        for _ in 0..<Worker.acceptsPerTurn {
            guard limpet_take(&region.header.pointee.open, limpet_load64(&region.header.pointee.limit)) else {
                pauseAtLimit()
                return
            }
            switch StreamSocket.accept(listeners[position].descriptor, peer: &peerAddress) {
            case .success(let descriptor):
                admit(descriptor, position)
                if reserveDescriptor < 0 {
                    pauseForDescriptors(.tooManyFiles)
                    return
                }
            case .failure(let error):
                releasePlace()
                if error == .wouldBlock { return }
                if error == .tooManyFiles || error == .tooManyFilesInSystem || error == .noBufferSpace
                    || error == .noMemory
                {
                    limpet_bump64(&own.pointee.descriptor_failures, 1)
                    pauseForDescriptors(error)
                    return
                }
            // Anything else is an error of the one connection that was about to be accepted, see accept(2).
            }
        }
    }

    /// Gives an accepted connection its record and starts its first connect.
    private mutating func admit(_ descriptor: Int32, _ position: Int) {
        let listener = listeners[position]
        let counters = region.counters(index, listener: Int(listener.listener))
        guard let peer = peerAddress.endpoint, let slot = free.take() else {
            // A slice covers the whole limit, so only a connection whose peer is gone already comes here.
            StreamSocket.resetOnClose(descriptor)
            Descriptor.close(descriptor)
            limpet_bump64(&counters.pointee.refused, 1)
            releasePlace()
            return
        }
        let record = records + slot
        let generation = record.pointee.generation % 0x7fff_ffff + 1
        let local = listener.local?.endpoint ?? StreamSocket.localEndpoint(descriptor)
        let service = table.services[Int(listener.service)]

        limpet_write_begin(&record.pointee.sequence)
        let sequence = record.pointee.sequence
        record.pointee = limpet_record()
        record.pointee.sequence = sequence
        record.pointee.generation = generation
        record.pointee.id = limpet_fetch_add64(&region.header.pointee.next_id, 1)
        record.pointee.descriptor = (descriptor, -1)
        record.pointee.direction.0.pipe_read = -1
        record.pointee.direction.0.pipe_write = -1
        record.pointee.direction.1.pipe_read = -1
        record.pointee.direction.1.pipe_write = -1
        record.pointee.state = UInt8(LIMPET_CONNECTING)
        record.pointee.opened = now
        record.pointee.active = now
        record.pointee.service = listener.service
        record.pointee.listener = listener.listener
        record.pointee.backend = .max
        let clean = Endpoint(address: peer.address.unmapped, port: peer.port)
        record.pointee.client.set(clean)
        record.pointee.peer.set(clean)
        record.pointee.client_local.set(local)
        record.pointee.source_key = service.keyer.key(for: clean.address, port: clean.port)
        record.pointee.home = .max
        if let home = service.rendezvous.first(of: record.pointee.source_key) {
            record.pointee.home = service.members[home].slot
            let reason = Worker.ineligibility(region.backend(Int(record.pointee.home))) ?? .home
            record.pointee.away_reason = reason.rawValue
        }
        limpet_write_end(&record.pointee.sequence)

        limpet_bump64(&own.pointee.open, 1)
        limpet_bump64(&counters.pointee.accepted, 1)
        limpet_bump64(&counters.pointee.open, 1)
        if let failure = poller.add(
            descriptor, token: Token.record(slot, side: 0, generation: generation), interest: [])
        {
            reportLocal(failure)
            refuse(slot)
            return
        }
        dialFirst(slot)
    }

    /// Accepting rests until a place is free. The kernel's queue holds who comes meanwhile.
    private mutating func pauseAtLimit() {
        let bit: UInt64 = 1 << UInt64(index)
        _ = limpet_fetch_or64(&region.header.pointee.waiting, bit)
        if limpet_load64_ordered(&region.header.pointee.open) < limpet_load64(&region.header.pointee.limit) {
            // A place came free before the bit was seen; epoll calls again.
            _ = limpet_fetch_and64(&region.header.pointee.waiting, ~bit)
            return
        }
        incidents.add(Incident(kind: .limit, slot: 0, errno: .wouldBlock))
        pause(.atLimit)
    }

    private mutating func pauseForDescriptors(_ error: Errno) {
        incidents.add(Incident(kind: .descriptors, slot: 0, errno: error))
        listenAgain = now + Worker.descriptorPause
        pause(.noDescriptors)
    }

    private mutating func pause(_ why: Listening) {
        guard listening == .yes else { return }
        listening = why
        for position in listeners.indices {
            _ = poller.modify(listeners[position].descriptor, token: Token.listener(position), interest: [])
        }
    }

    mutating func resumeListening() {
        guard listening != .stopped else { return }
        if reserveDescriptor < 0 { reserveDescriptor = Descriptor.reserve() ?? -1 }
        if reserveDescriptor < 0 {
            listening = .noDescriptors
            listenAgain = now + Worker.descriptorPause
            return
        }
        listening = .yes
        for position in listeners.indices {
            _ = poller.modify(listeners[position].descriptor, token: Token.listener(position), interest: .read)
        }
    }

    mutating func stopListening() {
        guard listening != .stopped else { return }
        // Who has come in already is not turned away: closing the socket would reset the kernel's queue.
        for position in listeners.indices { acceptBatch(position) }
        listening = .stopped
        for listener in listeners { Descriptor.close(listener.descriptor) }
        listeners.removeAll()
        mailbox.hasStoppedListening.with { $0 = true }
    }

    /// Gives back one place under the connection limit and wakes the workers that wait for one.
    func releasePlace() {
        _ = limpet_fetch_add64(&region.header.pointee.open, .max)
        if limpet_load64_ordered(&region.header.pointee.waiting) != 0 {
            let waiting = limpet_fetch_and64(&region.header.pointee.waiting, 0)
            for worker in allWakeUps.indices where waiting & (1 << UInt64(worker)) != 0 {
                allWakeUps[worker].signal()
            }
        }
    }
}
