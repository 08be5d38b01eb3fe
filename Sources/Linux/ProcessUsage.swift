import CLinux
import Glibc

/// What this process uses, as the kernel counts it. Any thread may ask.
public enum ProcessUsage {
    /// Processor time of all threads so far, in nanoseconds.
    public static var processorTime: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// Memory in bytes, from /proc/self/statm (proc(5)); nil where there is no /proc.
    public static var memory: (virtual: UInt64, resident: UInt64)? {
        let fields = (TextFile.read("/proc/self/statm", limit: 256) ?? "").split(separator: " ")
        guard fields.count > 1, let virtual = UInt64(fields[0]), let resident = UInt64(fields[1]) else { return nil }
        let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        return (virtual * page, resident * page)
    }

    /// Bytes of address space that this process may have (getrlimit(2), RLIMIT_AS); nil where there is no limit.
    public static var memoryLimit: UInt64? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
            return nil
        }
        return UInt64(limit.rlim_cur)
    }

    /// Descriptors that are open in this process's table.
    ///
    /// Since Linux 6.2 the size of /proc/self/fd says it. Before, each number is asked for, which takes some milliseconds
    /// for a hundred thousand; listing the directory would take far longer, also when the process ends.
    /// - Parameter end: no descriptor is expected from here on.
    public static func openDescriptors(below end: Int32) -> Int {
        var status = stat()
        if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        return Descriptor.open(in: 0..<end, where: { _ in true }).count
    }

    /// The ports that the kernel gives to outgoing connections (ip(7), ip_local_port_range); nil where it does not say.
    public static var localPorts: ClosedRange<Int>? {
        let text = TextFile.read("/proc/sys/net/ipv4/ip_local_port_range", limit: 64) ?? ""
        let numbers = text.split { $0 == "\t" || $0 == " " || $0 == "\n" }.compactMap { Int($0) }
        guard numbers.count == 2, numbers[0] <= numbers[1] else { return nil }
        return numbers[0]...numbers[1]
    }

    /// How many these are, without those that are kept for others (ip_local_reserved_ports); nil where the kernel does not
    /// say.
    public static var localPortCount: Int? {
        guard let range = localPorts else { return nil }
        let reserved = TextFile.read("/proc/sys/net/ipv4/ip_local_reserved_ports", limit: 65536) ?? ""
        return range.count - portsWithin(range, of: reserved)
    }

    /// How many ports of a range a list names, as ip_local_reserved_ports is written: `8080,9000-9010`. No port is in it
    /// twice.
    static func portsWithin(_ range: ClosedRange<Int>, of list: String) -> Int {
        list.split { $0 == "," || $0 == "\n" }.reduce(0) { sum, part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return sum }
            return sum + (first...last).clamped(to: range).count - ((first...last).overlaps(range) ? 0 : 1)
        }
    }
}
