/// How the descriptors that the process may have are shared out. Pure arithmetic.
public struct DescriptorBudget: Sendable, Equatable {
    /// Kept for everything that is no connection and no pipe: listeners, epoll sets, control clients, the log.
    public static let baseReserve = 160
    /// Two descriptors each: client and backend.
    private static let perConnection = 2

    /// More are not used, whatever the limit is: some container runtimes set a billion, and there are tables, the kernel's
    /// among them, that are made for as many at the start.
    public static let most = 1 << 22

    /// RLIMIT_NOFILE after raising it as far as it goes; ``most`` at most.
    public let limit: Int
    public let reserve: Int
    /// Pipes that may exist over all workers. A pipe exists only while bytes wait in it, and without one a worker
    /// forwards by peeking, so few are enough.
    public let pipeCap: Int
    /// Connections that fit: (limit − reserve − 2 × pipe cap) / 2.
    public let connections: Int

    /// - Parameters:
    ///   - limit: descriptors that the process may have.
    ///   - workers: forwarding threads.
    ///   - listeners: listening addresses; each worker has a socket for each.
    ///   - checks: checks of backends that may be under way at once.
    ///   - web: what those may take who read the metrics over HTTP, with the sockets at which they do.
    public init(limit: Int, workers: Int, listeners: Int, checks: Int = 0, web: Int = 0) {
        let limit = min(limit, DescriptorBudget.most)
        self.limit = limit
        reserve = DescriptorBudget.baseReserve + workers * (listeners + 4) + checks + web
        pipeCap = max(workers * 4, min(2048, limit / 32))
        connections = max(0, (limit - reserve - 2 * pipeCap) / DescriptorBudget.perConnection)
    }

    /// The connections that the daemon admits.
    /// - Parameter wanted: what was configured; nil: all that fit.
    /// - Throws: where fewer than wanted fit, with the limit that it would take.
    public func admitted(wanted: Int?) throws(StartError) -> Int {
        guard let wanted else {
            guard connections > 0 else {
                throw StartError(
                    "the descriptor limit of \(limit) leaves no room for a connection; raise it (ulimit -n, LimitNOFILE=) to"
                        + " \(needed(for: 1000)) for 1000 connections")
            }
            return connections
        }
        guard wanted <= connections else {
            throw StartError(
                "max-connections \(wanted) needs \(needed(for: wanted)) descriptors, and the limit is \(limit); raise it"
                    + " (ulimit -n, LimitNOFILE=), or lower --max-connections to \(connections)")
        }
        return wanted
    }

    /// The RLIMIT_NOFILE that so many connections take. The pipe cap is a 32nd of it, up to 2,048.
    func needed(for wanted: Int) -> Int {
        let base = 2 * wanted + reserve
        let scaled = (base * 16 + 14) / 15
        return scaled / 32 > 2048 ? base + 4096 : scaled + 32
    }

    /// As it is printed at the start and by `--check`.
    public func summary(admitted: Int) -> String {
        "\(admitted) connections at most (descriptor limit \(limit), \(reserve) reserved, \(pipeCap) pipes)"
    }
}
