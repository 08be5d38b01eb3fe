import CContinuity
import CLayout
import Linux

/// Moving bytes. A direction reads from side `direction` (0 client, 1 backend) and writes to the other.
///
/// Small transfers go through the worker's scratch; once a read fills it, the direction goes over to splice and comes
/// back when it calms down. What the receiving side does not take at once waits in a pipe, and the sending side is not
/// read meanwhile: so backpressure is the sockets' own, and an idle connection holds nothing.
extension Worker {
    /// A splice that moves less than this counts as calm …
    private static let calmBytes = 16384
    /// … and after so many of them in a row the scratch is cheaper again.
    private static let calmSplices: UInt8 = 4
    /// Flags of a direction that does not go through the scratch.
    @inline(__always)
    private static var notCopied: UInt16 {
        UInt16(LIMPET_DIRECTION_BULK.rawValue | LIMPET_DIRECTION_PIPED.rawValue)
    }
    /// Whatever keeps a direction from reading that is not blocked.
    private static let holdsReading = UInt16(
        LIMPET_DIRECTION_EOF.rawValue | LIMPET_DIRECTION_DISCARD.rawValue | LIMPET_DIRECTION_HELD.rawValue)

    /// An event of an open connection.
    @inline(__always)
    mutating func connectionReady(_ slot: Int, _ side: Int, _ event: Poller.Event) {
        let record = records + slot
        readsOn = event.isMore
        defer { (readsOn, hasLeftover) = (false, false) }
        if record.pointee.state == UInt8(LIMPET_CONNECTING) {
            dialReady(slot, side, event)
            return
        }
        let generation = record.pointee.generation
        let reading = limpet_direction_of(record, Int32(side))
        let writing = limpet_direction_of(record, Int32(1 - side))
        // It has told of its end before, and tells of it again.
        let isToldAgain = event.readable && has(reading, LIMPET_DIRECTION_EOF)
        if event.writable || event.failed, has(writing, LIMPET_DIRECTION_BLOCKED) {
            clear(writing, LIMPET_DIRECTION_BLOCKED)
            pump(slot, 1 - side)
            if record.pointee.generation != generation || isFree(record) { return }
        }
        if event.readable || event.failed || event.hungUp, wantsInput(reading) {
            pump(slot, side)
            if record.pointee.generation != generation || isFree(record) { return }
        }
        if (event.failed || event.hungUp) && !wantsInput(reading) {
            pausedSideShut(slot, side, failed: event.failed)
            if record.pointee.generation != generation || isFree(record) { return }
        }
        updateInterest(slot, afterEventOf: isToldAgain ? nil : side)
    }

    /// Moves what can be moved in one direction now. May end the connection.
    mutating func pump(_ slot: Int, _ direction: Int) {
        let record = records + slot
        let way = limpet_direction_of(record, Int32(direction))
        let source = limpet_descriptor(record, Int32(direction)).pointee
        let sink = limpet_descriptor(record, Int32(1 - direction)).pointee
        var round = 0
        while true {
            if way.pointee.pipe_bytes > 0 {
                guard flush(slot, direction, way, sink) else { return }
            }
            if way.pointee.flags & Worker.holdsReading != 0 {
                if has(way, LIMPET_DIRECTION_EOF) || has(way, LIMPET_DIRECTION_DISCARD) {
                    endDirection(slot, direction, way, source, sink)
                    return
                }
                if !passHold(slot, way, source) { return }
            }
            if round >= roundsPerTurn, !readsOn || round > 1 {
                hasLeftover = true
                return
            }
            let proceed =
                way.pointee.flags & Worker.notCopied == 0
                ? copyOnce(slot, direction, way, source, sink)
                : has(way, LIMPET_DIRECTION_PIPED)
                    ? pipeOnce(slot, direction, way, source, sink)
                    : spliceOnce(slot, direction, way, source, sink, isFirst: round == 0)
            if !proceed { return }
            round += 1
        }
    }

    /// Sends what waits in the pipe. True: the pipe is empty and has been given back.
    mutating func flush(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ sink: Int32
    ) -> Bool {
        while way.pointee.pipe_bytes > 0 {
            switch Transfer.splice(from: way.pointee.pipe_read, to: sink, limit: Int(way.pointee.pipe_bytes)) {
            case .moved(let count):
                inject(LIMPET_AT_SPLICED_OUT)
                limpet_store32(&way.pointee.pipe_bytes, way.pointee.pipe_bytes - UInt32(count))
                account(slot, direction, count - takeHeader(slot, direction, count))
                inject(LIMPET_AT_SPLICED_OUT_COUNTED)
                countSplice(.moved)
            case .wouldBlock:
                countSplice(.again)
                set(way, LIMPET_DIRECTION_BLOCKED)
                return false
            case .endOfFile:
                // Cannot be: the pipe holds bytes and we hold its writing end.
                sideReset(slot, 1 - direction, nil)
                return false
            case .failed(let error):
                countSplice(.failed)
                sideReset(slot, 1 - direction, error)
                return false
            }
        }
        releasePipe(way)
        return true
    }

    /// One turn through the scratch. False: nothing more to do in this direction for now.
    @inline(__always)
    private mutating func copyOnce(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32
    ) -> Bool {
        let limit = min(Int(LIMPET_SCRATCH_BYTES), pipes.reserve(now: now))
        if limit == 0 { return peekOnce(slot, direction, way, source, sink) }
        claimScratch(slot, UInt32(direction), direction)
        inject(LIMPET_AT_SCRATCH_CLAIMED)
        let length: Int
        switch Transfer.receive(source, into: scratch, limit: limit) {
        case .moved(let count): length = count
        case .wouldBlock:
            releaseScratch()
            return false
        case .endOfFile:
            inject(LIMPET_AT_EOF_READ)
            releaseScratch()
            set(way, LIMPET_DIRECTION_EOF)
            inject(LIMPET_AT_EOF_FLAGGED)
            return true
        case .failed(let error):
            inject(LIMPET_AT_RESET_READ)
            releaseScratch()
            set(way, LIMPET_DIRECTION_EOF)
            sideReset(slot, direction, error)
            return false
        }
        inject(LIMPET_AT_RECEIVED)
        limpet_publish32(&own.pointee.scratch_length, UInt32(length))
        inject(LIMPET_AT_RECEIVED_COUNTED)
        var sent = 0
        switch Transfer.send(sink, from: scratch, count: length) {
        case .moved(let count):
            inject(LIMPET_AT_SENT)
            sent = count
            account(slot, direction, count)
            inject(LIMPET_AT_SENT_COUNTED)
        case .wouldBlock, .endOfFile:
            break
        case .failed(let error):
            inject(LIMPET_AT_RESET_READ)
            releaseScratch()
            sideReset(slot, 1 - direction, error)
            return false
        }
        if sent < length {
            let isKept = spill(way, from: sent, length)
            if !isKept {
                finish(slot, resetting: .both, because: .local)
                releaseScratch()
                return false
            }
            releaseScratch()
            inject(LIMPET_AT_SCRATCH_RELEASED)
            return false
        }
        releaseScratch()
        inject(LIMPET_AT_SCRATCH_RELEASED)
        if length < limit { return readsOn }
        if limit == Int(LIMPET_SCRATCH_BYTES) {
            set(way, LIMPET_DIRECTION_BULK)
            way.pointee.calm = 0
        }
        return true
    }

    /// Puts the rest of the scratch into the pipe that was kept for it; the sink is full. False: the kernel had room in
    /// the pipe but no memory for the bytes, which are lost.
    private mutating func spill(
        _ way: UnsafeMutablePointer<limpet_direction>, from sent: Int, _ length: Int
    ) -> Bool {
        guard let pipe = pipes.take(now: now) else {
            preconditionFailure("the reserve pipe was there before the read")
        }
        name(pipe, way)
        inject(LIMPET_AT_SPILL_NAMED)
        guard case .moved(length - sent) = Transfer.write(pipe.write, from: scratch + sent, count: length - sent) else {
            return false
        }
        inject(LIMPET_AT_SPILLED)
        limpet_store32(&way.pointee.pipe_bytes, UInt32(length - sent))
        set(way, LIMPET_DIRECTION_BLOCKED)
        inject(LIMPET_AT_SPILLED_COUNTED)
        return true
    }

    /// Says whose bytes the scratch is about to hold, before there are any.
    /// - Parameter kind: the direction, with LIMPET_PEEKED where the bytes stay in the socket.
    @inline(__always)
    func claimScratch(_ slot: Int, _ kind: UInt32, _ direction: Int) {
        own.pointee.scratch_length = 0
        own.pointee.scratch_generation = records[slot].generation
        own.pointee.scratch_direction = kind
        own.pointee.scratch_base = limpet_delivered(records + slot, Int32(direction)).pointee
        limpet_publish32(&own.pointee.scratch_slot, UInt32(slot))
        limpet_order()
    }

    @inline(__always)
    func releaseScratch() {
        limpet_publish32(&own.pointee.scratch_slot, .max)
        limpet_order()
    }

    /// One turn without a pipe: the bytes stay in the socket until they have been sent, so none needs a place to wait.
    mutating func peekOnce(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32
    ) -> Bool {
        leaveBulk(slot, direction, way)
        claimScratch(slot, UInt32(direction | LIMPET_PEEKED), direction)
        let length: Int
        switch Transfer.peek(source, into: scratch, limit: Int(LIMPET_SCRATCH_BYTES)) {
        case .moved(let count): length = count
        case .wouldBlock:
            releaseScratch()
            return false
        case .endOfFile:
            inject(LIMPET_AT_EOF_READ)
            releaseScratch()
            set(way, LIMPET_DIRECTION_EOF)
            inject(LIMPET_AT_EOF_FLAGGED)
            return true
        case .failed(let error):
            inject(LIMPET_AT_RESET_READ)
            releaseScratch()
            set(way, LIMPET_DIRECTION_EOF)
            sideReset(slot, direction, error)
            return false
        }
        inject(LIMPET_AT_PEEKED)
        limpet_publish32(&own.pointee.scratch_length, UInt32(length))
        switch Transfer.send(sink, from: scratch, count: length) {
        case .moved(let sent):
            inject(LIMPET_AT_PEEKED_SENT)
            guard case .moved(sent) = drop(way, source, limit: sent) else {
                // What was sent is still in the source: going on would send it twice.
                finish(slot, resetting: .both, because: .local)
                releaseScratch()
                return false
            }
            inject(LIMPET_AT_PEEKED_DISCARDED)
            account(slot, direction, sent)
            if has(way, LIMPET_DIRECTION_PIPED) { notePassed(slot, direction) }
            releaseScratch()
            if sent == length { return true }
            set(way, LIMPET_DIRECTION_BLOCKED)
        case .wouldBlock, .endOfFile:
            releaseScratch()
            set(way, LIMPET_DIRECTION_BLOCKED)
        case .failed(let error):
            inject(LIMPET_AT_RESET_READ)
            releaseScratch()
            sideReset(slot, 1 - direction, error)
        }
        return false
    }

    /// One turn by splice. False: nothing more to do in this direction for now.
    private mutating func spliceOnce(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32,
        isFirst: Bool
    ) -> Bool {
        guard let pipe = pipes.take(now: now) else {
            return peekOnce(slot, direction, way, source, sink)
        }
        name(pipe, way)
        inject(LIMPET_AT_PIPE_NAMED)
        switch Transfer.splice(from: source, to: pipe.write, limit: min(Int(pipe.capacity), bytesPerRound)) {
        case .moved(let count):
            inject(LIMPET_AT_SPLICED_IN)
            limpet_store32(&way.pointee.pipe_bytes, UInt32(count))
            inject(LIMPET_AT_SPLICED_IN_COUNTED)
            notePiece(slot, direction, count)
            countSplice(.moved)
            if count >= Worker.calmBytes {
                way.pointee.calm = 0
            } else {
                way.pointee.calm += 1
                if way.pointee.calm >= Worker.calmSplices { leaveBulk(slot, direction, way) }
            }
            return flush(slot, direction, way, sink)
        case .wouldBlock, .endOfFile:
            // Empty, the end, or an urgent mark, at which splice stalls or tells of an end that is none: recv knows
            // which. After a round that moved bytes it is most likely empty: epoll will tell.
            countSplice(.again)
            unname(way)
            pipes.giveBack(pipe)
            return isFirst && copyOnce(slot, direction, way, source, sink)
        case .failed(let error):
            countSplice(.failed)
            // The error has been taken out of the socket: a recv would now tell of an orderly end.
            inject(LIMPET_AT_RESET_READ)
            unname(way)
            pipes.giveBack(pipe)
            set(way, LIMPET_DIRECTION_EOF)
            sideReset(slot, direction, error)
            return false
        }
    }

    private mutating func leaveBulk(_ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>) {
        clear(way, LIMPET_DIRECTION_BULK)
        endPatience(slot, direction)
    }

    /// The source has sent FIN (or closes by order) and the pipe is empty: pass the FIN on.
    private mutating func endDirection(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32
    ) {
        let record = records + slot
        if record.pointee.flags & resetFlag(1 - direction) != 0 {
            settleReset(slot)
            return
        }
        if !has(way, LIMPET_DIRECTION_SHUT) {
            StreamSocket.shutdownWrite(sink)
            inject(LIMPET_AT_SHUT)
            set(way, LIMPET_DIRECTION_SHUT)
            inject(LIMPET_AT_SHUT_FLAGGED)
        }
        if has(way, LIMPET_DIRECTION_DISCARD) && !has(way, LIMPET_DIRECTION_EOF) {
            discard(slot, direction, way, source)
        }
        if isFree(record) { return }
        let other = limpet_direction_of(record, Int32(1 - direction))
        noteFIN(slot, direction)
        if has(way, LIMPET_DIRECTION_EOF), has(other, LIMPET_DIRECTION_EOF), has(other, LIMPET_DIRECTION_SHUT) {
            finish(slot, resetting: [])
            return
        }
        if record.pointee.state == UInt8(LIMPET_OPEN) {
            limpet_store8(&record.pointee.state, UInt8(LIMPET_HALF_CLOSED))
            inject(LIMPET_AT_HALF_CLOSED)
            // The half-close time-out runs from here: the connection may have been quiet for hours before.
            limpet_store64(&record.pointee.active, now)
            armTimer(slot)
        }
    }

    /// Closing by order: what still arrives is read and dropped until the FIN comes.
    private mutating func discard(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32
    ) {
        for _ in 0..<roundsPerTurn {
            switch drop(way, source, limit: 1 << 20) {
            case .moved:
                inject(LIMPET_AT_DISCARDED)
                continue
            case .wouldBlock: return
            case .endOfFile, .failed:
                set(way, LIMPET_DIRECTION_EOF)
                return
            }
        }
    }

    /// How many of the bytes that left the pipe were the PROXY header's, which is no part of what the client sent.
    @inline(__always)
    private func takeHeader(_ slot: Int, _ direction: Int, _ bytes: Int) -> Int {
        guard direction == LIMPET_IN, records[slot].header_left > 0 else { return 0 }
        let left = headerLeft(slot)
        let header = min(left, bytes)
        noteHeaderLeft(slot, left - header)
        return header
    }

    /// Counts delivered bytes: the record's own figure and the backend's.
    @inline(__always)
    func account(_ slot: Int, _ direction: Int, _ bytes: Int) {
        let record = records + slot
        limpet_bump64(limpet_delivered(record, Int32(direction)), UInt64(bytes))
        limpet_store64(&record.pointee.active, now)
        limpet_bump64(limpet_backend_bytes(counters(record.pointee.backend), Int32(direction)), UInt64(bytes))
    }
}
