internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat

/// Rows on their way to one client, a slice at a time. Lives on the control event loop.
///
/// Unsorted rows are encoded as the walk meets them and never kept. Sorted ones are collected first, and only as many as
/// are wanted; where those are many, in sorted runs that are merged on the way out, so that no step takes long.
final class ConnectionStream: AnswerStream {
    private let cursor: any ConnectionCursor
    /// nil: the walk has ended.
    private var walk: (any ConnectionCursor)?
    private let filter: ConnectionFilter
    private let slice: Int
    private let encoder: JSONEncoder
    private let allocator: ByteBufferAllocator
    private var left: Int
    /// Rows kept for sorting.
    private var kept: [ConnectionRow] = []
    /// Rows to be sent, sorted each by itself; none is empty.
    private var runs: [ArraySlice<ConnectionRow>] = []
    /// Held as long as all rows may have to be kept.
    private let ticket: SortingTicket?
    /// Rows that are sorted at once at most, where there are many.
    private static let runLength = 8192
    /// Sorted rows that any client may ask for at any time; for more there is one ticket.
    static let freelySorted = 10_000

    init(
        walk: any ConnectionCursor, filter: ConnectionFilter, slice: Int, encoder: JSONEncoder,
        allocator: ByteBufferAllocator, ticket: SortingTicket?
    ) {
        cursor = walk
        self.walk = walk
        self.filter = filter
        self.slice = slice
        self.encoder = encoder
        self.allocator = allocator
        self.ticket = ticket
        left = filter.limit
    }

    deinit {
        ticket?.isTaken = false
    }

    /// Whether all rows are kept in memory on the way, which only one client at a time may ask for.
    var isCostly: Bool { ticket != nil }

    /// Looks at one slice of the table, or encodes one slice of what was sorted.
    func step() throws -> AnswerStep {
        guard left > 0 else { return .end }
        guard let order = filter.order else {
            guard let rows = walk?.next(limit: slice) else { return .end }
            return try encode(rows.lazy.filter(filter.matches).prefix(left))
        }
        if let rows = walk?.next(limit: slice) {
            kept += rows.lazy.filter(filter.matches)
            if ticket != nil {
                if kept.count >= ConnectionStream.runLength { endRun(by: order) }
            } else if kept.count / 2 > max(left, 1024) {
                // Sorting only now and then keeps this linear in practice, and the rows within twice what is wanted.
                keepFirst(by: order)
            }
            return .nothingYet
        }
        if walk != nil {
            walk = nil
            endRun(by: order)
        }
        guard !runs.isEmpty else { return .end }
        var rows: [ConnectionRow] = []
        while rows.count < min(slice, left), let row = takeFirst(by: order) { rows.append(row) }
        return try encode(rows)
    }

    private func endRun(by order: ConnectionFilter.Order) {
        guard !kept.isEmpty else { return }
        kept.sort(by: order.precedes)
        runs.append(kept[...])
        kept = []
    }

    private func takeFirst(by order: ConnectionFilter.Order) -> ConnectionRow? {
        guard let run = runs.indices.min(by: { order.precedes(runs[$0].first!, runs[$1].first!) }) else { return nil }
        let row = runs[run].popFirst()
        if runs[run].isEmpty { runs.remove(at: run) }
        return row
    }

    private func keepFirst(by order: ConnectionFilter.Order) {
        kept.sort(by: order.precedes)
        if kept.count > filter.limit { kept.removeLast(kept.count - filter.limit) }
    }

    private func encode(_ rows: some Sequence<ConnectionRow>) throws -> AnswerStep {
        var buffer = allocator.buffer(capacity: 0)
        for var row in rows {
            // Only now, so that nothing is asked about rows that are not sent.
            if filter.isWide { row.kernel = cursor.kernel(row) }
            try buffer.writeJSONEncodable(row, encoder: encoder)
            buffer.writeInteger(UInt8(ascii: "\n"))
            left -= 1
        }
        return buffer.readableBytes > 0 ? .bytes(buffer) : .nothingYet
    }
}

/// The right to have all connections sorted, which takes hundreds of bytes for each: one client at a time has it. Lives on
/// the control event loop.
final class SortingTicket {
    fileprivate(set) var isTaken = false

    /// - Throws: ``ControlError/Code/busy`` where another client has it.
    func take() throws(ControlError) {
        guard !isTaken else {
            throw ControlError(
                .busy,
                "another client is having all connections sorted: give a limit of at most "
                    + "\(ConnectionStream.freelySorted), do not sort, or try again")
        }
        isTaken = true
    }
}
