import Addressing
import Backends
import CContinuity
import CLayout
import Linux
import Stickiness

/// Connecting to backends, down the client's preference order. Nothing of the client's is read before a connect has
/// succeeded, so a failed one loses nothing.
extension Worker {
    /// Starts the first connect of a new connection.
    mutating func dialFirst(_ slot: Int) {
        dial(slot)
    }

    /// Starts a connect where an engine before had begun to: the table may be another by now.
    mutating func dialAgain(_ slot: Int) {
        let record = records + slot
        if record.pointee.attempt > 0 { record.pointee.attempt -= 1 }
        if record.pointee.home == .max { findHome(record) } else { renewKey(record) }
        dial(slot)
    }

    /// Goes on to the next backend after a failed connect.
    mutating func dialNext(_ slot: Int) {
        renewKey(records + slot)
        dial(slot)
    }

    /// The key and the mask may have changed since the connection was accepted.
    private func renewKey(_ record: UnsafeMutablePointer<limpet_record>) {
        guard let client = record.pointee.client.endpoint else { return }
        record.pointee.source_key = table.services[Int(record.pointee.service)].keyer.key(
            for: client.address, port: client.port)
    }

    /// Goes on with a connection that has waited for a connect to this backend.
    mutating func dialServed(_ slot: Int, _ backend: UInt16) {
        renewKey(records + slot)
        dial(slot, served: backend)
    }

    /// Starts a connect to the best backend that this connection has not tried yet.
    /// - Parameter served: the backend for which it is this connection's turn.
    private mutating func dial(_ slot: Int, served: UInt16? = nil) {
        let record = records + slot
        let service = table.services[Int(record.pointee.service)]
        let region = region
        let order = service.rendezvous.preferenceOrder(of: record.pointee.source_key)
        let bound = loadBound(service)
        let remembered = rememberedMember(record, service)
        var past = triedBackends(slot)
        let (source, now) = (service.source, now)
        // The first backend, if any, for which no local address has a port left, and the first that has no way from the
        // client's address. Told once for each client, however many there are.
        var (spent, unreachable): (UInt16?, UInt16?)
        var (isSpentTold, isUnreachableTold) = (false, false)
        var searches = 0
        while Int(record.pointee.attempt) < service.connectAttempts {
            let position = Selection.choose(order, remembered: remembered, of: service.rendezvous) { member in
                let backend = service.members[member].slot
                if past.contains(backend) || !service.members[member].hasAddress { return nil }
                let state = region.backend(Int(backend))
                if let bound,
                    bound.isExceeded(load: limpet_load64(&state.pointee.load), weight: service.members[member].tenths)
                {
                    return nil
                }
                guard let tier = Worker.tier(state, service.whenAllDown) else { return nil }
                if !Worker.isReachable(record, source, service.members[member]) {
                    unreachable = unreachable ?? backend
                    return nil
                }
                if Worker.isSpent(record, source, service.members[member], region, now: now) {
                    spent = spent ?? backend
                    return nil
                }
                return tier
            }
            if let unreachable, !isUnreachableTold {
                isUnreachableTold = true
                noWayFromClient(record, unreachable)
            }
            if let spent, !isSpentTold {
                isSpentTold = true
                outOfPorts(record, spent)
            }
            guard let position else { break }
            let member = service.members[position]
            if !mayDial(member.slot, service.limits) || waiting.isWaiting(for: member.slot) && served != member.slot {
                wait(slot, for: member)
                return
            }
            let state = region.backend(Int(member.slot))
            let limit = limpet_load64(&state.pointee.limit)
            guard limpet_take(&state.pointee.load, limit == 0 ? .max : limit) else {
                // Another worker took the last place since the look.
                noteAway(record, member.slot, .full)
                past.append(member.slot)
                continue
            }
            // The place under the backend's limit is taken: from here on every way out gives it back.
            record.pointee.attempt += 1
            // Where nothing is up, home is tried like the others.
            if member.slot == record.pointee.home {
                record.pointee.away_reason = AwayReason.home.rawValue
            } else if record.pointee.away_reason == AwayReason.home.rawValue
                || record.pointee.away_reason == AwayReason.affinity.rawValue
            {
                // Nothing else was against it.
                record.pointee.away_reason =
                    (position == remembered ? AwayReason.affinity : AwayReason.full).rawValue
            }
            inject(LIMPET_AT_PLACE_TAKEN)
            if !walks.isEmpty { walks[slot] = nil }
            var failure = startConnect(slot, service, member)
            if let first = failure { failure = startOther(slot, service, member, after: first) }
            if let failure {
                releaseLoad(member.slot)
                past.append(member.slot)
                switch failure {
                case .failed(let failure):
                    connectFailed(slot, member.slot, failure)
                    noteAway(record, member.slot, .connectFailed)
                case .ports:
                    // No connect was made.
                    record.pointee.attempt -= 1
                    outOfPorts(record, member.slot)
                    (spent, isSpentTold) = (spent ?? member.slot, true)
                    searches += 1
                case .family:
                    record.pointee.attempt -= 1
                    noWayFromClient(record, member.slot)
                    searches += 1
                }
                // Each of these may have taken long, and does not count as an attempt.
                if searches == Worker.mostSearches { break }
                continue
            }
            if let failed = triedBackends(slot).last { limpet_bump64(&counters(failed).pointee.fallbacks, 1) }
            return
        }
        exhausted(slot, spent: spent != nil)
    }

    /// What the loads of the service's backends allow; nil: they do not count.
    private func loadBound(_ service: ForwardingTable.Service) -> LoadBound? {
        guard service.limits.loadFactor != 0 else { return nil }
        var load: UInt64 = 0
        var weight = 0
        for member in service.members {
            let state = region.backend(Int(member.slot))
            guard Worker.tier(state, service.whenAllDown) == .up else { continue }
            load += limpet_load64(&state.pointee.load)
            weight += member.tenths
        }
        return LoadBound(factor: service.limits.loadFactor, load: load, weight: weight)
    }

    /// Backends to which connects of this connection have failed. Not known of before a death: then one may be tried twice.
    private func triedBackends(_ slot: Int) -> [UInt16] {
        tried.isEmpty ? [] : tried[slot] ?? []
    }

    /// The connection has a backend, or has ended.
    @inline(__always)
    mutating func forgetTried(_ slot: Int) {
        if !tried.isEmpty { tried[slot] = nil }
        if !walks.isEmpty { walks[slot] = nil }
    }

    /// How good the backend is for a new connection now; nil: it must not be used.
    static func tier(_ state: UnsafeMutablePointer<limpet_backend_state>, _ whenAllDown: WhenAllDown) -> Tier? {
        let limit = limpet_load64(&state.pointee.limit)
        return Eligibility.tier(
            intent: Intent(rawValue: limpet_load8(&state.pointee.intent)) ?? .ready,
            health: Health(rawValue: limpet_load8(&state.pointee.health)) ?? .unchecked,
            isFull: limit != 0 && limpet_load64(&state.pointee.load) >= limit, whenAllDown: whenAllDown)
    }

    /// Why the backend takes no new connection now; nil: it does.
    static func ineligibility(_ state: UnsafeMutablePointer<limpet_backend_state>) -> AwayReason? {
        let limit = limpet_load64(&state.pointee.limit)
        return Eligibility.reason(
            intent: Intent(rawValue: limpet_load8(&state.pointee.intent)) ?? .ready,
            health: Health(rawValue: limpet_load8(&state.pointee.health)) ?? .unchecked,
            isFull: limit != 0 && limpet_load64(&state.pointee.load) >= limit)
    }

    /// Remembers why a connection is not at its home, where `backend` is that.
    func noteAway(_ record: UnsafeMutablePointer<limpet_record>, _ backend: UInt16, _ reason: AwayReason) {
        if record.pointee.home == backend { record.pointee.away_reason = reason.rawValue }
    }

    func releaseLoad(_ backend: UInt16) {
        _ = limpet_fetch_add64(&region.backend(Int(backend)).pointee.load, .max)
    }

    /// An event of either side while the connect is under way.
    mutating func dialReady(_ slot: Int, _ side: Int, _ event: Poller.Event) {
        let record = records + slot
        if side == 0 {
            if isAwaitingHeader(slot) {
                awaitHeader(slot)
                return
            }
            // Nothing was asked for, so this is the client's reset (or both its ends shut): the dialling ends.
            if event.failed || event.hungUp { finish(slot, resetting: .backend, because: .clientReset) }
            return
        }
        // An error is told as one: there is none to be asked for where there is nothing but room to write.
        let isClean = event.writable && !event.failed && !event.hungUp
        let outcome = isClean ? nil : StreamSocket.takeError(record.pointee.descriptor.1)
        inject(LIMPET_AT_CONNECT_TOLD)
        switch outcome {
        case nil:
            if event.writable { established(slot, hasSpoken: event.readable) }
        case .connectionReset?, .brokenPipe?:
            // A refused connect is ECONNREFUSED: this one was accepted and reset before we looked. The client is told just
            // that; what came before the RST is still in the socket, the error no longer is.
            established(slot, wasReset: true)
        case let failure?:
            connectEnded(slot, failure)
        }
    }

    /// A connection that is this old, in ns, is taken for one that lasts.
    private static let lastsAfter: UInt64 = 1_000_000_000

    /// Until a connect takes this long its client is not watched, in ns: most are over much sooner, and the client's reset is
    /// found then.
    private static let watchAfter: UInt64 = 100_000_000

    mutating func armDialTimer(_ slot: Int) {
        let record = records + slot
        let isWatched = record.pointee.flags & absentFlag(0) == 0
        let watch = isWatched ? UInt64.max : max(now, record.pointee.active + Worker.watchAfter)
        let deadline = record.pointee.deadline == 0 ? UInt64.max : record.pointee.deadline
        let next = min(watch, deadline, nextTry(record))
        if next != .max { wheel.arm(slot, at: next, now: now) }
    }

    /// A connect has taken some time, or all that it may.
    mutating func dialTimerFired(_ slot: Int) {
        let record = records + slot
        if record.pointee.deadline != 0, now >= record.pointee.deadline {
            if isAwaitingHeader(slot) { refuseHeader(slot, .late) } else { connectEnded(slot, .timedOut) }
            return
        }
        let hasWaited = now - min(now, record.pointee.active) >= Worker.watchAfter
        if hasWaited, record.pointee.flags & absentFlag(0) != 0 {
            let token = Token.record(slot, side: 0, generation: record.pointee.generation)
            if let failure = poller.ensure(record.pointee.descriptor.0, token: token, interest: []) {
                reportLocal(failure)
                finish(slot, resetting: .both, because: .local)
                return
            }
            inject(LIMPET_AT_CLIENT_WATCHED)
            record.pointee.flags &= ~absentFlag(0)
        }
        if isWaitingForRoom(record) {
            retryConnect(slot)
        } else {
            armDialTimer(slot)
        }
    }

    /// The backend has accepted.
    /// - Parameters:
    ///   - hasSpoken: and there is something to be read already. No further edge may tell of it.
    ///   - wasReset: and has reset the connection since.
    mutating func established(_ slot: Int, hasSpoken: Bool = false, wasReset: Bool = false) {
        let record = records + slot
        let local = StreamSocket.localEndpoint(record.pointee.descriptor.1)
        if let local, local == record.pointee.backend_address.endpoint {
            // Nobody listens there, and the kernel gave us that very port: we are connected to ourselves (RFC 9293, 3.5:
            // simultaneous open). RST, so that the port is free for the backend at once.
            connectEnded(slot, .connectionRefused, resetting: true)
            return
        }
        var wasReset = wasReset
        if !wasReset, record.pointee.header == 0,
            let version = table.services[Int(record.pointee.service)].sendProxy
        {
            switch queueHeader(slot, version) {
            case nil: break
            case .connectionReset?, .brokenPipe?: wasReset = true
            case let failure?:
                connectEnded(slot, failure, resetting: true)
                return
            }
        }
        let lasting =
            table.services[Int(record.pointee.service)].options.areLasting
            && record.pointee.backend_address.family != UInt8(LIMPET_FAMILY_PATH)
        let counters = counters(record.pointee.backend)
        let isAway = record.pointee.backend != record.pointee.home
        let began = record.pointee.active
        record.pointee.connect_time = limpet_pack_time((now - min(now, record.pointee.opened)) / 1000)
        limpet_write_begin(&record.pointee.sequence)
        record.pointee.backend_local.set(local)
        limpet_store8(&record.pointee.state, UInt8(LIMPET_OPEN))
        record.pointee.active = now
        record.pointee.deadline = lasting ? now + Worker.lastsAfter : 0
        limpet_write_end(&record.pointee.sequence)
        inject(LIMPET_AT_ESTABLISHED)
        limpet_bump64(&counters.pointee.connecting, .max)
        limpet_bump64(&counters.pointee.open, 1)
        limpet_bump64(&counters.pointee.total, 1)
        if isAway { limpet_bump64(&counters.pointee.away, 1) }
        recordStart(record, began: began)
        inject(LIMPET_AT_ESTABLISHED_COUNTED)
        remember(slot)
        tally.connectSucceeded(Int(record.pointee.backend))
        forgetTried(slot)
        wheel.cancel(slot)
        armTimer(slot)
        if wasReset {
            sideReset(slot, 1, .connectionReset)
            return
        }
        // Most clients have spoken by now: what they said goes on without epoll's having to tell of it.
        let generation = record.pointee.generation
        pump(slot, LIMPET_IN)
        if record.pointee.generation != generation || isFree(record) { return }
        if hasSpoken, wantsInput(limpet_direction_of(record, Int32(LIMPET_OUT))) {
            pump(slot, LIMPET_OUT)
            if record.pointee.generation != generation || isFree(record) { return }
        }
        updateInterest(slot)
    }

    /// Puts the PROXY header ahead of all that the client will say. nil: done.
    ///
    /// One write puts the whole of it into the named pipe, and `header` says so only then: whoever finds the pipe filled
    /// and `header` 0 knows that it is in already. Without a pipe it is sent at once: the socket is new and takes it whole;
    /// should it not, the next backend is tried, as nothing of the client's has been read yet.
    private mutating func queueHeader(_ slot: Int, _ version: ProxyHeader.Version) -> Errno? {
        let record = records + slot
        let way = limpet_direction_of(record, Int32(LIMPET_IN))
        let length = writeHeader(slot, version)
        if let pipe = pipes.take(now: now) {
            name(pipe, way)
            inject(LIMPET_AT_HEADER_NAMED)
            if case .moved(length) = Transfer.write(pipe.write, from: scratch, count: length) {
                inject(LIMPET_AT_HEADER_WRITTEN)
                limpet_store32(&way.pointee.pipe_bytes, UInt32(length))
                noteHeader(slot, length: length, left: length)
                inject(LIMPET_AT_HEADER_FLAGGED)
                return nil
            }
            // No memory for it.
            dropPipe(way)
        }
        switch Transfer.send(record.pointee.descriptor.1, from: scratch, count: length) {
        case .moved(length): inject(LIMPET_AT_HEADER_WRITTEN)
        case .failed(let error): return error
        case .moved, .wouldBlock, .endOfFile: return .noBufferSpace
        }
        noteHeader(slot, length: length, left: 0)
        return nil
    }
}
