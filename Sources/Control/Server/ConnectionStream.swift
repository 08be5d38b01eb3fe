internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat

/// Rows on their way to one client, a slice at a time. Lives on the control event loop.
///
/// Unsorted rows are encoded as the walk meets them and never kept. Sorted ones are collected first, and only as many as
/// are wanted.
final class ConnectionStream {
    /// What a step has brought.
    enum Step {
        /// Lines to send; more may follow.
        case lines(ByteBuffer)
        /// Nothing to send yet; more may follow.
        case nothingYet
        case end
    }

    private var walk: (any ConnectionCursor)?
    private let filter: ConnectionFilter
    private let slice: Int
    private let encoder: JSONEncoder
    private let allocator: ByteBufferAllocator
    private var left: Int
    /// Rows kept for sorting, later: still to be sent.
    private var kept: [ConnectionRow] = []
    private var sent = 0

    init(
        walk: any ConnectionCursor, filter: ConnectionFilter, slice: Int, encoder: JSONEncoder,
        allocator: ByteBufferAllocator
    ) {
        self.walk = walk
        self.filter = filter
        self.slice = slice
        self.encoder = encoder
        self.allocator = allocator
        left = filter.limit
    }

    /// Looks at one slice of the table, or encodes one slice of what was sorted.
    func step() throws -> Step {
        guard left > 0 else { return .end }
        guard let order = filter.order else {
            guard let rows = walk?.next(limit: slice) else { return .end }
            return try encode(rows.lazy.filter(filter.matches).prefix(left))
        }
        if let rows = walk?.next(limit: slice) {
            kept += rows.lazy.filter(filter.matches)
            // Sorting only now and then keeps this linear in practice, and the rows within twice what is wanted.
            if kept.count / 2 > max(left, 1024) { keepFirst(by: order) }
            return .nothingYet
        }
        if walk != nil {
            walk = nil
            keepFirst(by: order)
        }
        guard sent < kept.count else { return .end }
        let end = min(sent + slice, kept.count)
        defer { sent = end }
        return try encode(kept[sent..<end])
    }

    private func keepFirst(by order: ConnectionFilter.Order) {
        kept.sort(by: order.precedes)
        if kept.count > filter.limit { kept.removeLast(kept.count - filter.limit) }
    }

    private func encode(_ rows: some Sequence<ConnectionRow>) throws -> Step {
        var buffer = allocator.buffer(capacity: 0)
        for row in rows {
            try buffer.writeJSONEncodable(row, encoder: encoder)
            buffer.writeInteger(UInt8(ascii: "\n"))
            left -= 1
        }
        return buffer.readableBytes > 0 ? .lines(buffer) : .nothingYet
    }
}
