/// SipHash-2-4 with 64 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), fed piece by
/// piece: the pieces' boundaries do not matter. Allocates nothing. A plain value: a copy carries on from where the
/// original stood, and any thread may hold one.
public struct SipHash24: Sendable {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    /// The bytes that do not fill a block yet, the first one lowest; the unused ones are zero.
    private var pending: UInt64 = 0
    /// Bytes so far. Modulo 8 it says how many are pending, and its low byte goes into the last block.
    private var count = 0

    public init(key: HashKey) {
        v0 = key.k0 ^ 0x736f_6d65_7073_6575
        v1 = key.k1 ^ 0x646f_7261_6e64_6f6d
        v2 = key.k0 ^ 0x6c79_6765_6e65_7261
        v3 = key.k1 ^ 0x7465_6462_7974_6573
    }

    public mutating func append(_ byte: UInt8) {
        append(littleEndian: UInt64(byte), byteCount: 1)
    }

    @inlinable
    public mutating func append(contentsOf bytes: some Sequence<UInt8>) {
        for byte in bytes { append(byte) }
    }

    /// Takes up to eight bytes at once.
    /// - Parameters:
    ///   - word: the bytes, the first one lowest; everything above them must be zero.
    ///   - byteCount: 1 to 8.
    public mutating func append(littleEndian word: UInt64, byteCount: Int) {
        let held = count & 7
        pending |= word << UInt64(8 * held)
        count &+= byteCount
        if held + byteCount >= 8 {
            compress(pending)
            // Shifting by 64, where nothing was held, gives 0: the whole word has gone into the block.
            pending = word >> UInt64(64 - 8 * held)
        }
    }

    /// The hash of everything appended so far. The value itself can be fed further.
    public func finalize() -> UInt64 {
        var last = self
        last.compress(pending | UInt64(truncatingIfNeeded: count) << 56)
        last.v2 ^= 0xff
        last.round()
        last.round()
        last.round()
        last.round()
        return last.v0 ^ last.v1 ^ last.v2 ^ last.v3
    }

    private mutating func compress(_ block: UInt64) {
        v3 ^= block
        round()
        round()
        v0 ^= block
    }

    @inline(__always)
    private mutating func round() {
        v0 &+= v1
        v1 = rotated(v1, 13) ^ v0
        v0 = rotated(v0, 32)
        v2 &+= v3
        v3 = rotated(v3, 16) ^ v2
        v0 &+= v3
        v3 = rotated(v3, 21) ^ v0
        v2 &+= v1
        v1 = rotated(v1, 17) ^ v2
        v2 = rotated(v2, 32)
    }

    @inline(__always)
    private func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 {
        value &<< bits | value &>> (64 &- bits)
    }
}

/// SipHash-2-4 of `bytes` under `key`, in one go.
@inlinable
public func sipHash24(key: HashKey, _ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash = SipHash24(key: key)
    hash.append(contentsOf: bytes)
    return hash.finalize()
}
