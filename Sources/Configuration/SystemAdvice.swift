import Addressing

/// Says which settings of the kernel will get in the way of a configuration. Pure: the values are read elsewhere.
public struct SystemAdvice: Sendable {
    public var configuration: DaemonConfiguration
    /// Connections that the daemon will hold at most, where that is known; without it, what depends on it is not
    /// judged.
    public var connectionLimit: Int?
    /// True where the daemon keeps CAP_SYS_RESOURCE or CAP_SYS_ADMIN: bounds per user are not for it.
    public var isPrivileged: Bool

    public init(configuration: DaemonConfiguration, connectionLimit: Int?, isPrivileged: Bool) {
        self.configuration = configuration
        self.connectionLimit = connectionLimit
        self.isPrivileged = isPrivileged
    }

    /// One line for each setting that will bite, with its cure.
    public func warnings(_ limits: SystemLimits) -> [String] {
        [backlog(limits), localPorts(limits), orphans(limits), pipes(limits), conntrack(limits)].compactMap { $0 }
    }

    private func backlog(_ limits: SystemLimits) -> String? {
        guard let value = limits.somaxconn, value < 4096 else { return nil }
        return "net.core.somaxconn is \(value): when more clients than that arrive at once, some wait for a "
            + "retransmission (sysctl -w net.core.somaxconn=4096)"
    }

    /// A local port serves one connection to each remote address and port, so each backend address has the whole
    /// range for itself, once for each address that its connections come from.
    private func localPorts(_ limits: SystemLimits) -> String? {
        guard let range = limits.localPorts, let connectionLimit else { return nil }
        var sources: [BackendAddress: Int] = [:]
        for service in configuration.services {
            // Then it is the clients that each have the whole range.
            if service.source.isTransparent { return nil }
            for backend in service.backends {
                // Such a connection takes no port.
                if case .unix = backend.address { return nil }
                let count = max(1, service.source.addresses(towards: backend.address).count)
                sources[backend.address] = max(count, sources[backend.address] ?? 0)
            }
        }
        let possible = sources.values.reduce(0) { $0 + $1 * range.count }
        guard possible < connectionLimit else { return nil }
        let wider = range.count < 60000 ? "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", " : ""
        let addresses = sources.count
        let most = sources.values.max() ?? 1
        let places =
            most > 1
            ? "a backend from each address of \"source\", \(possible) in all"
            : addresses == 1
                ? "the one backend address" : "each of \(addresses) backend addresses, \(possible) in all"
        return "net.ipv4.ip_local_port_range is \(range.lowerBound) to \(range.upperBound): \(range.count) connections "
            + "to \(places), but max-connections is "
            + "\(connectionLimit) (\(wider)\(most > 1 ? "more" : "several") addresses in \"source\", more backend "
            + "addresses, or a lower max-connections)"
    }

    private func orphans(_ limits: SystemLimits) -> String? {
        guard let value = limits.tcpMaxOrphans, let connectionLimit, value < connectionLimit else { return nil }
        return "net.ipv4.tcp_max_orphans is \(value): when more connections than that are closed together, the kernel "
            + "resets some and their last bytes are lost (sysctl -w net.ipv4.tcp_max_orphans=\(connectionLimit))"
    }

    private func pipes(_ limits: SystemLimits) -> String? {
        // A pipe of 64 KiB is 16 pages; more than 16,384 stalled directions at once are another problem.
        let wanted = min(connectionLimit.map { $0 * 16 } ?? 262_144, 262_144)
        guard !isPrivileged, let value = limits.pipeUserPagesSoft, value != 0, value < wanted else { return nil }
        return "fs.pipe-user-pages-soft is \(value): past \(value / 16) pipes of 64 KiB new ones hold 8 KiB, and bulk "
            + "transfer slows down (sysctl -w fs.pipe-user-pages-soft=\(wanted))"
    }

    /// Tracking counts a connection through the daemon twice: from the client, and to the backend.
    private func conntrack(_ limits: SystemLimits) -> String? {
        guard let value = limits.conntrackMax, let connectionLimit, value < 2 * connectionLimit else { return nil }
        return "net.netfilter.nf_conntrack_max is \(value): room for \(value / 2) connections, but max-connections is "
            + "\(connectionLimit); past it packets are dropped (sysctl -w net.netfilter.nf_conntrack_max="
            + "\(2 * connectionLimit), or do not track these ports)"
    }
}
