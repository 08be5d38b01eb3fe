import CContinuity
import CLayout
import Linux

/// What epoll watches each side of an open connection for.
extension Worker {
    /// What the socket of a connect under way is watched for: already as it will be when messages come. The edge of room to
    /// write comes once, with the connection; after that only where a send has found no room, and then the set is made anew.
    static let dialInterest: Poller.Interest = [.read, .write, .edge]

    /// Makes epoll watch each side for what its directions wait for. Costs a system call only where that has changed. Ends
    /// the connection where the kernel refuses.
    /// - Parameter side: whose event was served. Where it told of its end for the first time it stays watched until it does
    ///   so again: most often the other side's end comes before that, and all is over.
    @inline(__always)
    mutating func updateInterest(_ slot: Int, afterEventOf side: Int? = nil) {
        updateInterest(slot, 0, isFirst: side == 0)
        if !isFree(records + slot) { updateInterest(slot, 1, isFirst: side == 1) }
    }

    @inline(__always)
    private mutating func updateInterest(_ slot: Int, _ side: Int, isFirst: Bool) {
        let record = records + slot
        let wanted = wanted(record, side)
        let watched = limpet_events(record, Int32(side))
        if watched.pointee == wanted.rawValue { return }
        if wanted == [.read, .edge], watched.pointee == Worker.dialInterest.rawValue { return }
        if isFirst, wanted.isEmpty, isForReading(watched.pointee),
            has(limpet_direction_of(record, Int32(side)), LIMPET_DIRECTION_EOF)
        {
            return
        }
        changeInterest(slot, side, wanted)
    }

    private func isForReading(_ watched: UInt8) -> Bool {
        watched == Poller.Interest.read.rawValue || watched == Poller.Interest([.read, .edge]).rawValue
            || watched == Worker.dialInterest.rawValue
    }

    /// What an open connection waits for on one side. Messages are watched for by edges: whoever serves one reads all that
    /// there is. Where that cannot be (a stream, a full sink, a side that has ended) the set is level-triggered, and changing
    /// over makes the kernel look anew.
    @inline(__always)
    private func wanted(_ record: UnsafeMutablePointer<limpet_record>, _ side: Int) -> Poller.Interest {
        var wanted: Poller.Interest = []
        if wantsInput(limpet_direction_of(record, Int32(side))) { wanted.insert(.read) }
        if has(limpet_direction_of(record, Int32(1 - side)), LIMPET_DIRECTION_BLOCKED) { wanted.insert(.write) }
        let flags = record.pointee.direction.0.flags | record.pointee.direction.1.flags
        let state = Int(record.pointee.state)
        if wanted == .read, state == LIMPET_OPEN || state == LIMPET_HALF_CLOSED, !hasLeftover,
            flags & UInt16(LIMPET_DIRECTION_BULK.rawValue | LIMPET_DIRECTION_PIPED.rawValue) == 0
        {
            wanted.insert(.edge)
        }
        return wanted
    }

    private mutating func changeInterest(_ slot: Int, _ side: Int, _ wanted: Poller.Interest) {
        let record = records + slot
        let descriptor = limpet_descriptor(record, Int32(side)).pointee
        let token = Token.record(slot, side: side, generation: record.pointee.generation)
        let watched = limpet_events(record, Int32(side))
        var failure: Errno?
        if record.pointee.flags & absentFlag(side) == 0 {
            failure = poller.modify(descriptor, token: token, interest: wanted)
        } else {
            // A side that was reset stays out of the set: its error cannot be masked.
            if record.pointee.flags & resetFlag(1 - side) != 0 || wanted.isEmpty { return }
            failure = poller.add(descriptor, token: token, interest: wanted)
        }
        if let failure {
            // Nobody would ever look at it again.
            reportLocal(failure)
            finish(slot, resetting: .both, because: .local)
            return
        }
        inject(LIMPET_AT_INTEREST_CHANGED)
        record.pointee.flags &= ~absentFlag(side)
        watched.pointee = wanted.rawValue
    }

    /// Makes the epoll set agree with the record, whatever it held before. False: the kernel refused.
    mutating func restoreInterest(_ slot: Int, _ side: Int) -> Bool {
        let record = records + slot
        let descriptor = limpet_descriptor(record, Int32(side)).pointee
        var wanted = self.wanted(record, side)
        if record.pointee.state == UInt8(LIMPET_CONNECTING) {
            wanted = side == 1 ? .write : isAwaitingHeader(slot) ? .read : []
        }
        // Absent with nothing to wait for: both its ends are shut, or it was reset.
        if record.pointee.flags & absentFlag(side) != 0
            && (wanted.isEmpty || record.pointee.flags & resetFlag(1 - side) != 0)
        {
            poller.remove(descriptor)
            limpet_events(record, Int32(side)).pointee = 0
            return true
        }
        let token = Token.record(slot, side: side, generation: record.pointee.generation)
        if let failure = poller.ensure(descriptor, token: token, interest: wanted) {
            reportLocal(failure)
            return false
        }
        record.pointee.flags &= ~absentFlag(side)
        limpet_events(record, Int32(side)).pointee = wanted.rawValue
        return true
    }

    mutating func unwatch(_ slot: Int, _ side: Int) {
        let record = records + slot
        guard record.pointee.flags & absentFlag(side) == 0 else { return }
        poller.remove(limpet_descriptor(record, Int32(side)).pointee)
        record.pointee.flags |= absentFlag(side)
        limpet_events(record, Int32(side)).pointee = 0
    }
}
