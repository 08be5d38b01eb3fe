internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat

/// What a step of an answer that is made in pieces has brought.
enum AnswerStep {
    /// Bytes to send; more may follow.
    case bytes(ByteBuffer)
    /// Nothing to send yet; more may follow.
    case nothingYet
    case end
}

/// An answer on its way to one client, a slice at a time, so that no step takes long and nothing is made that the client does
/// not take. Lives on the control event loop.
protocol AnswerStream: AnyObject {
    /// Whether much is kept in memory on the way, so that it may not take long.
    var isCostly: Bool { get }
    func step() throws -> AnswerStep
}

/// A JSON object of which one field is a long array.
final class RowsStream<Row: Encodable>: AnswerStream {
    let isCostly = true
    private var rows: ArraySlice<Row>
    private var before: ByteBuffer
    private let after: ByteBuffer
    private let slice: Int
    private let encoder: JSONEncoder
    private let allocator: ByteBufferAllocator
    private var isFirst = true
    private var isOver = false

    /// - Parameters:
    ///   - object: the object with this array empty, encoded.
    ///   - field: name of the array.
    /// - Returns: nil: the object has no such array.
    init?(
        _ object: ByteBuffer, field: String, rows: [Row], slice: Int, encoder: JSONEncoder,
        allocator: ByteBufferAllocator
    ) {
        // No text in it can look like this: quotes in texts are escaped.
        let mark = Array("\"\(field)\":[".utf8)
        let bytes = object.readableBytesView
        guard
            let start = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }),
            let head = object.getSlice(at: object.readerIndex, length: start - bytes.startIndex + mark.count)
        else { return nil }
        before = head
        var rest = object
        rest.moveReaderIndex(forwardBy: head.readableBytes)
        after = rest
        self.rows = rows[...]
        self.slice = slice
        self.encoder = encoder
        self.allocator = allocator
    }

    func step() throws -> AnswerStep {
        guard !isOver else { return .end }
        var buffer = allocator.buffer(capacity: 512)
        buffer.writeBuffer(&before)
        for row in rows.prefix(slice) {
            if !isFirst { buffer.writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            try buffer.writeJSONEncodable(row, encoder: encoder)
        }
        rows = rows.dropFirst(slice)
        if rows.isEmpty {
            isOver = true
            buffer.writeImmutableBuffer(after)
        }
        return .bytes(buffer)
    }
}
