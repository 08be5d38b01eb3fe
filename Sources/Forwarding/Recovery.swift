import CContinuity
import CLayout
import Linux

/// Taking over from an engine that has died.
///
/// The records, the sockets, the pipes and the epoll set are where they were. What was private to the dead worker (free
/// slots, timers, how many pipes there are) is told again from the records. One connection at most was being changed, the
/// one in hand: it is brought back to a state in which the work can go on.
extension Worker {
    /// Once, on the worker's thread, before ``run()``.
    /// - Parameter accepted: sockets that nobody had recorded yet.
    mutating func recover(_ accepted: [AcceptedSocket]) {
        now = Clock.now()
        takeOver()
        let hand = Int(own.pointee.hand_slot)
        // Untouched slots too: one of them may just have been begun.
        if hand < region.recordsPerWorker { repair(hand) }
        releaseScratch()
        putDown()
        inject(LIMPET_AT_RECOVERED)
        for socket in accepted { adopt(socket) }
        beginReview(after: nil)
        edges.begin()
    }

    /// Rebuilds what lived in the dead worker alone.
    private mutating func takeOver() {
        var highWater = 0
        while highWater < region.recordsPerWorker, records[highWater].generation != 0 { highWater += 1 }
        free.start(at: highWater)
        var pipesHeld = 0
        for slot in stride(from: highWater - 1, through: 0, by: -1) {
            let record = records + slot
            if record.pointee.timer_slot != 0 { record.pointee.timer_slot = 0 }
            if isFree(record) {
                free.giveBack(slot)
                continue
            }
            for direction in 0...1 {
                let way = limpet_direction_of(record, Int32(direction))
                if way.pointee.pipe_read >= 0 { pipesHeld += 1 }
                if has(way, LIMPET_DIRECTION_PATIENT) { endPatience(record, direction) }
            }
            armAgain(slot)
            if records[slot].state == UInt8(LIMPET_CONNECTING), records[slot].descriptor.1 < 0,
                UInt32(slot) != own.pointee.hand_slot, !isAwaitingHeader(slot)
            {
                waiting.append(
                    DialQueue.Item(slot: slot, generation: record.pointee.generation), for: record.pointee.backend)
            }
        }
        pipes.start(holding: pipesHeld)
    }

    private mutating func armAgain(_ slot: Int) {
        let record = records + slot
        switch Int(record.pointee.state) {
        case LIMPET_CONNECTING:
            armDialTimer(slot)
        case LIMPET_CLOSING:
            let isReset = record.pointee.flags & (resetFlag(0) | resetFlag(1)) != 0
            wheel.arm(slot, at: isReset ? now : record.pointee.deadline, now: now)
        default:
            armTimer(slot)
        }
    }

    // MARK: The connection that was in hand

    private mutating func repair(_ slot: Int) {
        let record = records + slot
        // An odd number would keep readers out for good.
        if record.pointee.sequence & 1 != 0 { limpet_write_end(&record.pointee.sequence) }
        inject(LIMPET_AT_RECOVERING)
        if isFree(record) { return }
        if isPoisonous(slot) {
            report(.quarantined, record)
            own.pointee.fault_count = 0
            finish(slot, resetting: .both, because: .fault)
        } else if record.pointee.flags & UInt8(LIMPET_FINISHING) != 0 {
            completeFinish(slot)
        } else if record.pointee.state == UInt8(LIMPET_CONNECTING) {
            repairConnect(slot)
        } else if !repairOpen(slot) {
            report(.unrecoverable, record)
            finish(slot, resetting: .both, because: .unrecoverable)
        }
    }

    /// Whether the last faults, three at least and one after the other, came with this very connection in hand.
    private func isPoisonous(_ slot: Int) -> Bool {
        own.pointee.fault_count >= 3 && own.pointee.fault_slot == UInt32(slot)
            && own.pointee.fault_generation == records[slot].generation
    }

    private func report(_ kind: Incident.Kind, _ record: UnsafeMutablePointer<limpet_record>) {
        incidents.add(
            Incident(
                kind: kind, slot: record.pointee.service, errno: .connectionReset, connection: record.pointee.id))
    }

    /// Sees what is in the pipe; one that is known to be empty is given back.
    private mutating func straightenPipe(_ way: UnsafeMutablePointer<limpet_direction>) {
        guard way.pointee.pipe_read >= 0 else { return }
        limpet_store32(&way.pointee.pipe_bytes, UInt32(Pipe.unread(way.pointee.pipe_read)))
        if way.pointee.pipe_bytes == 0 { releasePipe(way) }
    }

    // MARK: Connecting

    private mutating func repairConnect(_ slot: Int) {
        let record = records + slot
        let way = limpet_direction_of(record, Int32(LIMPET_IN))
        guard restoreInterest(slot, 0) else {
            finish(slot, resetting: .both, because: .local)
            return
        }
        if isAwaitingHeader(slot) {
            awaitHeader(slot)
            return
        }
        // It may have been waited for until the very moment at which it was there.
        if record.pointee.flags & UInt8(LIMPET_PROXIED) != 0 {
            StreamSocket.setLowWater(record.pointee.descriptor.0, 1)
        }
        let backend = record.pointee.descriptor.1
        guard backend >= 0 else {
            dropPipe(way)
            record.pointee.header_left = 0
            record.pointee.header = 0
            dialAgain(slot)
            return
        }
        if StreamSocket.isUnix(backend) {
            guard canGoOn(slot), restoreInterest(slot, 1) else {
                abandonConnect(slot, resetting: false)
                dialAgain(slot)
                return
            }
            return
        }
        guard let counters = try? TCPCounters(backend),
            counters.state != .close || StreamSocket.hasError(backend), settleHeader(slot, way, counters),
            restoreInterest(slot, 1)
        else {
            // Never connected, or it has failed and the reason was taken out of the socket: once more.
            abandonConnect(slot, resetting: true)
            dialAgain(slot)
            return
        }
        if record.pointee.deadline == 0 {
            let timeout = table.services[Int(record.pointee.service)].connectTimeout
            if timeout != 0 {
                record.pointee.deadline = now + timeout
                wheel.arm(slot, at: record.pointee.deadline, now: now)
            }
        }
    }

    /// Sees whether the PROXY header was queued before the record could say so. False: part of one was sent.
    private mutating func settleHeader(
        _ slot: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ counters: TCPCounters
    ) -> Bool {
        let record = records + slot
        straightenPipe(way)
        if way.pointee.pipe_bytes > 0 {
            // One write has put the whole of it there, and nothing was taken out yet.
            noteHeader(slot, length: Int(way.pointee.pipe_bytes), left: Int(way.pointee.pipe_bytes))
            return true
        }
        guard let ownFIN = counters.hasOwnFIN, counters.state != .synSent, counters.state != .synReceived else {
            return true
        }
        let sent = Int64(bitPattern: counters.put) - 1 - (ownFIN ? 1 : 0)
        if sent <= 0 { return true }
        guard let version = table.services[Int(record.pointee.service)].sendProxy,
            sent == Int64(writeHeader(slot, version))
        else { return false }
        noteHeader(slot, length: Int(sent), left: 0)
        return true
    }

    // MARK: Open

    /// False: nothing can be said for certain, so nothing may be sent any more.
    private mutating func repairOpen(_ slot: Int) -> Bool {
        let record = records + slot
        for direction in 0...1 {
            if has(limpet_direction_of(record, Int32(direction)), LIMPET_DIRECTION_PIPED) {
                settlePipe(slot, direction)
            }
            straightenPipe(limpet_direction_of(record, Int32(direction)))
        }
        recordStartAgain(record)
        guard settleHold(slot) else { return false }
        let reset = record.pointee.flags & (resetFlag(0) | resetFlag(1))
        let isOrdered = reset == 0 && record.pointee.state == UInt8(LIMPET_CLOSING)
        if reset != 0 {
            let side = reset & resetFlag(0) != 0 ? 1 : 0
            note(side == 0 ? .clientReset : .backendReset, slot)
            abandonSide(slot, side)
        }
        if !isOrdered {
            for direction in 0...1 where !settleBytes(slot, direction) { return false }
        }
        releaseScratch()
        for side in 0...1 where !restoreInterest(slot, side) { return false }
        let generation = record.pointee.generation
        for direction in 0...1 { clear(limpet_direction_of(record, Int32(direction)), LIMPET_DIRECTION_BLOCKED) }
        if isOrdered {
            goOnClosing(slot)
            return true
        }
        for side in 0...1 where hasLostReset(slot, side) {
            sideReset(slot, side, .connectionReset)
            if isFree(record) { return true }
        }
        for direction in 0...1 where !has(limpet_direction_of(record, Int32(direction)), LIMPET_DIRECTION_DEAD) {
            pump(slot, direction)
            if isFree(record) || record.pointee.generation != generation { return true }
        }
        if record.pointee.flags & (resetFlag(0) | resetFlag(1)) != 0 {
            settleReset(slot)
            if isFree(record) { return true }
        }
        updateInterest(slot)
        return true
    }

    /// Finds out what became of the bytes that one direction had on their way, and sends what was not sent. False: it
    /// cannot be told.
    private mutating func settleBytes(_ slot: Int, _ direction: Int) -> Bool {
        let record = records + slot
        let way = limpet_direction_of(record, Int32(direction))
        if has(way, LIMPET_DIRECTION_DEAD) || has(way, LIMPET_DIRECTION_DISCARD) { return true }
        let (scratch, isOurs) = scratchNote(slot, direction)
        guard isOurs else { return false }
        if has(way, LIMPET_DIRECTION_PIPED) { return settlePiped(slot, direction, way, scratch) }
        let source = limpet_descriptor(record, Int32(direction)).pointee
        guard let from = try? TCPCounters(source),
            let to = try? TCPCounters(limpet_descriptor(record, Int32(1 - direction)).pointee)
        else { return false }
        // To a closed socket nothing can be sent any more; the pump will find out how it was closed.
        guard let hasOwnFIN = to.hasOwnFIN else { return true }
        let back = limpet_direction_of(record, Int32(1 - direction))
        let syn: UInt64 = direction == LIMPET_IN ? 1 : 0
        let reckoning = Reckoning(
            source: from, sourceHasError: StreamSocket.hasError(source),
            sourceHasOwnFIN: from.hasOwnFIN ?? has(back, LIMPET_DIRECTION_SHUT),
            written: to.put &- syn &- (hasOwnFIN ? 1 : 0),
            header: direction == LIMPET_IN ? UInt64(headerLength(slot)) : 0,
            received: direction == LIMPET_IN ? headerTaken(slot) : 0,
            piped: UInt64(way.pointee.pipe_bytes), scratch: scratch)
        let verdict = reckoning.verdict()
        let counted = limpet_delivered(record, Int32(direction)).pointee
        guard verdict != .unknown, reckoning.delivered >= counted else { return false }
        account(slot, direction, Int(reckoning.delivered - counted))
        if direction == LIMPET_IN { noteHeaderLeft(slot, Int(reckoning.headerLeft)) }
        switch verdict {
        case .whole, .unknown: return true
        case .unsent(let offset, let count):
            return deliver(slot, direction, way, offset: offset, count: count)
        case .sentButNotTaken(let count):
            return Transfer.discard(source, limit: count) == .moved(count)
        }
    }

    /// What the dead worker had noted about its scratch for this direction; `isOurs` is false where the note names this
    /// slot and another connection.
    private func scratchNote(_ slot: Int, _ direction: Int) -> (Reckoning.Scratch?, isOurs: Bool) {
        let kind = Int(own.pointee.scratch_direction)
        guard own.pointee.scratch_slot == UInt32(slot) else { return (nil, true) }
        guard own.pointee.scratch_generation == records[slot].generation else { return (nil, false) }
        guard kind & ~LIMPET_PEEKED == direction else { return (nil, true) }
        return (
            Reckoning.Scratch(
                base: own.pointee.scratch_base, length: UInt64(own.pointee.scratch_length),
                isPeeked: kind & LIMPET_PEEKED != 0), true
        )
    }

    /// Sends what the dead worker had read and not sent. Dying here again leaves the same reckoning to the next.
    private mutating func deliver(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, offset: Int, count: Int
    ) -> Bool {
        limpet_publish32(&own.pointee.scratch_length, UInt32(offset + count))
        var offset = offset
        var count = count
        if way.pointee.pipe_bytes == 0 {
            let sink = limpet_descriptor(records + slot, Int32(1 - direction)).pointee
            switch Transfer.send(sink, from: scratch + offset, count: count) {
            case .moved(let sent):
                inject(LIMPET_AT_REST_SENT)
                account(slot, direction, sent)
                offset += sent
                count -= sent
            case .wouldBlock, .endOfFile: break
            case .failed:
                // Closed since: see settleBytes.
                return true
            }
            if count == 0 { return true }
            guard let pipe = pipes.take(now: now) else { return false }
            name(pipe, way)
        }
        guard Transfer.write(way.pointee.pipe_write, from: scratch + offset, count: count) == .moved(count) else {
            return false
        }
        inject(LIMPET_AT_REST_SPILLED)
        limpet_store32(&way.pointee.pipe_bytes, way.pointee.pipe_bytes + UInt32(count))
        return true
    }

    /// Whether a side was reset and the dead worker had taken that news out of the socket: what is left of it looks like
    /// an orderly end.
    private func hasLostReset(_ slot: Int, _ side: Int) -> Bool {
        let record = records + slot
        let socket = limpet_descriptor(record, Int32(side)).pointee
        guard record.pointee.flags & resetFlag(1 - side) == 0, let counters = try? TCPCounters(socket),
            counters.state == .close, !StreamSocket.hasError(socket)
        else { return false }
        let toward = limpet_direction_of(record, Int32(1 - side))
        let from = limpet_direction_of(record, Int32(side))
        if !has(toward, LIMPET_DIRECTION_SHUT) {
            // Unless the FIN was sent and the flag was still to come, a closed socket means a reset.
            let header = side == 1 ? UInt64(headerLength(slot)) : 0
            let syn: UInt64 = side == 1 ? 1 : 0
            let data = limpet_delivered(record, Int32(1 - side)).pointee
            guard has(toward, LIMPET_DIRECTION_EOF), toward.pointee.pipe_bytes == 0,
                counters.put &- syn &- header &- data == 1
            else { return true }
        }
        // Both FINs, then: unless the peer's has never come.
        if has(from, LIMPET_DIRECTION_DEAD) || has(from, LIMPET_DIRECTION_DISCARD) { return false }
        let left = side == 0 ? UInt64(headerLeft(slot)) : 0
        let read = limpet_delivered(record, Int32(side)).pointee + UInt64(from.pointee.pipe_bytes) - left
        return counters.taken == read + (side == 0 ? headerTaken(slot) : 0)
    }
}
