import CContinuity
import CLayout
import Linux

/// Moving bytes where a side is a Unix socket. The kernel counts nothing on one, so after a death only a socket or a named
/// pipe can tell what was on its way: bytes go from socket to pipe to socket, messages too, and what recv alone can fetch
/// goes through the pipe all the same. `limpet_piped.entered` says how many bytes have ever come into the pipe; with what
/// is in it, that tells how many have left it.
///
/// Such sockets are watched level-triggered: a splice that gets little may have left something.
extension Worker {
    /// A piece that is at least so long is a stream's.
    private static let longPiece = 16384
    /// After so many shorter ones in a row it is none any more.
    private static let calmPieces: UInt8 = 4

    /// One turn of a direction. False: nothing more to do in it for now.
    mutating func pipeOnce(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32
    ) -> Bool {
        guard let pipe = pipes.take(now: now) else { return peekOnce(slot, direction, way, source, sink) }
        name(pipe, way)
        inject(LIMPET_AT_PIPE_NAMED)
        switch Transfer.splice(from: source, to: pipe.write, limit: min(Int(pipe.capacity), bytesPerRound)) {
        case .moved(let count):
            inject(LIMPET_AT_SPLICED_IN)
            noteEntered(slot, direction, way, count)
            inject(LIMPET_AT_SPLICED_IN_COUNTED)
            countSplice(.moved)
            noteLength(way, count)
            return flush(slot, direction, way, sink) && count >= Worker.longPiece
        case .wouldBlock, .endOfFile:
            countSplice(.again)
            return lookOnce(slot, direction, way, source, sink, pipe)
        case .failed(let error):
            countSplice(.failed)
            return breakOff(slot, direction, way, error)
        }
    }

    /// The splice got nothing: the source is empty, or at its end, or at an urgent mark, which only TCP has in the way of a
    /// splice.
    private mutating func lookOnce(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32,
        _ pipe: Pipe
    ) -> Bool {
        switch Transfer.peek(source, into: scratch, limit: 1) {
        case .moved:
            if !StreamSocket.isUnix(source) { return fetchOnce(slot, direction, way, source, sink, pipe) }
            // It has come meanwhile.
            releasePipe(way)
            return true
        case .wouldBlock:
            releasePipe(way)
            return false
        case .endOfFile:
            releasePipe(way)
            set(way, LIMPET_DIRECTION_EOF)
            inject(LIMPET_AT_EOF_FLAGGED)
            return true
        case .failed(let error):
            return breakOff(slot, direction, way, error)
        }
    }

    /// The source has failed, and its direction's pipe is empty. False, as there is nothing more to do in it.
    private mutating func breakOff(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ error: Errno
    ) -> Bool {
        inject(LIMPET_AT_RESET_READ)
        releasePipe(way)
        set(way, LIMPET_DIRECTION_EOF)
        sideReset(slot, direction, error)
        return false
    }

    /// Takes out of a TCP socket what a splice does not, into the pipe. Its counters tell how many bytes were read; so a
    /// death in between leaves them in the scratch.
    private mutating func fetchOnce(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, _ sink: Int32,
        _ pipe: Pipe
    ) -> Bool {
        claimScratch(slot, UInt32(direction), direction)
        inject(LIMPET_AT_SCRATCH_CLAIMED)
        let outcome = Transfer.receive(source, into: scratch, limit: min(Int(LIMPET_SCRATCH_BYTES), Int(pipe.capacity)))
        guard case .moved(let length) = outcome else {
            // It was there a moment ago.
            releaseScratch()
            releasePipe(way)
            return false
        }
        inject(LIMPET_AT_RECEIVED)
        limpet_publish32(&own.pointee.scratch_length, UInt32(length))
        inject(LIMPET_AT_RECEIVED_COUNTED)
        guard case .moved(length) = Transfer.write(pipe.write, from: scratch, count: length) else {
            finish(slot, resetting: .both, because: .local)
            releaseScratch()
            return false
        }
        inject(LIMPET_AT_SPILLED)
        noteEntered(slot, direction, way, length)
        inject(LIMPET_AT_SPILLED_COUNTED)
        releaseScratch()
        inject(LIMPET_AT_SCRATCH_RELEASED)
        return flush(slot, direction, way, sink)
    }

    /// Bytes of the source have come into the pipe, which was empty.
    @inline(__always)
    private func noteEntered(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ count: Int
    ) {
        limpet_bump64(limpet_entered(region.piped(index, record: slot), Int32(direction)), UInt64(count))
        limpet_store32(&way.pointee.pipe_bytes, UInt32(count))
    }

    /// Bytes were sent that never were in the pipe.
    func notePassed(_ slot: Int, _ direction: Int) {
        limpet_store64(
            limpet_entered(region.piped(index, record: slot), Int32(direction)),
            limpet_delivered(records + slot, Int32(direction)).pointee)
    }

    /// Tells streams from messages, as the order of service goes by that, see Turn.
    @inline(__always)
    private func noteLength(_ way: UnsafeMutablePointer<limpet_direction>, _ count: Int) {
        if count >= Worker.longPiece {
            set(way, LIMPET_DIRECTION_BULK)
            way.pointee.calm = 0
        } else if has(way, LIMPET_DIRECTION_BULK) {
            way.pointee.calm += 1
            if way.pointee.calm >= Worker.calmPieces { clear(way, LIMPET_DIRECTION_BULK) }
        }
    }

    /// Takes bytes out of a source and drops them: at most so many.
    @inline(__always)
    func drop(_ way: UnsafeMutablePointer<limpet_direction>, _ source: Int32, limit: Int) -> Outcome {
        if !has(way, LIMPET_DIRECTION_PIPED) { return Transfer.discard(source, limit: limit) }
        // MSG_TRUNC without a place for the bytes is TCP's alone. What is in the scratch is not needed any more.
        var dropped = 0
        while dropped < limit {
            switch Transfer.receive(source, into: scratch, limit: min(limit - dropped, Int(LIMPET_SCRATCH_BYTES))) {
            case .moved(let count): dropped += count
            case let other: return dropped > 0 ? .moved(dropped) : other
            }
        }
        return .moved(dropped)
    }

    // MARK: After a death

    /// Tells from what the pipe holds how many bytes have come into it and left it. For a piped direction of the connection
    /// that was in hand, before anything else is done about its pipe.
    func settlePipe(_ slot: Int, _ direction: Int) {
        let record = records + slot
        let way = limpet_direction_of(record, Int32(direction))
        let held = way.pointee.pipe_read >= 0 ? UInt64(Pipe.unread(way.pointee.pipe_read)) : 0
        if direction == LIMPET_IN, headerLeft(slot) > 0 {
            // Nothing of the client's is read as long as some of the header is there.
            noteHeaderLeft(slot, min(headerLeft(slot), Int(held)))
            if headerLeft(slot) > 0 { return }
        }
        let entered = limpet_entered(region.piped(index, record: slot), Int32(direction))
        let delivered = limpet_delivered(record, Int32(direction)).pointee
        if entered.pointee <= delivered {
            // It was empty as far as is known.
            limpet_store64(entered, delivered + held)
        } else if entered.pointee > delivered + held {
            account(slot, direction, Int(entered.pointee - held - delivered))
        }
    }

    /// Sends on what the dead worker had in the scratch for a piped direction. False: it cannot be told what became of it.
    mutating func settlePiped(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ scratch: Reckoning.Scratch?
    ) -> Bool {
        let record = records + slot
        if let scratch, scratch.isPeeked {
            // Without a pipe; how many of these bytes were sent, nobody has counted.
            return scratch.length == 0
        }
        let source = limpet_descriptor(record, Int32(direction)).pointee
        // A Unix socket is never read into the scratch.
        if StreamSocket.isUnix(source) { return true }
        guard let from = try? TCPCounters(source) else { return false }
        let back = limpet_direction_of(record, Int32(1 - direction))
        let header = direction == LIMPET_IN ? UInt64(headerLength(slot)) : 0
        let left = direction == LIMPET_IN ? UInt64(headerLeft(slot)) : 0
        let reckoning = Reckoning(
            source: from, sourceHasError: StreamSocket.hasError(source),
            sourceHasOwnFIN: from.hasOwnFIN ?? has(back, LIMPET_DIRECTION_SHUT),
            written: limpet_delivered(record, Int32(direction)).pointee + header - left, header: header,
            received: direction == LIMPET_IN ? headerTaken(slot) : 0, piped: UInt64(way.pointee.pipe_bytes),
            scratch: scratch)
        switch reckoning.verdict() {
        case .whole: return true
        case .unsent(let offset, let count): return refill(slot, direction, way, offset: offset, count: count)
        case .sentButNotTaken, .unknown: return false
        }
    }

    /// Puts what was read and did not come into the pipe into one.
    private mutating func refill(
        _ slot: Int, _ direction: Int, _ way: UnsafeMutablePointer<limpet_direction>, offset: Int, count: Int
    ) -> Bool {
        limpet_publish32(&own.pointee.scratch_length, UInt32(offset + count))
        guard way.pointee.pipe_read < 0, let pipe = pipes.take(now: now) else { return false }
        name(pipe, way)
        guard Transfer.write(pipe.write, from: scratch + offset, count: count) == .moved(count) else { return false }
        inject(LIMPET_AT_REST_SPILLED)
        noteEntered(slot, direction, way, count)
        return true
    }
}
