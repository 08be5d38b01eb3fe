import Addressing
import Backends
import CContinuity
import CLayout
import Linux
import Stickiness

/// Taking connections in: the limit, the choice of a backend, the record.
extension Worker {
    /// Connections to take from one listener before others have their turn.
    static let acceptsPerTurn = 64
    /// The same where all workers accept from one socket: the others are to have their share.
    static let sharedAcceptsPerTurn = 8
    /// How long accepting rests when there are no descriptors, in ns.
    private static let descriptorPause: UInt64 = 100_000_000

    /// A listening socket has somebody waiting.
    mutating func listenerReady(_ slot: UInt16) {
        guard let listener = listeners.first(where: { $0.listener == slot }) else { return }
        defer { if listener.isShared, listeners.contains(where: { $0.listener == slot }) { _ = watch(listener) } }
        switch region.admission(of: Int(slot)) {
        case .open: _ = acceptBatch(listener)
        case .refusing: _ = refuseBatch(listener)
        // The worker has not read the word that it is paused.
        case .paused: break
        }
    }

    /// Takes in who waits at a listening socket. True: perhaps there are more.
    mutating func acceptBatch(_ listener: WorkerListener) -> Bool {
        guard listening == .yes else { return false }
        for _ in 0..<Worker.acceptsPerTurn(listener) {
            guard limpet_take(&region.header.pointee.open, limpet_load64(&region.header.pointee.limit)) else {
                pauseAtLimit()
                return false
            }
            switch StreamSocket.accept(listener.descriptor, peer: &peerAddress) {
            case .success(let descriptor):
                inject(LIMPET_AT_ACCEPTED)
                admit(descriptor, listener)
                if reserveDescriptor < 0 {
                    pauseForDescriptors(.tooManyFiles)
                    return false
                }
            case .failure(let error):
                releasePlace()
                if error == .wouldBlock { return false }
                if error.isLackOfDescriptors {
                    limpet_bump64(&own.pointee.descriptor_failures, 1)
                    pauseForDescriptors(error)
                    return false
                }
                if error.isLackOfListener {
                    giveUp(listener, error)
                    return false
                }
            // Anything else is an error of the one connection that was about to be accepted, see accept(2).
            }
        }
        return true
    }

    /// Takes in what an earlier engine had accepted and not recorded.
    mutating func adopt(_ socket: AcceptedSocket) {
        // The place under the limit was given to it before.
        _ = limpet_fetch_add64(&region.header.pointee.open, 1)
        guard StreamSocket.peer(of: socket.descriptor, &peerAddress) else {
            Descriptor.close(socket.descriptor)
            releasePlace()
            return
        }
        admit(socket.descriptor, region.workerListener(Int(socket.listener), of: index))
        inject(LIMPET_AT_ADOPTED)
    }

    /// Gives an accepted connection its record and starts its first connect. Its peer is in `peerAddress`.
    private mutating func admit(_ descriptor: Int32, _ listener: WorkerListener) {
        noteHighest(descriptor)
        let counters = region.counters(index, listener: Int(listener.listener))
        guard let peer = peerAddress.isUnix ? welcome(descriptor, listener.service) : peerAddress.endpoint else {
            // It is gone already.
            turnAway(descriptor, listener, nil, .clientReset)
            releasePlace()
            return
        }
        let clean = peer.unmapped
        let opening = opening(of: listener.service, clean.address)
        if let reason = enter(listener, opening == .header ? nil : clean.address) {
            turnAway(descriptor, listener, clean, reason)
            releasePlace()
            return
        }
        guard let slot = free.take() else {
            // Cannot be: a slice covers the whole limit.
            leave(listener.service, opening == .header ? nil : clean.address)
            turnAway(descriptor, listener, clean, .local)
            releasePlace()
            return
        }
        // The kernel copies a listener's options when a handshake ends, and this one may have ended before there were any.
        if listener.isInherited { table.services[Int(listener.service)].options.applyAccepted(to: descriptor) }
        let record = records + slot
        let generation = record.pointee.generation % 0x7fff_ffff + 1
        let known = region.isIntercepting(listener: Int(listener.listener)) ? nil : listener.local?.endpoint
        let local = known ?? StreamSocket.localEndpoint(descriptor)?.unmapped

        takeInHand(slot, generation)
        defer { putDown() }
        // Until its state is set the record counts for nothing: whoever dies before has left an accepted socket without
        // a name, which the next engine takes in. So there is nothing before that depends on who the client is: one that
        // makes engines die must be known again as the same connection.
        limpet_write_begin(&record.pointee.sequence)
        limpet_record_clear(record, generation)
        record.pointee.id = limpet_fetch_add64(&region.header.pointee.next_id, 1)
        record.pointee.opened = now
        record.pointee.active = now
        record.pointee.service = listener.service
        record.pointee.listener = listener.listener
        record.pointee.backend = .max
        record.pointee.home = .max
        record.pointee.client.set(clean)
        record.pointee.peer.set(clean)
        record.pointee.client_local.set(local)
        record.pointee.flags = absentFlag(0)
        if opening != .anything { expect(slot, opening) }
        inject(LIMPET_AT_RECORD_WRITTEN)
        limpet_order()
        record.pointee.descriptor.0 = descriptor
        inject(LIMPET_AT_CLIENT_NAMED)
        limpet_publish8(&record.pointee.state, UInt8(LIMPET_CONNECTING))
        limpet_order()
        if opening != .header { findHome(record) }
        limpet_write_end(&record.pointee.sequence)
        inject(LIMPET_AT_ADMITTED)

        limpet_bump64(&own.pointee.open, 1)
        limpet_bump64(&counters.pointee.accepted, 1)
        limpet_bump64(&counters.pointee.open, 1)
        if opening == .header { awaitHeader(slot) } else { dialFirst(slot) }
    }

    /// Says in a record that is being written what its client is to begin with.
    private func expect(_ slot: Int, _ opening: Opening) {
        let record = records + slot
        set(limpet_direction_of(record, Int32(LIMPET_IN)), LIMPET_DIRECTION_HELD)
        guard opening == .header else { return }
        proxy(slot).pointee = limpet_proxy()
        record.pointee.deadline = headerDeadline(record.pointee.service)
        record.pointee.flags |= UInt8(LIMPET_PROXIED)
    }

    /// Takes a place under the limits of a service and of its client.
    /// - Parameter client: nil: who it is will be known later.
    /// - Returns: why it must not come in; nil: the place is taken, and ``leave(_:_:)`` gives it back.
    private func enter(_ listener: WorkerListener, _ client: IPAddress?) -> EndReason? {
        guard tally.enter(service: listener.service, limit: table.services[Int(listener.service)].limits.connections)
        else {
            incidents.add(Incident(kind: .serviceLimit, slot: listener.service, errno: .wouldBlock))
            return .serviceLimit
        }
        guard let client, let reason = refusal(of: client, service: listener.service, listener: listener.listener)
        else { return nil }
        tally.leave(service: listener.service)
        return reason
    }

    /// Whatever speaks against a client, asked once for each connection: when it comes, or, where it comes by a proxy, when the
    /// proxy has said who it is.
    /// - Parameter listener: by which it came.
    /// - Returns: why it is to be reset; nil: it is taken in, and counted where its connections are.
    func refusal(of client: IPAddress, service: UInt16, listener: UInt16) -> EndReason? {
        if isDenied(client, service: service, listener: listener) {
            incidents.add(Incident(kind: .denied, slot: listener, errno: .accessDenied, peer: client))
            return .denied
        }
        let limits = table.services[Int(service)].limits.client
        if limits.areOff { return nil }
        switch tally.clients.enter(client, service: service, limits: limits, now: now) {
        case nil: return nil
        case .tooMany:
            incidents.add(Incident(kind: .clientLimit, slot: service, errno: .wouldBlock))
            return .clientLimit
        case .tooFast:
            incidents.add(Incident(kind: .clientRate, slot: service, errno: .wouldBlock))
            return .clientRate
        }
    }

    /// Whether an access list speaks against a client. Both lists have to let it in: its listener's and its service's.
    private func isDenied(_ client: IPAddress, service: UInt16, listener: UInt16) -> Bool {
        // A user of this machine is in no network: the rights of the socket's file say who may come.
        if client.family == .user { return false }
        let own = Int(listener) < table.listenerRules.count ? table.listenerRules[Int(listener)] : nil
        if let own, !own.letsIn(client) { return true }
        guard let rules = table.services[Int(service)].rules else { return false }
        return !rules.letsIn(client)
    }

    /// - Parameter client: nil: it was not known who it is.
    func leave(_ service: UInt16, _ client: IPAddress?) {
        tally.leave(service: service)
        if let client, table.services[Int(service)].limits.perClient != 0 {
            tally.clients.leave(client, service: service)
        }
    }

    /// Resets a connection that has not been given a record.
    /// - Parameter client: who it is; nil: it has gone already.
    func turnAway(_ descriptor: Int32, _ listener: WorkerListener, _ client: Endpoint?, _ reason: EndReason) {
        StreamSocket.resetOnClose(descriptor)
        Descriptor.close(descriptor)
        recordRefusal(reason, client, listener)
    }

    /// Says in the record where the client belongs, as the table sees it.
    func findHome(_ record: UnsafeMutablePointer<limpet_record>) {
        guard let client = record.pointee.client.endpoint else { return }
        let service = table.services[Int(record.pointee.service)]
        record.pointee.source_key = service.keyer.key(for: client.address, port: client.port)
        guard let home = service.rendezvous.first(of: record.pointee.source_key) else { return }
        let slot = service.members[home].slot
        record.pointee.away_reason = (Worker.ineligibility(region.backend(Int(slot))) ?? .home).rawValue
        limpet_publish16(&record.pointee.home, slot)
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

    mutating func pauseForDescriptors(_ error: Errno) {
        incidents.add(Incident(kind: .descriptors, slot: 0, errno: error))
        listenAgain = now + Worker.descriptorPause
        pause(.noDescriptors)
    }

    private mutating func pause(_ why: Listening) {
        guard listening == .yes else { return }
        listening = why
        watchListeners()
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
        watchListeners()
    }

    func watchListeners() {
        for listener in listeners { _ = watch(listener) }
    }

    mutating func stopListening() {
        guard listening != .stopped else { return }
        for listener in listeners { close(listener) }
        listening = .stopped
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

extension Errno {
    /// What accept(2) says of a socket that does not listen.
    var isLackOfListener: Bool { self == .invalidArgument || self == .badDescriptor || self == .notSocket }

    /// What accept(2) says where this machine has no more to give.
    var isLackOfDescriptors: Bool {
        self == .tooManyFiles || self == .tooManyFilesInSystem || self == .noBufferSpace || self == .noMemory
    }
}
