import Glibc

/// The bytes of one direction of one connection: every stretch says whose it is and where in the stream it belongs, so
/// that a byte lost, repeated or taken from another connection shows, and shows as what it is.
///
/// A stream is a row of cells of 64, 512 or 4,096 bytes. A cell begins with 16 bytes that name connection, direction and
/// the cell's number; the rest is a window into a table of random bytes at a place that the three decide. Both are compared
/// with memcmp(3), so checking costs little even in a debug build.
struct StreamPattern {
    /// Bytes at the head of a cell.
    static let headBytes = 16
    private static let magic: UInt64 = 0x4c50
    private static let tableBytes = 1 << 20
    private static let largestCell = 1 << 12

    nonisolated(unsafe) private static let sharedTable: UnsafeRawPointer = {
        let table = UnsafeMutableRawPointer.allocate(byteCount: tableBytes + largestCell, alignment: 16)
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        for offset in stride(from: 0, to: tableBytes + largestCell, by: 8) {
            state = mixed(state)
            table.storeBytes(of: state, toByteOffset: offset, as: UInt64.self)
        }
        return UnsafeRawPointer(table)
    }()

    /// What the head of a cell says.
    struct Head: Equatable {
        var number: UInt32
        /// 0: from the client; 1: from the backend.
        var direction: UInt8
        /// log2 of the cell's bytes.
        var shift: UInt8
        var cell: UInt64
    }

    let number: UInt32
    let direction: UInt8
    let shift: UInt8
    private let table = StreamPattern.sharedTable

    init(number: UInt32, direction: Int, shift: UInt8) {
        self.number = number
        self.direction = UInt8(direction)
        self.shift = shift
    }

    /// Writes bytes `offset ..< offset + count` of the stream.
    func fill(_ buffer: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) {
        walk(count, at: offset) { done, bytes, length in
            memcpy(buffer + done, bytes, length)
            return true
        }
    }

    /// Position of the first byte that is not the stream's, where the bytes should begin at `offset`; nil: all are.
    func firstDifference(_ bytes: UnsafeRawPointer, _ count: Int, at offset: UInt64) -> Int? {
        var found: Int?
        walk(count, at: offset) { done, expected, length in
            if memcmp(bytes + done, expected, length) == 0 { return true }
            var position = 0
            while bytes.load(fromByteOffset: done + position, as: UInt8.self)
                == expected.load(fromByteOffset: position, as: UInt8.self)
            {
                position += 1
            }
            found = done + position
            return false
        }
        return found
    }

    /// The head that stands at these 16 bytes; nil: none does.
    static func head(_ bytes: UnsafeRawPointer) -> Head? {
        let first = bytes.loadUnaligned(as: UInt64.self)
        let cell = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        guard first & 0xffff == magic else { return nil }
        let (shift, direction) = (UInt8(first >> 16 & 0xff), UInt8(first >> 24 & 0xff))
        guard [6, 9, 12].contains(shift), direction <= 1, cell < 1 << 40 else { return nil }
        return Head(number: UInt32(first >> 32), direction: direction, shift: shift, cell: cell)
    }

    /// Calls `body` with each stretch that lies in one cell: bytes done before it, the bytes that belong there, how many.
    private func walk(
        _ count: Int, at offset: UInt64, _ body: (Int, UnsafeRawPointer, Int) -> Bool
    ) {
        let cellBytes = 1 << Int(shift)
        var head: (UInt64, UInt64) = (
            StreamPattern.magic | UInt64(shift) << 16 | UInt64(direction) << 24 | UInt64(number) << 32, 0
        )
        var done = 0
        var position = Int(offset)
        let end = position + count
        while position < end {
            let cell = UInt64(position >> Int(shift))
            let inside = position & (cellBytes - 1)
            var length: Int
            var goOn: Bool
            if inside < StreamPattern.headBytes {
                length = min(StreamPattern.headBytes - inside, end - position)
                head.1 = cell
                goOn = withUnsafeBytes(of: &head) { body(done, $0.baseAddress! + inside, length) }
            } else {
                length = min(cellBytes - inside, end - position)
                let place = StreamPattern.mixed(head.0 ^ cell << 20) & UInt64(StreamPattern.tableBytes - 1)
                goOn = body(done, table + Int(place) + inside, length)
            }
            if !goOn { return }
            done += length
            position += length
        }
    }

    /// A 64-bit finaliser (splitmix64's constants).
    static func mixed(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
