import Foundation

/// A long stream of bytes that its seed determines: both ends can make it, at any position, at the speed of memcpy.
///
/// Each page of 4,096 bytes is a window into a random table, at a place that the page's number decides. A byte lost,
/// repeated, changed or out of place shows.
struct Pattern: Sendable {
    private static let page = 4096
    private static let table: [UInt8] = {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1 << 20)
        while bytes.count < 1 << 20 {
            state = mixed(state)
            withUnsafeBytes(of: state) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }()

    let seed: UInt64

    /// Bytes `position ..< position + count` of the stream.
    func bytes(_ count: Int, at position: Int = 0) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            fill(UnsafeMutableRawBufferPointer(buffer), at: position)
            filled = count
        }
    }

    func fill(_ buffer: UnsafeMutableRawBufferPointer, at position: Int) {
        pieces(buffer.count, at: position) { offset, window in
            UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).copyMemory(from: window)
            return true
        }
    }

    /// Where in the stream the bytes, which begin at `position`, first differ from it; nil: nowhere.
    func firstDifference(_ bytes: UnsafeRawBufferPointer, at position: Int) -> Int? {
        var found: Int?
        pieces(bytes.count, at: position) { offset, window in
            let piece = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + window.count])
            if memcmp(piece.baseAddress!, window.baseAddress!, window.count) == 0 { return true }
            found = position + offset + zip(piece, window).enumerated().first { $1.0 != $1.1 }!.offset
            return false
        }
        return found
    }

    private func pieces(_ count: Int, at position: Int, _ body: (Int, UnsafeRawBufferPointer) -> Bool) {
        Pattern.table.withUnsafeBytes { table in
            var done = 0
            while done < count {
                let (number, inside) = (position + done).quotientAndRemainder(dividingBy: Pattern.page)
                let start = Int(Pattern.mixed(seed &+ UInt64(number)) % UInt64(table.count - Pattern.page)) + inside
                let length = min(Pattern.page - inside, count - done)
                if !body(done, UnsafeRawBufferPointer(rebasing: table[start..<start + length])) { return }
                done += length
            }
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

extension TCPSocket {
    /// Sends `count` bytes of the pattern from `position` on, in pieces of at most `piece`.
    func send(_ pattern: Pattern, count: Int, from position: Int = 0, piece: Int = 1 << 18) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
        defer { buffer.deallocate() }
        var done = 0
        while done < count {
            let slice = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(piece, count - done)])
            pattern.fill(slice, at: position + done)
            try send(UnsafeRawBufferPointer(slice))
            done += slice.count
        }
    }

    /// Receives up to the end of the stream, or up to `limit` bytes, and compares each byte with the pattern.
    /// - Returns: how many bytes came.
    /// - Throws: ``Mismatch`` at the first byte that differs.
    func receive(_ pattern: Pattern, upTo limit: Int = .max, from position: Int = 0) throws -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { buffer.deallocate() }
        var done = 0
        while done < limit {
            let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, limit - done)])
            let got = try receive(into: room)
            if got == 0 { break }
            let bytes = UnsafeRawBufferPointer(rebasing: room[..<got])
            if let place = pattern.firstDifference(bytes, at: position + done) { throw Mismatch(position: place) }
            done += got
        }
        return done
    }
}

/// The bytes that arrived are not the bytes that were sent.
struct Mismatch: Error, CustomStringConvertible {
    var position: Int
    var description: String { "byte \(position) of the stream is not what was sent" }
}
