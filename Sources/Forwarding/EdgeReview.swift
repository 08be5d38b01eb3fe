import CLayout
import Linux

/// The one thing that an epoll set forgets when an engine dies: an edge that it has told the dead one of. So the next one
/// looks once at every socket that is watched by edges, some in each turn of its loop, and has epoll tell again of those
/// that have something to say.
struct EdgeReview: ~Copyable {
    /// Connections to look at in one turn: clients are served in between.
    fileprivate static let batch = 256

    /// The next slot; past the last one: nothing is left to look at.
    fileprivate var next = Int.max
    fileprivate var sockets = Readiness(capacity: 2 * EdgeReview.batch)

    mutating func begin() {
        next = 0
    }
}

extension Worker {
    var isLookingForEdges: Bool { edges.next < free.highWater }

    mutating func lookForEdges() {
        let end = min(edges.next + EdgeReview.batch, free.highWater)
        edges.sockets.clear()
        for slot in edges.next..<end where !isFree(records + slot) {
            for side in 0...1 where isWatchedByEdges(slot, side) {
                let isConnecting = records[slot].state == UInt8(LIMPET_CONNECTING)
                edges.sockets.add(limpet_descriptor(records + slot, Int32(side)).pointee, orHasRoom: isConnecting)
            }
        }
        // In the same order once more.
        var position = 0
        let isKnown = edges.sockets.look()
        for slot in edges.next..<end where !isFree(records + slot) {
            for side in 0...1 where isWatchedByEdges(slot, side) {
                if !isKnown || edges.sockets.isReady(position) { lookAgain(slot, side) }
                position += 1
            }
        }
        edges.next = end < free.highWater ? end : .max
    }

    private func isWatchedByEdges(_ slot: Int, _ side: Int) -> Bool {
        limpet_events(records + slot, Int32(side)).pointee & Poller.Interest.edge.rawValue != 0
    }

    /// Changing what a socket is watched for, into what it is, makes the kernel look at it anew.
    private mutating func lookAgain(_ slot: Int, _ side: Int) {
        let record = records + slot
        let failure = poller.modify(
            limpet_descriptor(record, Int32(side)).pointee,
            token: Token.record(slot, side: side, generation: record.pointee.generation),
            interest: Poller.Interest(rawValue: limpet_events(record, Int32(side)).pointee))
        if let failure { reportLocal(failure) }
    }
}
