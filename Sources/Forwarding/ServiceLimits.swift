/// What a service may have at most. Every figure may be 0: no such limit.
public struct ServiceLimits: Sendable, Hashable {
    /// Connections, those being dialled included.
    public var connections: UInt64
    /// Connections of one client.
    public var perClient: UInt32
    /// Connections that one client may open in a second.
    public var ratePerClient: UInt32
    /// Connects under way to one backend, over all workers; each has its share of them, one at least.
    public var connecting: Int
    /// Load of a backend, in hundredths of its fair share.
    public var loadFactor: Int

    public init(
        connections: UInt64 = 0, perClient: UInt32 = 0, ratePerClient: UInt32 = 0, connecting: Int = 0,
        loadFactor: Int = 0
    ) {
        self.connections = connections
        self.perClient = perClient
        self.ratePerClient = ratePerClient
        self.connecting = connecting
        self.loadFactor = loadFactor
    }

    var client: ClientTally.Limits { ClientTally.Limits(connections: perClient, rate: ratePerClient) }

    /// Connects to one backend that one worker may have under way.
    func connecting(ofWorker index: Int, among count: Int) -> UInt64 {
        if connecting == 0 { return .max }
        return UInt64(max(1, connecting / count + (index < connecting % count ? 1 : 0)))
    }
}
