/// Local ports of connections from one address to one backend, in `GET /v1/status` and `GET /v1/top`.
public struct SourcePortsRow: Codable, Sendable, Equatable {
    public var service: String
    public var backend: String
    /// The local address; `auto` where the kernel chooses it; `client` where it is the client's: then what the client with
    /// most of them has.
    public var source: String
    /// Taken, by connections that are open, that close, or that are over and not forgotten yet (TIME_WAIT).
    public var used: Int
    /// Ports that there are; null where the kernel does not say.
    @Nullable public var limit: Int?

    public init(service: String, backend: String, source: String, used: Int, limit: Int?) {
        self.service = service
        self.backend = backend
        self.source = source
        self.used = used
        self.limit = limit
    }

    /// Share of the ports that is taken, 0 to 1 or somewhat more; 0 where the limit is not known.
    public var share: Double {
        guard let limit else { return 0 }
        return limit == 0 ? 1 : Double(used) / Double(limit)
    }

    /// `chat/ws1 from 192.0.2.1: 25400 of 28232 (90 %)`.
    public var text: String {
        let of = limit.map { " of \($0) (\(Int(share * 100)) %)" } ?? ""
        return "\(service)/\(backend) from \(source): \(used)\(of)"
    }
}
