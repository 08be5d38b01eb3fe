import CLinux
import Glibc

/// The kernel's clocks as plain nanoseconds.
public enum Clock {
    /// CLOCK_BOOTTIME: never steps, counts through suspend, and means the same in every process of this boot.
    @inline(__always)
    public static func now() -> UInt64 { read(CLOCK_BOOTTIME) }

    /// CLOCK_REALTIME: nanoseconds since 1970, for what people read.
    public static func wall() -> UInt64 { read(CLOCK_REALTIME) }

    /// CLOCK_MONOTONIC: as the first, but for the time in suspend. For others who go by it.
    public static func monotonic() -> UInt64 { read(CLOCK_MONOTONIC) }

    @inline(__always)
    private static func read(_ clock: Int32) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

extension Duration {
    /// The duration in nanoseconds, clamped to what 64 bits hold; 0 for a negative one.
    public var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        if seconds < 0 || attoseconds < 0 { return 0 }
        if seconds > 9_000_000_000 { return .max >> 1 }
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }
}
