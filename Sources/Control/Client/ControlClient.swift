public import Backends
internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat
internal import NIOHTTP1
internal import NIOPosix

/// A client of the control socket for programs that wait: every method blocks until limpetd has answered.
///
/// One thread uses it; every request is a conversation of its own. All methods throw what limpetd answers, and
/// ``ControlError/Code/notRunning``, ``ControlError/Code/permission`` or ``ControlError/Code/failed`` where it cannot be
/// asked.
public final class ControlClient {
    private let path: String
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let limit: Duration?

    /// - Parameters:
    ///   - path: of the control socket.
    ///   - limit: how long a request may take, its answer included, before it fails; nil: for ever.
    public init(path: String, limit: Duration? = nil) {
        self.path = path
        self.limit = limit
    }

    deinit {
        // Nothing is under way, so this neither waits for anything nor fails.
        try? group.syncShutdownGracefully()
    }

    public func status() throws(ControlError) -> Reply<StatusReport> { try get("status") }

    public func listeners() throws(ControlError) -> Reply<ListenersReport> { try get("listeners") }

    public func top() throws(ControlError) -> Reply<TopReport> { try get("top") }

    public func logLevel() throws(ControlError) -> Reply<LogReport> { try get("log") }

    /// - Parameter level: a word of ``LogReport/Level``.
    public func setLogLevel(_ level: String) throws(ControlError) -> Reply<LogReport> {
        try post("log", LogBody(level: level))
    }

    public func version() throws(ControlError) -> Reply<EmptyBody> { try get("version") }

    /// - Parameter service: nil: of all services.
    public func backends(service: String? = nil) throws(ControlError) -> Reply<BackendsReport> {
        try get("backends", service.map { [("service", $0)] } ?? [])
    }

    /// One backend, by either form of its name.
    public func backend(_ name: String) throws(ControlError) -> Reply<BackendsReport> {
        try get(
            "backends/"
                + name.split(separator: "/", omittingEmptySubsequences: false).map(escaped).joined(separator: "/"))
    }

    public func locate(
        _ address: String, service: String?, without: [String]
    ) throws(ControlError) -> Reply<WhereReport> {
        try get(
            "where",
            [("address", address)] + (service.map { [("service", $0)] } ?? []) + without.map { ("without", $0) })
    }

    /// - Parameters:
    ///   - address, service: nil: all.
    ///   - limit: rows.
    public func affinity(
        _ address: String?, service: String?, limit: Int?
    ) throws(ControlError) -> Reply<AffinityReport> {
        let query = [("address", address), ("service", service), ("limit", limit.map { String($0) })]
        return try get("affinity", query.compactMap { name, value in value.map { (name, $0) } })
    }

    public func forgetAffinity(
        _ address: String?, service: String?, force: Bool
    ) throws(ControlError) -> Reply<AffinityClearReport> {
        try post("affinity", AffinityBody(address: address, service: service, force: force))
    }

    /// - Parameters:
    ///   - action: drain, disable or weight.
    ///   - weight: with the action weight: a number, or `file`.
    public func plan(
        _ action: String, _ backend: String, weight: String?
    ) throws(ControlError) -> Reply<PlanReport> {
        try get("plan", [("action", action), ("backend", backend)] + (weight.map { [("weight", $0)] } ?? []))
    }

    /// Also where limpetd is not ready.
    public func ready() throws(ControlError) -> Reply<ReadyReport> {
        try decoded(try whole(.GET, "ready", nil).bytes)
    }

    /// The effective configuration.
    public func configuration() throws(ControlError) -> Reply<ConfigurationReport> {
        let (head, bytes) = try whole(.GET, "config", nil)
        guard head.status == .ok else { throw try failure(bytes) }
        return Reply(
            version: head.daemonVersion, time: head.time, body: ConfigurationReport(toml: String(buffer: bytes)))
    }

    /// All metrics.
    public func metrics() throws(ControlError) -> Reply<MetricsReport> {
        let (head, bytes) = try whole(.GET, "metrics", nil)
        guard head.status == .ok else { throw try failure(bytes) }
        return Reply(version: head.daemonVersion, time: head.time, body: MetricsReport(metrics: String(buffer: bytes)))
    }

    /// - Parameters:
    ///   - rate, over: how fast connections are shed, by one of the two; nil both: nobody is.
    ///   - grace, order: only with one of these.
    public func drain(
        _ backend: String, grace: Duration? = nil, rate: Int? = nil, over: Duration? = nil, order: Shedder.Order? = nil,
        deadline: Duration?, force: Bool
    ) throws(ControlError) -> Reply<BackendChange> {
        try post(
            "drain",
            DrainBody(
                backend: backend, service: nil, graceSeconds: grace?.inSeconds, rate: rate,
                overSeconds: over?.inSeconds,
                order: order?.rawValue, deadlineSeconds: deadline?.inSeconds, force: force))
    }

    public func undrain(_ backend: String) throws(ControlError) -> Reply<BackendChange> {
        try post("undrain", BackendBody(backend: backend, service: nil))
    }

    /// - Parameter over: with `close`.
    public func disable(
        _ backend: String, close: Bool, over: Duration? = nil, force: Bool
    ) throws(ControlError) -> Reply<BackendChange> {
        try post(
            "disable",
            DisableBody(backend: backend, service: nil, close: close, overSeconds: over?.inSeconds, force: force))
    }

    public func enable(_ backend: String) throws(ControlError) -> Reply<BackendChange> {
        try post("enable", BackendBody(backend: backend, service: nil))
    }

    /// - Parameter weight: 1 to 256; nil: what the configuration says.
    public func setWeight(_ backend: String, to weight: Int?) throws(ControlError) -> Reply<BackendChange> {
        try post("weight", WeightBody(backend: backend, service: nil, weight: WeightValue(number: weight)))
    }

    public func close(_ ids: [ConnectionID], reset: Bool, force: Bool) throws(ControlError) -> Reply<CloseReport> {
        try post("close", CloseBody(ids: ids, reset: reset, force: force))
    }

    /// Closes all that match what is given.
    public func close(
        service: String? = nil, backend: String? = nil, client: String? = nil, state: String? = nil,
        older: Duration? = nil, idle: Duration? = nil, reset: Bool, force: Bool
    ) throws(ControlError) -> Reply<CloseReport> {
        try post(
            "close",
            CloseBody(
                backend: backend, service: service, client: client, state: state, olderSeconds: older?.inSeconds,
                idleSeconds: idle?.inSeconds, reset: reset, force: force))
    }

    /// - Parameters:
    ///   - service: nil: all.
    ///   - rate: connections a second; nil: the daemon's choice.
    public func rehome(_ service: String?, rate: Int?) throws(ControlError) -> Reply<RehomeReport> {
        try post("rehome", RehomeBody(service: service, rate: rate))
    }

    /// Waits until every worker goes by the new configuration.
    public func reload(dryRun: Bool) throws(ControlError) -> Reply<ReloadReport> {
        try post("reload", ReloadBody(dryRun: dryRun))
    }

    /// Begins an upgrade.
    /// - Parameter path: absolute; nil: where the running executable was started from.
    public func upgrade(path: String?, noRollback: Bool) throws(ControlError) -> Reply<UpgradeReport> {
        try post("upgrade", UpgradeBody(path: path, noRollback: noRollback))
    }

    /// How an upgrade stands.
    public func upgrade(_ id: UInt64) throws(ControlError) -> Reply<UpgradeReport> { try get("upgrades/\(id)") }

    public func shutdown(drain: Duration?, force: Bool) throws(ControlError) -> Reply<ShutdownReport> {
        try post("shutdown", ShutdownBody(drainSeconds: drain?.inSeconds, force: force))
    }

    /// Starts a stream of connections.
    /// - Parameter query: the parameters of `GET /v1/connections`, see limpetctl(8).
    public func connections(_ query: [(name: String, value: String)]) throws(ControlError) -> ConnectionRows {
        let exchange = try exchange(.GET, "connections" + queryText(query), nil)
        guard case .head(let head) = try exchange.next() else { throw garbled }
        guard head.status == .ok else { throw try failure(try rest(of: exchange)) }
        return ConnectionRows(exchange, version: head.daemonVersion, time: head.time)
    }

    /// Starts a stream of events.
    /// - Parameters:
    ///   - since: a cursor, or `start`; nil: from now on.
    ///   - waits: false: it ends after what there is.
    public func events(since: String? = nil, waits: Bool = true) throws(ControlError) -> EventLines {
        try EventLines(since: since, waits: waits) { (since) throws(ControlError) in
            let query = (since.map { [("since", $0)] } ?? []) + (waits ? [] : [("wait", "no")])
            let exchange = try self.exchange(.GET, "events" + self.queryText(query), nil)
            guard case .head(let head) = try exchange.next() else { throw self.garbled }
            guard head.status == .ok else { throw try self.failure(try self.rest(of: exchange)) }
            return exchange
        }
    }

    /// - Parameters:
    ///   - listener: an address, or a service: all of its own.
    ///   - refuse: reset who arrives, instead of letting them wait.
    public func pause(_ listener: String, refuse: Bool) throws(ControlError) -> Reply<ListenersReport> {
        try post("pause", PauseBody(listener: listener, refuse: refuse))
    }

    public func resume(_ listener: String) throws(ControlError) -> Reply<ListenersReport> {
        try post("resume", ResumeBody(listener: listener))
    }

    /// Checks a backend now, and waits for what comes of it.
    public func check(_ backend: String) throws(ControlError) -> Reply<CheckReport> {
        try post("check", BackendBody(backend: backend, service: nil))
    }

    private func get<Body: Codable & Sendable>(
        _ path: String, _ query: [(name: String, value: String)] = []
    ) throws(ControlError) -> Reply<Body> {
        let (head, bytes) = try whole(.GET, path + queryText(query), nil)
        guard head.status == .ok else { throw try failure(bytes) }
        return try decoded(bytes)
    }

    private func post<Body: Codable & Sendable>(
        _ path: String, _ body: some Encodable
    ) throws(ControlError) -> Reply<Body> {
        let bytes: ByteBuffer
        do {
            bytes = ByteBuffer(data: try JSONEncoder().encode(body))
        } catch {
            throw ControlError(.badRequest, "the request cannot be written as JSON: \(error)")
        }
        let (head, answer) = try whole(.POST, path, bytes)
        guard head.status == .ok || head.status == .accepted else { throw try failure(answer) }
        return try decoded(answer)
    }

    private func whole(
        _ method: HTTPMethod, _ target: String, _ body: ByteBuffer?
    ) throws(ControlError) -> (head: HTTPResponseHead, bytes: ByteBuffer) {
        do throws(ControlError) {
            return try once(method, target, body)
        } catch  where method == .GET && (error == Exchange.noAnswer || error == Exchange.endedEarly) {
            // An engine that died: the next one answers as well, and asking changes nothing.
            return try once(method, target, body)
        }
    }

    private func once(
        _ method: HTTPMethod, _ target: String, _ body: ByteBuffer?
    ) throws(ControlError) -> (head: HTTPResponseHead, bytes: ByteBuffer) {
        let exchange = try exchange(method, target, body)
        guard case .head(let head) = try exchange.next() else { throw garbled }
        return (head, try rest(of: exchange))
    }

    private func exchange(_ method: HTTPMethod, _ target: String, _ body: ByteBuffer?) throws(ControlError) -> Exchange
    {
        var headers = HTTPHeaders([("Host", "limpet"), ("Connection", "close")])
        if let body {
            headers.add(name: "Content-Type", value: "application/json")
            headers.add(name: "Content-Length", value: String(body.readableBytes))
        }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: "/v1/" + target, headers: headers)
        return try Exchange(head, body: body, socket: path, limit: limit, on: group.next())
    }

    private func rest(of exchange: Exchange) throws(ControlError) -> ByteBuffer {
        defer { exchange.close() }
        var bytes = ByteBuffer()
        while case .body(var part) = try exchange.next() { bytes.writeBuffer(&part) }
        return bytes
    }

    private func decoded<Value: Decodable>(_ bytes: ByteBuffer) throws(ControlError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: bytes)
        } catch {
            throw ControlError(
                .failed, "limpetd's answer is not what this version expects; are limpetd and limpetctl of one version?")
        }
    }

    private func failure(_ bytes: ByteBuffer) throws(ControlError) -> ControlError {
        let report: Reply<ErrorReport> = try decoded(bytes)
        return report.body.error
    }

    private func queryText(_ query: [(name: String, value: String)]) -> String {
        query.isEmpty ? "" : "?" + query.map { $0.name + "=" + escaped($0.value) }.joined(separator: "&")
    }

    private func escaped(_ text: some StringProtocol) -> String {
        text.utf8.map { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }

    private let garbled = ControlError(.failed, "limpetd's answer is not HTTP")
}

extension HTTPResponseHead {
    /// What the Server field says; every answer has it, whole or streamed.
    fileprivate var daemonVersion: String {
        headers.first(name: "server").map { String($0.drop { $0 != "/" }.dropFirst()) } ?? ""
    }

    fileprivate var time: Timestamp { headers.first(name: "limpet-time").flatMap { Timestamp($0) } ?? .now }
}
