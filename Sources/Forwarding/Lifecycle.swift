import Addressing
import CContinuity
import CLayout
import Linux

/// How connections end: by FIN, by RST, by order, by time.
extension Worker {
    /// How long the bytes that a reset side had sent may take to reach the other before that is reset too, in ns.
    private static let resetGrace: UInt64 = 1_000_000_000
    /// A backend that resets a connection within this time, and has said nothing, may be in trouble, in ns.
    private static let atOnce: UInt64 = 1_000_000_000
    /// How long a connection closed by order may take to close by itself, in ns.
    private static let orderlyGrace: UInt64 = 5_000_000_000

    struct Sides: OptionSet {
        let rawValue: UInt8
        static let client = Sides(rawValue: 1)
        static let backend = Sides(rawValue: 2)
        static let both: Sides = [.client, .backend]
    }

    // MARK: Reset

    /// A side was reset or vanished. What it had sent is delivered, for a second at most; then the other side gets RST
    /// as well, because it must be able to tell a crash from an end.
    /// - Parameter error: what the socket has said of it; nil: it has not been asked.
    mutating func sideReset(_ slot: Int, _ side: Int, _ error: Errno?) {
        let record = records + slot
        if let error { note(Worker.reason(error, side), slot) }
        let other = 1 - side
        if record.pointee.flags & resetFlag(side) != 0 {
            finish(slot, resetting: side == 0 ? .client : .backend)
            return
        }
        if record.pointee.flags & resetFlag(other) != 0 {
            settleReset(slot)
            return
        }
        if side == 1, record.pointee.delivered.1 == 0, now - min(now, record.pointee.opened) < Worker.atOnce,
            Int(record.pointee.state) == LIMPET_OPEN
        {
            incidents.add(Incident(kind: .resetAtOnce, slot: record.pointee.backend, errno: .connectionReset))
        }
        limpet_publish8(&record.pointee.flags, record.pointee.flags | resetFlag(other))
        inject(LIMPET_AT_RESET_FLAGGED)
        if error == nil {
            // Only now: what is taken out of the socket is known to nobody but us.
            let told = StreamSocket.takeError(limpet_descriptor(record, Int32(side)).pointee)
            note(Worker.reason(told ?? .connectionReset, side), slot)
        }
        abandonSide(slot, side)
        let way = limpet_direction_of(record, Int32(side))
        if wantsInput(way) {
            pump(slot, side)
            if isFree(record) { return }
        }
        settleReset(slot)
        if !isFree(record) { updateInterest(slot) }
    }

    /// What follows from a side's reset, once the flag is set: nothing is carried toward it any more, nothing of it is
    /// watched. Done again it changes nothing.
    mutating func abandonSide(_ slot: Int, _ side: Int) {
        let record = records + slot
        let toward = limpet_direction_of(record, Int32(1 - side))
        dropPipe(toward)
        inject(LIMPET_AT_RESET_DROPPED)
        clear(toward, LIMPET_DIRECTION_BLOCKED)
        set(toward, LIMPET_DIRECTION_DEAD)
        unwatch(slot, side)
        inject(LIMPET_AT_UNWATCHED)
        let isClosing = record.pointee.state == UInt8(LIMPET_CLOSING)
        let latest = now + Worker.resetGrace
        record.pointee.deadline = isClosing ? min(record.pointee.deadline, latest) : latest
        limpet_publish8(&record.pointee.state, UInt8(LIMPET_CLOSING))
        wheel.arm(slot, at: now, now: now)
    }

    /// Ends a connection of which one side was reset, once the other has acknowledged all that it was owed: RST throws
    /// away what the kernel has not sent yet.
    mutating func settleReset(_ slot: Int) {
        let record = records + slot
        let target = record.pointee.flags & resetFlag(0) != 0 ? 0 : 1
        let way = limpet_direction_of(record, Int32(1 - target))
        // Where the connection was being closed by order, nothing more is owed than what is in the pipe.
        guard has(way, LIMPET_DIRECTION_EOF) || has(way, LIMPET_DIRECTION_DISCARD), way.pointee.pipe_bytes == 0 else {
            return
        }
        if StreamSocket.unacknowledged(limpet_descriptor(record, Int32(target)).pointee) == 0 {
            finish(slot, resetting: target == 0 ? .client : .backend)
        }
    }

    /// A side from which nothing is read for now reports an error or both its ends shut. Neither can be masked.
    mutating func pausedSideShut(_ slot: Int, _ side: Int, failed: Bool) {
        if failed {
            sideReset(slot, side, nil)
        } else {
            unwatch(slot, side)
        }
    }

    // MARK: Order and time

    mutating func closeByOrder(_ slot: Int, _ mode: CloseMode, _ reason: EndReason) {
        let record = records + slot
        if isFree(record) { return }
        note(reason, slot)
        // It is to go home when it comes again, which may be before this connection has ended.
        if reason == .rehome { forgetRemembered(slot) }
        if mode == .reset || record.pointee.state == UInt8(LIMPET_CONNECTING) {
            finish(slot, resetting: mode == .reset ? .both : [])
            return
        }
        if record.pointee.state == UInt8(LIMPET_CLOSING) { return }
        record.pointee.deadline = now + Worker.orderlyGrace
        limpet_publish8(&record.pointee.state, UInt8(LIMPET_CLOSING))
        inject(LIMPET_AT_ORDERED)
        wheel.arm(slot, at: record.pointee.deadline, now: now)
        goOnClosing(slot)
    }

    /// Closes both directions as they come free. Done again it goes on.
    mutating func goOnClosing(_ slot: Int) {
        let record = records + slot
        for direction in 0...1 {
            let way = limpet_direction_of(record, Int32(direction))
            set(way, LIMPET_DIRECTION_DISCARD)
            if !has(way, LIMPET_DIRECTION_BLOCKED) {
                pump(slot, direction)
                if isFree(record) { return }
            }
        }
        updateInterest(slot)
    }

    /// The sides for which bytes wait in a pipe. If the connection ends now they are lost, and that must not look like an
    /// end: these sides are to get RST.
    private func cutShort(_ record: UnsafeMutablePointer<limpet_record>) -> Sides {
        var sides: Sides = []
        if record.pointee.direction.0.pipe_bytes > 0 { sides.insert(.backend) }
        if record.pointee.direction.1.pipe_bytes > 0 { sides.insert(.client) }
        return sides
    }

    /// Before the process ends, and with it all connections: ends those that the kernel would end wrongly.
    mutating func endCutShort() {
        for slot in 0..<free.highWater where !isFree(records + slot) {
            let sides = cutShort(records + slot)
            if sides.isEmpty { continue }
            takeInHand(slot, records[slot].generation)
            finish(slot, resetting: sides, because: .shutdown)
            putDown()
        }
    }

    /// Arms the timer of an open connection for whichever time-out comes first, if it has any.
    mutating func armTimer(_ slot: Int) {
        let record = records + slot
        let service = table.services[Int(record.pointee.service)]
        var limit = service.idleTimeout
        if record.pointee.state == UInt8(LIMPET_HALF_CLOSED), service.halfCloseTimeout != 0 {
            limit = limit == 0 ? service.halfCloseTimeout : min(limit, service.halfCloseTimeout)
        }
        let quiet = limit == 0 ? UInt64.max : record.pointee.active + limit
        let lasting = record.pointee.deadline == 0 ? UInt64.max : record.pointee.deadline
        let next = min(quiet, lasting)
        if next == .max {
            wheel.cancel(slot)
        } else {
            wheel.arm(slot, at: next, now: now)
        }
    }

    /// An open connection has turned out to last: its backend's socket gets what was spared until now. The client's has
    /// it from its listener.
    private func takeForLasting(_ record: UnsafeMutablePointer<limpet_record>) {
        table.services[Int(record.pointee.service)].options.applyLasting(to: record.pointee.descriptor.1)
        record.pointee.deadline = 0
    }

    mutating func timerFired(_ slot: Int) {
        let record = records + slot
        takeInHand(slot, record.pointee.generation)
        defer { putDown() }
        switch Int(record.pointee.state) {
        case LIMPET_CONNECTING:
            dialTimerFired(slot)
        case LIMPET_CLOSING:
            closingTimerFired(slot)
        case LIMPET_OPEN, LIMPET_HALF_CLOSED:
            if record.pointee.deadline != 0, now >= record.pointee.deadline { takeForLasting(record) }
            let service = table.services[Int(record.pointee.service)]
            let quiet = now - min(now, record.pointee.active)
            let isHalfClosed = record.pointee.state == UInt8(LIMPET_HALF_CLOSED)
            if isHalfClosed && service.halfCloseTimeout != 0 && quiet >= service.halfCloseTimeout {
                closeByOrder(slot, .orderly, .halfClosed)
            } else if service.idleTimeout != 0 && quiet >= service.idleTimeout {
                closeByOrder(slot, .orderly, .idle)
            } else {
                armTimer(slot)
            }
        default:
            break
        }
    }

    private mutating func closingTimerFired(_ slot: Int) {
        let record = records + slot
        let isReset = record.pointee.flags & (resetFlag(0) | resetFlag(1)) != 0
        if now >= record.pointee.deadline {
            let sides: Sides =
                !isReset ? cutShort(record) : record.pointee.flags & resetFlag(0) != 0 ? .client : .backend
            finish(slot, resetting: sides)
            return
        }
        guard isReset else {
            wheel.arm(slot, at: record.pointee.deadline, now: now)
            return
        }
        // The reset side is out of the epoll set: what it still holds is fetched here.
        let side = record.pointee.flags & resetFlag(0) != 0 ? 1 : 0
        if wantsInput(limpet_direction_of(record, Int32(side))) {
            pump(slot, side)
            if isFree(record) { return }
        }
        settleReset(slot)
        if isFree(record) { return }
        wheel.arm(slot, at: now, now: now)
        updateInterest(slot)
    }

    /// Ends the connection: closes everything it has and frees its slot.
    /// - Parameters:
    ///   - resetting: sides that get RST; the others get FIN unless they have had it.
    ///   - reason: why, where that has not been noted yet.
    mutating func finish(_ slot: Int, resetting: Sides, because reason: EndReason? = nil) {
        let record = records + slot
        if let reason { note(reason, slot) }
        var flags = record.pointee.flags | UInt8(LIMPET_FINISHING)
        if resetting.contains(.client) { flags |= UInt8(LIMPET_FINISH_RESET_CLIENT) }
        if resetting.contains(.backend) { flags |= UInt8(LIMPET_FINISH_RESET_BACKEND) }
        limpet_publish8(&record.pointee.flags, flags)
        inject(LIMPET_AT_FINISHING)
        completeFinish(slot)
    }

    /// Does what the flags of a finishing connection say. Whoever died in the middle of it is followed by one who does it
    /// again: each step leaves what is before it undone or done.
    mutating func completeFinish(_ slot: Int) {
        let record = records + slot
        let (client, backend) = record.pointee.descriptor
        for direction in 0...1 { dropPipe(limpet_direction_of(record, Int32(direction))) }
        inject(LIMPET_AT_FINISH_DROPPED)
        wheel.cancel(slot)
        forgetTried(slot)
        leaveRemembered(slot)
        uncount(record)
        recordEnd(record)
        // The kernel is told first how a socket is to end: what is closed without a name must not pass for a client that
        // was accepted just now.
        if client >= 0 {
            markForClosing(record)
            if record.pointee.flags & UInt8(LIMPET_FINISH_RESET_CLIENT) != 0 {
                StreamSocket.resetOnClose(client)
            } else if !has(limpet_direction_of(record, Int32(LIMPET_OUT)), LIMPET_DIRECTION_SHUT) {
                StreamSocket.shutdownWrite(client)
            }
        }
        if backend >= 0, record.pointee.flags & UInt8(LIMPET_FINISH_RESET_BACKEND) != 0 {
            StreamSocket.resetOnClose(backend)
        }
        inject(LIMPET_AT_FINISH_DOOMED)

        limpet_write_begin(&record.pointee.sequence)
        record.pointee.descriptor = (-1, -1)
        inject(LIMPET_AT_FINISH_UNNAMED)
        limpet_publish8(&record.pointee.state, UInt8(LIMPET_FREE))
        limpet_write_end(&record.pointee.sequence)
        inject(LIMPET_AT_FINISH_FREE)

        if client >= 0 { Descriptor.close(client) }
        inject(LIMPET_AT_FINISH_CLOSED)
        if backend >= 0 { Descriptor.close(backend) }
        free.giveBack(slot)
        releasePlace()
    }

    /// Takes the connection out of the gauges.
    private func uncount(_ record: UnsafeMutablePointer<limpet_record>) {
        if record.pointee.descriptor.1 >= 0 {
            let counters = counters(record.pointee.backend)
            if record.pointee.state == UInt8(LIMPET_CONNECTING) {
                limpet_bump64(&counters.pointee.connecting, .max)
            } else {
                limpet_bump64(&counters.pointee.open, .max)
                if record.pointee.backend != record.pointee.home { limpet_bump64(&counters.pointee.away, .max) }
            }
            _ = limpet_fetch_add64(&region.backend(Int(record.pointee.backend)).pointee.load, .max)
        }
        limpet_bump64(&region.counters(index, listener: Int(record.pointee.listener)).pointee.open, .max)
        limpet_bump64(&own.pointee.open, .max)
        if let client = record.pointee.client.endpoint {
            leave(record.pointee.service, isAwaitingHeader(record - records) ? nil : client.address)
        }
    }

    // MARK: Bits

    @inline(__always)
    func wantsInput(_ way: UnsafeMutablePointer<limpet_direction>) -> Bool {
        way.pointee.flags
            & UInt16(
                LIMPET_DIRECTION_EOF.rawValue | LIMPET_DIRECTION_BLOCKED.rawValue | LIMPET_DIRECTION_DEAD.rawValue)
            == 0
    }

    @inline(__always)
    func isFree(_ record: UnsafeMutablePointer<limpet_record>) -> Bool {
        record.pointee.state == UInt8(LIMPET_FREE)
    }

    @inline(__always)
    func has(_ way: UnsafeMutablePointer<limpet_direction>, _ bit: limpet_direction_bit) -> Bool {
        way.pointee.flags & UInt16(bit.rawValue) != 0
    }

    @inline(__always)
    func set(_ way: UnsafeMutablePointer<limpet_direction>, _ bit: limpet_direction_bit) {
        way.pointee.flags |= UInt16(bit.rawValue)
    }

    @inline(__always)
    func clear(_ way: UnsafeMutablePointer<limpet_direction>, _ bit: limpet_direction_bit) {
        way.pointee.flags &= ~UInt16(bit.rawValue)
    }

    /// The flag that says that this side is to get RST.
    @inline(__always)
    func resetFlag(_ side: Int) -> UInt8 {
        UInt8(side == 0 ? LIMPET_RESET_CLIENT : LIMPET_RESET_BACKEND)
    }

    @inline(__always)
    func absentFlag(_ side: Int) -> UInt8 {
        UInt8(side == 0 ? LIMPET_ABSENT_CLIENT : LIMPET_ABSENT_BACKEND)
    }
}
