import Addressing
import Control
import NIOCore
import NIOPosix
import Synchronization

/// A plane with a table of its own, which remembers what it was told to change.
final class FakePlane: ControlPlane, Sendable {
    struct State: Sendable {
        var backends = [
            FakePlane.backend("chat", "ws1", port: 9001, connections: 2),
            FakePlane.backend("chat", "ws2", port: 9002, connections: 0),
            FakePlane.backend("mqtt", "ws2", port: 9102, connections: 0),
            FakePlane.backend("mqtt", "broker", port: 1883, connections: 1),
        ]
        var rows = [
            FakePlane.row(1, service: "chat", backend: "ws1", client: "203.0.113.7:40000", age: 522_000, idle: 3),
            FakePlane.row(2, service: "chat", backend: "ws1", client: "203.0.113.8:40001", age: 725, idle: 725),
            FakePlane.row(0x1a2f, service: "mqtt", backend: "broker", client: "[2001:db8::7]:5222", age: 47, idle: 0),
        ]
        var isReady = true
        /// What was changed, in words, with the caller.
        var changes: [String] = []
        var callers: [Caller] = []
        /// What was not let, in words.
        var refused: [String] = []
        /// Slots that walks have looked at.
        var slotsSeen = 0
        /// What the metrics are, and how often they were asked for.
        var metrics = "# HELP limpet_ready Whether.\n# TYPE limpet_ready gauge\nlimpet_ready 1\n"
        var scrapes = 0
        /// Times that the kernel was asked about a connection.
        var kernelLooks = 0
        /// Times that ``FakePlane/top()`` was asked for: each is a second later.
        var tops = 0
        var logLevel = LogReport.Level.info
        /// How an upgrade goes: one report for each time that it is asked for, from the first after its begin; the last one
        /// stays.
        var upgrades: [UpgradeReport] = []
        /// What a reload is answered with.
        var reload: Swift.Result<ReloadReport, ControlError> = .success(FakePlane.reloaded)
        /// What a change without force is refused with, if anything.
        var changeError: ControlError?
        /// Why changes would not survive a restart, if they would not.
        var unsaved: String?
        var differences: [Difference] = []
        var user = "limpet"
        var capabilities = ["CAP_NET_BIND_SERVICE"]
        var sandbox = SandboxReport(
            wanted: .on, systemCalls: true, landlockABI: 2, missing: nil, directories: ["/run/limpet"], violations: 0)
        /// Changes are answered by ``FakePlane/answerWaiting(_:)`` alone.
        var isSlow = false
        var waiting: [@Sendable (Swift.Result<Void, any Error>) -> Void] = []
    }

    private let state: Mutex<State>

    init(_ state: State = State()) {
        self.state = Mutex(state)
    }

    func with<Result: Sendable>(_ body: (inout sending State) -> sending Result) -> Result {
        state.withLock(body)
    }

    func status() -> StatusReport {
        with { state in
            StatusReport(
                pid: 4711, enginePID: 4712, engineGeneration: 1, uptimeSeconds: 522_000.5, ready: state.isReady,
                workers: 2, connections: state.rows.count, maxConnections: 524_128, descriptorLimit: 1_048_576,
                descriptorFailures: 1, localFailures: 0, pipes: 3, maxPipes: 625, pipesRefused: 2,
                capabilities: state.capabilities, sandbox: state.sandbox, user: state.user, configHash: "8d1f0c2a",
                services: [
                    ServiceStatus(name: "chat", mappingHash: "a1b2"), ServiceStatus(name: "mqtt", mappingHash: "c3d4"),
                ], differences: state.differences, unsaved: state.unsaved, lastDeath: nil)
        }
    }

    func backends() -> [BackendRow] { with { $0.backends } }

    func listeners() -> [ListenerRow] {
        [
            ListenerRow(
                service: "chat", name: "0.0.0.0:80", address: "0.0.0.0:80", connections: 2, accepted: 40,
                refused: 1,
                state: .accepting, reason: nil),
            ListenerRow(
                service: "mqtt", name: "[::]:1883", address: "[::]:1883", connections: 1, accepted: 7, refused: 0,
                state: .paused, reason: "no descriptor is left"),
        ]
    }

    func connections() -> any ConnectionCursor { Walk(self) }

    func locate(_ request: WhereRequest) throws(ControlError) -> WhereReport {
        let names = ["ws2", "ws1"].filter { !request.without.contains($0) }
        return WhereReport(
            address: request.port.map { "\(request.address):\($0)" } ?? "\(request.address)", key: "\(request.address)",
            service: request.service, chosen: names.first, reason: "first of its order",
            preference: names.map { WhereReport.Preference(backend: $0, eligible: true, reason: nil) })
    }

    func affinity(_ request: AffinityRequest) -> AffinityReport {
        let rows = [("10.0.0.1", "ws1", 2, nil), ("10.0.0.2", "ws2", 0, 12.5)].filter { row in
            request.address.map { "\($0)" == row.0 } ?? true
        }
        return AffinityReport(
            entries: rows.count, limit: 65536, hits: 5, moves: 1, evictions: 0,
            clients: rows.prefix(request.limit).map { client, backend, connections, left in
                AffinityReport.Client(
                    service: request.service ?? "chat", client: client, backend: backend, home: "ws1",
                    connections: connections, secondsLeft: left)
            })
    }

    func forgetAffinity(
        _ request: AffinityRequest, by caller: Caller
    ) throws(ControlError) -> AffinityClearReport {
        if request.address == nil, !request.force {
            throw ControlError(.needsForce, "2 clients would be forgotten")
        }
        return with { state in
            state.changes.append("affinity \(request.address.map { "\($0)" } ?? "all") \(request.service ?? "-")")
            return AffinityClearReport(cleared: request.address == nil ? 2 : 1)
        }
    }

    func plan(_ request: PlanRequest) throws(ControlError) -> EventLoopFuture<PlanReport> {
        let (action, weight): (String, Int?) =
            switch request.action {
            case .drain: ("drain", nil)
            case .disable: ("disable", nil)
            case .weight(let number): ("weight", number ?? 1)
            }
        return MultiThreadedEventLoopGroup.currentEventLoop!.makeSucceededFuture(
            PlanReport(
                action: action, backend: request.backend.backend, weight: weight, needsForce: action == "disable",
                plan: FakePlane.plan))
    }

    static let plan = ServicePlan(
        service: "chat", connections: 340, moving: 120, homeless: 2, maxOverAverage: 1.02, maxOverAverageAfter: nil,
        backends: [
            ServicePlan.Backend(
                backend: "ws1", connections: 120, leaving: 120, arriving: 0, share: 0, connectionsAfter: 0, limit: nil,
                passedOn: 0),
            ServicePlan.Backend(
                backend: "ws2", connections: 220, leaving: 0, arriving: 118, share: 0.9833, connectionsAfter: 338,
                limit: 338, passedOn: 5),
        ])

    func drain(_ request: DrainRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let deadline =
            ("\(request.speed)" == "none" ? "" : " \(request.speed) \(request.order) grace \(request.grace.inSeconds)")
            + (request.deadline.map { " deadline \($0.inSeconds)" } ?? "")
        return try change(
            request.backend, "drain \(request.backend)\(deadline)\(request.force ? " force" : "")", caller,
            force: request.force
        ) { row in
            row.intent = .drain
            row.state = row.connections > 0 ? .draining : .drained
        }
    }

    func undrain(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        try change(request.backend, "undrain \(request.backend)", caller, force: true) { row in
            row.intent = .ready
            row.state = .up
        }
    }

    func disable(_ request: DisableRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let words = (request.close ? " close" : "") + (request.force ? " force" : "")
        return try change(request.backend, "disable \(request.backend)\(words)", caller, force: request.force) { row in
            row.intent = .maintenance
            row.state = .maintenance
        }
    }

    func enable(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        try change(request.backend, "enable \(request.backend)", caller, force: true) { row in
            row.intent = .ready
            row.state = .up
        }
    }

    func setWeight(_ request: WeightRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<BackendChange> {
        try change(
            request.backend, "weight \(request.backend) \(request.weight.map(String.init) ?? "file")", caller,
            force: true
        ) { $0.weight = request.weight ?? $0.weightConfigured }
    }

    func set(_ request: ListenerRequest, by caller: Caller) throws(ControlError) -> ListenersReport {
        let addresses = request.names.joined(separator: " ")
        with { $0.changes.append("\(request.action) \(addresses)") }
        return ListenersReport(
            listeners: listeners().filter { request.names.contains($0.name) }.map { row in
                var row = row
                row.state = request.action == .resume ? .accepting : request.action == .pause ? .paused : .refusing
                return row
            })
    }

    let events = EventHub()

    func noteRefused(_ attempt: ControlAttempt, _ error: ControlError) {
        with { $0.refused.append("\(attempt.caller.uid) \(attempt.command): \(error.code.rawValue)") }
    }

    func check(_ request: BackendRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<CheckReport> {
        try change(request.backend, "check \(request.backend)", caller, force: true) { row in
            row.check = "http"
            row.checkResult = "HTTP 503, wanted 2xx"
        }.map { change in
            CheckReport(
                backend: change.backends[0], outcome: .failed, result: "HTTP 503, wanted 2xx", seconds: 0.0125)
        }
    }

    /// Answered at once, or once the test says so.
    private func change(
        _ name: BackendName, _ words: String, _ caller: Caller, force: Bool, _ body: (inout BackendRow) -> Void
    ) throws(ControlError) -> EventLoopFuture<BackendChange> {
        let loop = MultiThreadedEventLoopGroup.currentEventLoop!
        let promise = loop.makePromise(of: BackendChange.self)
        let outcome: Swift.Result<Void, ControlError> = with { state in
            if let error = state.changeError, !force {
                promise.fail(error)
                return .failure(error)
            }
            state.changes.append(words)
            state.callers.append(caller)
            let index = state.backends.firstIndex { $0.fullName == name }!
            body(&state.backends[index])
            let change = BackendChange(backend: state.backends[index], unsaved: state.unsaved)
            if state.isSlow {
                state.waiting.append { promise.completeWith($0.map { change }) }
            } else {
                promise.succeed(change)
            }
            return .success(())
        }
        try outcome.get()
        return promise.futureResult
    }

    /// Lets the changes through that wait, or fails them.
    func answerWaiting(_ result: Swift.Result<Void, any Error> = .success(())) {
        let waiting = with { state in
            let waiting = state.waiting
            state.waiting = []
            return waiting
        }
        for answer in waiting { answer(result) }
    }

    func reload(_ request: ReloadRequest, by caller: Caller) throws(ControlError) -> EventLoopFuture<ReloadReport> {
        let promise = MultiThreadedEventLoopGroup.currentEventLoop!.makePromise(of: ReloadReport.self)
        with { state in
            state.changes.append("reload\(request.dryRun ? " dry" : "")")
            let outcome = state.reload.map { report in
                var report = report
                report.dryRun = request.dryRun
                return report
            }.mapError { $0 as any Error }
            if state.isSlow {
                state.waiting.append { promise.completeWith($0.flatMap { outcome }) }
            } else {
                promise.completeWith(outcome)
            }
        }
        return promise.futureResult
    }

    func close(_ request: CloseRequest, by caller: Caller) throws(ControlError) -> CloseReport {
        let outcome: Swift.Result<CloseReport, ControlError> = with { state in
            var report = CloseReport(closed: 2)
            var text = "\(request.selector)"
            switch request.selector {
            case .ids(let ids):
                report.missing = ids.filter { id in !state.rows.contains { $0.id == id } }
                report.closed = ids.count - report.missing.count
            case .matching(let selector): text = "\(selector)"
            }
            if report.closed > 1 && !request.force {
                return .failure(ControlError(.needsForce, "\(report.closed) connections would be closed"))
            }
            state.changes.append("close \(text) reset \(request.reset)")
            return .success(report)
        }
        return try outcome.get()
    }

    func rehome(_ request: RehomeRequest, by caller: Caller) throws(ControlError) -> RehomeReport {
        with { state in
            state.changes.append("rehome \(request.service ?? "all") \(request.rate.map(String.init) ?? "-")")
            return RehomeReport(connections: 3, rate: request.rate ?? 10)
        }
    }

    func metrics() -> String {
        with { state in
            state.scrapes += 1
            return state.metrics
        }
    }

    func top() -> TopReport {
        let (backends, listeners) = (backends(), listeners())
        return with { state in
            state.tops += 1
            let turn = state.tops
            var rows = backends
            rows[0].total += UInt64(turn * 10)
            rows[0].bytesIn += UInt64(turn * 1024 * 1024)
            return TopReport(
                uptimeSeconds: 522_000 + Double(turn), connections: state.rows.count, maxConnections: 524_128,
                descriptors: 4711, descriptorLimit: 1_048_576, pipes: 3, pipesHeld: 1, maxPipes: 625,
                workers: [
                    TopReport.Worker(worker: 0, connections: 2, processorSeconds: Double(turn) * 0.25),
                    TopReport.Worker(worker: 1, connections: 1, processorSeconds: 7),
                ], backends: rows, listeners: listeners)
        }
    }

    func logLevel() -> LogReport { LogReport(level: with { $0.logLevel }, levelConfigured: .info) }

    func setLogLevel(_ level: LogReport.Level, by caller: Caller) -> LogReport {
        with { state in
            state.changes.append("log \(level.rawValue)")
            state.logLevel = level
        }
        return logLevel()
    }

    func configuration() -> String { "[service.chat]\nlisten = \"0.0.0.0:80\"\n" }

    func readiness() -> ReadyReport {
        with { $0.isReady } ? ReadyReport(ready: true, reason: nil) : ReadyReport(ready: false, reason: "it is ending")
    }

    func upgrade(_ request: UpgradeRequest, by caller: Caller) throws(ControlError) -> UpgradeReport {
        with { state in
            state.changes.append("upgrade \(request.path ?? "-") \(request.noRollback)")
        }
        return UpgradeReport(id: 3, state: .checking, oldVersion: "0.1.0", newVersion: nil)
    }

    func upgrade(_ id: UInt64) throws(ControlError) -> UpgradeReport {
        let report: UpgradeReport? = with { state in
            guard id == 3, let report = state.upgrades.first else { return nil }
            if state.upgrades.count > 1 { state.upgrades.removeFirst() }
            return report
        }
        guard let report else { throw ControlError(.noSuchObject, "\(id): no such upgrade, or another came after it") }
        return report
    }

    func shutdown(_ request: ShutdownRequest, by caller: Caller) throws(ControlError) {
        with { $0.changes.append("shutdown drain \(request.drain?.inSeconds ?? -1)") }
    }

    static let reloaded = ReloadReport(
        dryRun: false, configHash: "9e2a",
        changes: [
            ReloadReport.Change(
                change: .changed, object: .daemon, service: nil, name: nil, key: "log-level", old: "info", new: "debug"),
            ReloadReport.Change(
                change: .removed, object: .backend, service: "chat", name: "ws2", key: nil, old: "127.0.0.1:9002",
                new: nil),
            ReloadReport.Change(
                change: .added, object: .listener, service: "chat", name: "0.0.0.0:81", key: nil, old: nil, new: nil),
        ],
        homes: [
            ReloadReport.Homes(service: "chat", clients: 340, moved: 12, share: 0.0351),
            ReloadReport.Homes(service: "mqtt", clients: 7, moved: 0, share: 0),
        ], plans: [], removedConnections: 5, removedDeadlineSeconds: 1800, warnings: ["limpet.toml: look out"])
}
