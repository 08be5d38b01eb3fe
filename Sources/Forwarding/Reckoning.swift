import CLayout
import Linux

/// What became of the bytes that one direction had on their way when its worker died: told from what the kernel counted
/// on both sockets, from what the pipe holds, and from what the worker had noted about its scratch. Pure arithmetic.
///
/// Every byte that was read is in the receiving socket, in the pipe or in the scratch; so what the first two do not hold
/// is the tail of the third.
struct Reckoning {
    /// The side that the direction reads from.
    var source: TCPCounters
    /// Whether an error waits in it.
    var sourceHasError = false
    /// Whether our FIN was sent to it.
    var sourceHasOwnFIN = false
    /// Bytes that the receiving socket was given, without SYN and FIN, with the PROXY header.
    var written: UInt64
    /// Bytes of the PROXY header that was queued ahead of the source's bytes.
    var header: UInt64 = 0
    /// Bytes of the PROXY header that was taken out of the source ahead of the source's bytes.
    var received: UInt64 = 0
    /// Bytes in the pipe, what is left of the header included.
    var piped: UInt64
    /// What the worker had noted; nil: the scratch was not in use for this direction.
    var scratch: Scratch?

    struct Scratch: Equatable {
        /// Bytes that had been delivered before those in the scratch.
        var base: UInt64
        /// Bytes in it; 0 also where a read had just been made or was about to be.
        var length: UInt64
        /// The bytes were only looked at: they are to be taken out of the source once they are sent.
        var isPeeked = false
    }

    enum Verdict: Equatable {
        /// Nothing is missing.
        case whole
        /// So many bytes of the scratch, from this offset on, are still to be sent.
        case unsent(from: Int, count: Int)
        /// So many bytes were sent and are still in the source.
        case sentButNotTaken(Int)
        /// The figures do not agree: nothing may be sent any more.
        case unknown
    }

    /// Of the source's bytes, those that the receiving socket was given.
    var delivered: UInt64 { written - min(written, header) }
    /// Of the header's, those that it was not given yet.
    var headerLeft: UInt64 { header - min(written, header) }

    func verdict() -> Verdict {
        guard piped >= headerLeft, source.taken >= received else { return .unknown }
        // Bytes of the source that have a place.
        let placed = Int64(bitPattern: delivered &+ piped &- headerLeft)
        let taken = Int64(bitPattern: source.taken - received)
        guard let scratch else {
            return fins.contains(taken - placed) ? .whole : .unknown
        }
        let base = Int64(bitPattern: scratch.base)
        let length = Int64(bitPattern: scratch.length)
        guard base >= 0, 0...Int64(LIMPET_SCRATCH_BYTES) ~= length else { return .unknown }
        if scratch.isPeeked { return peeked(sent: placed - base, length: length, taken: taken - base) }

        let count: Int64
        if length > 0 {
            guard fins.contains(taken - base - length) else { return .unknown }
            count = length
        } else {
            guard let read = lastRead(taken - base) else { return .unknown }
            count = read
        }
        let rest = base + count - placed
        guard 0...count ~= rest else { return .unknown }
        return rest == 0 ? .whole : .unsent(from: Int(count - rest), count: Int(rest))
    }

    /// What the peer's FIN may add to the bytes that were taken: a closed socket does not say whether one had come.
    private var fins: ClosedRange<Int64> {
        switch source.hasPeerFIN {
        case true?: 1...1
        case false?: 0...0
        case nil: 0...1
        }
    }

    /// How many bytes a read brought that was not noted; nil: it cannot be told.
    /// - Parameter taken: out of the source since the scratch was claimed.
    private func lastRead(_ taken: Int64) -> Int64? {
        let count: Int64
        if let hasFIN = source.hasPeerFIN {
            count = hasFIN ? taken - 1 : taken
        } else if taken == 0 {
            count = 0
        } else if sourceHasError {
            // A reset, after a FIN or without one.
            return nil
        } else if sourceHasOwnFIN {
            // Both FINs: it was closed in good order. (A read that takes an error brings no bytes with it.)
            count = taken - 1
        } else {
            // That read took the reset out of the socket.
            guard taken == 1 else { return nil }
            count = 0
        }
        return 0...Int64(LIMPET_SCRATCH_BYTES) ~= count ? count : nil
    }

    private func peeked(sent: Int64, length: Int64, taken: Int64) -> Verdict {
        guard 0...length ~= sent else { return .unknown }
        let isStillThere = fins.contains(taken) && Int64(source.unread) >= sent
        let isTaken = fins.contains(taken - sent)
        if isTaken && isStillThere && sent > 0 {
            // A closed source: one byte was sent, and what was taken is either that or the FIN.
            return !sourceHasError && sourceHasOwnFIN ? .sentButNotTaken(Int(sent)) : .unknown
        }
        if isTaken { return .whole }
        return isStillThere ? .sentButNotTaken(Int(sent)) : .unknown
    }
}
