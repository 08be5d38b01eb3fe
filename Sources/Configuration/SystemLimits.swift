/// Settings of the kernel that a daemon with many connections meets. nil: could not be read, as inside a unit that hides
/// /proc/sys, or, for `conntrackMax`, connection tracking is not loaded.
public struct SystemLimits: Sendable, Equatable {
    /// net.core.somaxconn: upper bound of a listener's backlog.
    public var somaxconn: Int?
    /// net.ipv4.ip_local_port_range, for IPv6 as well.
    public var localPorts: ClosedRange<Int>?
    /// net.ipv4.tcp_max_orphans: sockets that no process holds and that still have something to say.
    public var tcpMaxOrphans: Int?
    /// fs.pipe-user-pages-soft: pages in the pipes of one user before new ones are small; 0: no bound.
    public var pipeUserPagesSoft: Int?
    /// net.netfilter.nf_conntrack_max.
    public var conntrackMax: Int?

    public init() {}

    /// Reads /proc/sys.
    public static func read() -> SystemLimits {
        var limits = SystemLimits()
        limits.somaxconn = numbers("net/core/somaxconn").first
        let ports = numbers("net/ipv4/ip_local_port_range")
        if ports.count == 2, ports[0] <= ports[1] { limits.localPorts = ports[0]...ports[1] }
        limits.tcpMaxOrphans = numbers("net/ipv4/tcp_max_orphans").first
        limits.pipeUserPagesSoft = numbers("fs/pipe-user-pages-soft").first
        limits.conntrackMax = numbers("net/netfilter/nf_conntrack_max").first
        return limits
    }

    private static func numbers(_ name: String) -> [Int] {
        guard let file = try? FileContents(ofFile: "/proc/sys/\(name)", limit: 4096) else { return [] }
        return String(decoding: file.bytes, as: UTF8.self).split { $0 == " " || $0 == "\t" || $0 == "\n" }
            .compactMap { wholeNumber($0) }
    }
}
