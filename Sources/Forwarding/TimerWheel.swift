import CLayout

/// One timer per connection, in a hashed wheel (Varghese, Lauck 1987) whose links lie in the records.
///
/// A tick is 2^23 ns (8.4 ms), the horizon 4,096 ticks (34 s). A timer past the horizon fires at it: whoever is woken
/// looks at the record's real deadlines and arms again. So activity costs a store, not a move in the wheel.
struct TimerWheel: ~Copyable {
    private static let shift: UInt64 = 23
    private static let size: UInt64 = 4096

    private let heads: UnsafeMutablePointer<UInt32>
    private let occupied: UnsafeMutablePointer<UInt64>
    private let records: UnsafeMutablePointer<limpet_record>
    /// The next tick to look at.
    private var cursor: UInt64
    private var armed = 0

    init(records: UnsafeMutablePointer<limpet_record>, now: UInt64) {
        self.records = records
        cursor = now >> TimerWheel.shift
        heads = .allocate(capacity: Int(TimerWheel.size))
        heads.initialize(repeating: 0, count: Int(TimerWheel.size))
        occupied = .allocate(capacity: Int(TimerWheel.size / 64))
        occupied.initialize(repeating: 0, count: Int(TimerWheel.size / 64))
    }

    deinit {
        heads.deallocate()
        occupied.deallocate()
    }

    /// Arms the record's timer, moving it where it was armed already.
    /// - Parameter deadline: nanoseconds on ``Clock/now()``'s scale.
    mutating func arm(_ slot: Int, at deadline: UInt64, now: UInt64) {
        cancel(slot)
        let current = now >> TimerWheel.shift
        // Nobody turns the wheel while it is empty: a stale cursor would cut the horizon short, down to the past.
        if armed == 0 { cursor = max(cursor, current) }
        let latest = cursor + TimerWheel.size - 1
        let tick = min(max((deadline >> TimerWheel.shift) + 1, current + 1), latest)
        let bucket = Int(tick % TimerWheel.size)
        let head = heads[bucket]
        records[slot].timer_next = head
        records[slot].timer_previous = 0
        records[slot].timer_slot = UInt32(bucket) + 1
        if head != 0 { records[Int(head) - 1].timer_previous = UInt32(slot) + 1 }
        heads[bucket] = UInt32(slot) + 1
        occupied[bucket / 64] |= 1 << UInt64(bucket % 64)
        armed += 1
    }

    mutating func cancel(_ slot: Int) {
        let bucket = Int(records[slot].timer_slot) - 1
        if bucket < 0 { return }
        let next = records[slot].timer_next
        let previous = records[slot].timer_previous
        if previous != 0 { records[Int(previous) - 1].timer_next = next } else { heads[bucket] = next }
        if next != 0 { records[Int(next) - 1].timer_previous = previous }
        if heads[bucket] == 0 { occupied[bucket / 64] &= ~(1 << UInt64(bucket % 64)) }
        records[slot].timer_slot = 0
        armed -= 1
    }

    /// Takes one record whose timer is due; nil: none is. Whoever is taken may be armed again at once.
    mutating func takeDue(now: UInt64) -> Int? {
        let current = now >> TimerWheel.shift
        if armed == 0 {
            cursor = max(cursor, current)
            return nil
        }
        while cursor <= current {
            let bucket = Int(cursor % TimerWheel.size)
            if heads[bucket] != 0 {
                let slot = Int(heads[bucket]) - 1
                cancel(slot)
                return slot
            }
            if cursor == current { return nil }
            cursor += 1
        }
        return nil
    }

    /// Milliseconds until a timer may be due; −1: none is armed.
    func wait(now: UInt64) -> Int32 {
        if armed == 0 { return -1 }
        let start = Int(cursor % TimerWheel.size)
        var word = start / 64
        var bits = occupied[word] & (.max << UInt64(start % 64))
        for _ in 0...Int(TimerWheel.size / 64) {
            if bits != 0 {
                let bucket = UInt64(word * 64 + bits.trailingZeroBitCount)
                let ahead = (bucket &- UInt64(start)) % TimerWheel.size
                let due = (cursor + ahead) << TimerWheel.shift
                return due <= now ? 0 : Int32((due - now) / 1_000_000) + 1
            }
            word = (word + 1) % Int(TimerWheel.size / 64)
            bits = occupied[word]
        }
        return 1000
    }
}
