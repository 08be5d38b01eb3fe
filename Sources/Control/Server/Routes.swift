internal import Addressing
internal import Backends
internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat
internal import NIOHTTP1

/// What a request is answered with.
enum Answer {
    case whole(status: HTTPResponseStatus, type: String, body: ByteBuffer, allow: String? = nil)
    case stream(any AnswerStream, type: String)
    /// What happens.
    case events(EventReading)
    /// Not known yet: the plane waits for something outside of the loop. Always comes.
    case later(EventLoopFuture<Answer>.Isolated)
}

/// Paths, methods, names and force: everything between a request and the plane. Lives on the control event loop.
struct Routes {
    /// What POST takes, by the first part of the path.
    static let changes = [
        "drain", "undrain", "disable", "enable", "weight", "check", "pause", "resume", "close", "rehome", "reload",
        "upgrade", "shutdown", "log", "affinity",
    ]
    /// What GET takes, by the first part of the path, where that is all of it.
    static let shows = [
        "status", "backends", "connections", "listeners", "where", "config", "ready", "version", "events", "metrics",
        "top", "log", "plan", "affinity",
    ]

    let plane: any ControlPlane
    private let version: String
    let access: CurrentPolicy
    private let slice: Int
    private let encoder: JSONEncoder
    private let allocator = ByteBufferAllocator()
    private let ticket = SortingTicket()
    private let keptMetrics: KeptMetrics

    init(plane: any ControlPlane, version: String, access: CurrentPolicy, slice: Int) {
        self.plane = plane
        self.version = version
        self.access = access
        self.slice = slice
        keptMetrics = KeptMetrics(plane)
        encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    func answer(_ request: Request, from caller: Caller) -> Answer {
        var attempt: ControlAttempt?
        do throws(ControlError) {
            guard request.path.first == "v1", request.path.count > 1 else { throw unknownPath(request) }
            let (route, rest) = (request.path[1], Array(request.path.dropFirst(2)))
            let isChange =
                Routes.changes.contains(route) && !(request.method == .GET && Routes.shows.contains(route))
            let isShown =
                rest.isEmpty
                ? Routes.shows.contains(route)
                : route == "backends" && rest.count <= 2 || route == "upgrades" && rest.count == 1
            guard isShown || isChange && rest.isEmpty else { throw unknownPath(request) }
            guard request.method == (isChange ? .POST : .GET) else {
                return methodNotAllowed(request, allowed: isChange ? "POST" : "GET")
            }
            guard isChange else {
                try access.value.check(caller, .read)
                return try show(route, rest, request)
            }
            let change = ControlAttempt(route, request, caller)
            attempt = change
            try access.value.check(caller, .change)
            return try make(change, request)
        } catch {
            if let attempt { plane.noteRefused(attempt, error) }
            return failure(error)
        }
    }

    /// Whoever follows the events is told that there will be no more.
    func endEvents() { plane.events.finish() }

    /// An unsuccessful reply.
    func failure(_ error: ControlError) -> Answer {
        reply(ErrorReport(error: error), status: .init(statusCode: error.code.httpStatus))
    }

    private func show(_ route: String, _ rest: [String], _ request: Request) throws(ControlError) -> Answer {
        switch route {
        case "status":
            try request.allow([])
            return reply(plane.status())
        case "backends" where rest.isEmpty:
            try request.allow(["service"])
            let rows = plane.backends()
            let service: String? =
                if let text = try request.value("service") { try NameDirectory(rows).service(text) } else { nil }
            return reply(
                BackendsReport(backends: []), "backends", rows.filter { service == nil || $0.service == service }
            ) { BackendsReport(backends: $0) }
        case "backends":
            try request.allow([])
            let rows = plane.backends()
            let name = try NameDirectory(rows).backend(rest.joined(separator: "/"), in: nil)
            return reply(BackendsReport(backends: rows.filter { $0.fullName == name }))
        case "connections":
            let filter = try ConnectionFilter(request, names: NameDirectory(plane.backends()))
            let isLarge = filter.order != nil && filter.limit > ConnectionStream.freelySorted
            if isLarge { try ticket.take() }
            return .stream(
                ConnectionStream(
                    walk: plane.connections(), filter: filter, slice: slice, encoder: encoder, allocator: allocator,
                    ticket: isLarge ? ticket : nil), type: "application/x-ndjson")
        case "upgrades":
            try request.allow([])
            guard let id = UInt64(rest[0]) else {
                throw ControlError(.badRequest, "\"\(rest[0])\" is not the number of an upgrade")
            }
            return reply(try plane.upgrade(id))
        case "top":
            try request.allow([])
            var report = plane.top()
            let rows = report.backends
            report.backends = []
            return reply(report, "backends", rows) {
                report.backends = $0
                return report
            }
        case "log":
            try request.allow([])
            return reply(plane.logLevel())
        case "listeners":
            try request.allow([])
            return reply(ListenersReport(listeners: plane.listeners()))
        case "events":
            try request.allow(["since", "wait"])
            let waits = try request.choice("wait", try request.value("wait") ?? "yes")
            return .events(try EventReading(plane.events, since: try request.value("since"), waits: waits))
        case "where":
            return reply(try plane.locate(try whereRequest(request)))
        case "affinity":
            var report = plane.affinity(try affinityRequest(request))
            let rows = report.clients
            report.clients = []
            return reply(report, "clients", rows) {
                report.clients = $0
                return report
            }
        case "plan":
            return later(try plane.plan(try planRequest(request)))
        case "config":
            try request.allow([])
            return .whole(status: .ok, type: "application/toml", body: ByteBuffer(string: plane.configuration()))
        case "metrics":
            try request.allow([])
            return .whole(status: .ok, type: metricsMediaType, body: keptMetrics.body())
        case "ready":
            try request.allow([])
            let report = plane.readiness()
            return reply(report, status: report.ready ? .ok : .serviceUnavailable)
        default:
            try request.allow([])
            return reply(EmptyBody())
        }
    }

    private func make(_ change: ControlAttempt, _ request: Request) throws(ControlError) -> Answer {
        try request.allow([])
        let caller = change.caller
        switch change.route {
        case "drain":
            let body = try request.json(DrainBody.self, fields: DrainBody.CodingKeys.self)
            return later(try plane.drain(try drainRequest(body), by: caller), change)
        case "undrain":
            return later(try plane.undrain(try backendRequest(request), by: caller), change)
        case "disable":
            let body = try request.json(DisableBody.self, fields: DisableBody.CodingKeys.self)
            let over = try shedTime("over_seconds", body.overSeconds)
            if over != nil, body.close != true {
                throw ControlError(.badRequest, "over_seconds goes with close: without it nothing is closed")
            }
            let asked = DisableRequest(
                backend: try resolve(body.backend, in: body.service), close: body.close ?? false, over: over,
                force: body.force ?? false)
            return later(try plane.disable(asked, by: caller), change)
        case "enable":
            return later(try plane.enable(try backendRequest(request), by: caller), change)
        case "check":
            return later(try plane.check(try backendRequest(request), by: caller), change)
        case "pause":
            let body = try request.json(PauseBody.self, fields: PauseBody.CodingKeys.self)
            return reply(
                try plane.set(
                    ListenerRequest(
                        names: try listeners(body.listener), action: body.refuse == true ? .refuse : .pause),
                    by: caller))
        case "resume":
            let body = try request.json(ResumeBody.self, fields: ResumeBody.CodingKeys.self)
            return reply(
                try plane.set(ListenerRequest(names: try listeners(body.listener), action: .resume), by: caller))
        case "weight":
            let body = try request.json(WeightBody.self, fields: WeightBody.CodingKeys.self)
            let asked = WeightRequest(backend: try resolve(body.backend, in: body.service), weight: body.weight.number)
            return later(try plane.setWeight(asked, by: caller), change)
        case "close":
            let body = try request.json(CloseBody.self, fields: CloseBody.CodingKeys.self)
            return reply(try plane.close(try closeRequest(body), by: caller))
        case "rehome":
            let body = try request.json(RehomeBody.self, fields: RehomeBody.CodingKeys.self)
            let service: String? =
                if let text = body.service { try NameDirectory(plane.backends()).service(text) } else { nil }
            if let rate = body.rate, !RateText.range.contains(rate) {
                throw ControlError(.badRequest, "rate: \(rate) is not a whole number from 0 to 100000")
            }
            return reply(try plane.rehome(RehomeRequest(service: service, rate: body.rate), by: caller))
        case "affinity":
            let body = try request.json(AffinityBody.self, fields: AffinityBody.CodingKeys.self)
            return reply(try plane.forgetAffinity(try affinityRequest(body), by: caller))
        case "log":
            let body = try request.json(LogBody.self, fields: LogBody.CodingKeys.self)
            let level = try Request.choice("level", body.level, among: LogReport.Level.allCases)
            return reply(plane.setLogLevel(level, by: caller))
        case "reload":
            let body = try request.json(ReloadBody.self, fields: ReloadBody.CodingKeys.self)
            return later(try plane.reload(ReloadRequest(dryRun: body.dryRun ?? false), by: caller), change)
        case "upgrade":
            return reply(try plane.upgrade(try upgradeRequest(request, caller), by: caller), status: .accepted)
        default:
            let body = try request.json(ShutdownBody.self, fields: ShutdownBody.CodingKeys.self)
            let connections = plane.status().connections
            let drain = try duration("drain_seconds", body.drainSeconds)
            if connections > 0, body.force != true {
                throw ControlError(
                    .needsForce,
                    "\(counted(connections)) would be closed"
                        + (drain.map { " over \(DurationText.age(seconds: $0.inSeconds)), after shutdown-delay" } ?? "")
                )
            }
            try plane.shutdown(ShutdownRequest(drain: drain), by: caller)
            return reply(ShutdownReport(connections: connections), status: .accepted)
        }
    }

    private func backendRequest(_ request: Request) throws(ControlError) -> BackendRequest {
        let body = try request.json(BackendBody.self, fields: BackendBody.CodingKeys.self)
        return BackendRequest(backend: try resolve(body.backend, in: body.service))
    }

    /// - Parameter evenRemoved: what a reload has removed will do, as long as it has connections.
    func resolve(
        _ backend: String, in service: String?, evenRemoved: Bool = false
    ) throws(ControlError) -> BackendName {
        let names = NameDirectory(plane.backends())
        let service: String? = if let service { try names.service(service) } else { nil }
        return evenRemoved
            ? try names.backend(backend, in: service) : try names.configuredBackend(backend, in: service)
    }

    private func whereRequest(_ request: Request) throws(ControlError) -> WhereRequest {
        try request.allow(["address", "service", "without"])
        guard let text = try request.value("address") else { throw ControlError(.badRequest, "address is missing") }
        let (address, port) = try clientAddress(text)
        let names = NameDirectory(plane.backends())
        let service = try names.service(try request.value("service"))
        var without: [String] = []
        for (_, name) in request.query.filter({ $0.name == "without" }) {
            guard without.count < WhereRequest.mostLeftOut else {
                throw ControlError(.badRequest, "without: \(WhereRequest.mostLeftOut) backends at most")
            }
            without.append(try names.backend(name, in: service).backend)
        }
        return WhereRequest(address: address.unmapped, port: port, service: service, without: without)
    }

    private func closeRequest(_ body: CloseBody) throws(ControlError) -> CloseRequest {
        let (reset, force) = (body.reset ?? false, body.force ?? false)
        var selector = ConnectionSelector()
        if let text = body.service { selector.service = try NameDirectory(plane.backends()).service(text) }
        if let text = body.backend { selector.backend = try resolve(text, in: body.service, evenRemoved: true) }
        if let text = body.client { selector.client = try ConnectionFilter.prefix(text) }
        if let text = body.state { selector.state = try ConnectionFilter.state(text) }
        selector.older = try duration("older_seconds", body.olderSeconds)
        selector.idle = try duration("idle_seconds", body.idleSeconds)
        if let ids = body.ids {
            guard selector == ConnectionSelector() else {
                throw ControlError(.badRequest, "ids come alone, without backend, service, client or another filter")
            }
            return CloseRequest(selector: .ids(ids), reset: reset, force: force)
        }
        guard selector != ConnectionSelector() else {
            throw ControlError(.badRequest, "say which: ids, backend, service, client, state, older or idle")
        }
        return CloseRequest(selector: .matching(selector), reset: reset, force: force)
    }

    private func upgradeRequest(_ request: Request, _ caller: Caller) throws(ControlError) -> UpgradeRequest {
        let body = try request.json(UpgradeBody.self, fields: UpgradeBody.CodingKeys.self)
        if let path = body.path {
            // What is named here runs with the connections of all clients.
            guard caller.uid == 0 else {
                throw ControlError(
                    .permission,
                    "only root may name the executable; without a name it is the one that limpetd was started from")
            }
            guard path.hasPrefix("/") else {
                throw ControlError(.badRequest, "path: \"\(path)\" is not an absolute path")
            }
        }
        return UpgradeRequest(path: body.path, noRollback: body.noRollback ?? false)
    }

    func duration(_ name: String, _ seconds: Double?) throws(ControlError) -> Duration? {
        guard let seconds else { return nil }
        guard seconds >= 0, seconds <= 3650 * 86_400 else {
            throw ControlError(.badRequest, "\(name): \(seconds) is not a number of seconds from 0 to 315360000")
        }
        return .milliseconds(Int64(seconds * 1000))
    }

    private func counted(_ connections: Int) -> String {
        connections == 1 ? "1 connection" : "\(connections) connections"
    }

    private func unknownPath(_ request: Request) -> ControlError {
        ControlError(.unknownPath, "no such path: /\(request.path.joined(separator: "/"))")
    }

    private func methodNotAllowed(_ request: Request, allowed: String) -> Answer {
        let error = ControlError(
            .methodNotAllowed,
            "/\(request.path.joined(separator: "/")) takes \(allowed), not \(request.method.rawValue)")
        guard case .whole(let status, let type, let body, _) = failure(error) else { return failure(error) }
        return .whole(status: status, type: type, body: body, allow: allowed)
    }

    /// What a future of the plane's comes to, on its loop.
    /// - Parameter change: what it is about; nil: nothing is to change.
    private func later(_ future: EventLoopFuture<some Codable & Sendable>, _ change: ControlAttempt? = nil) -> Answer {
        .later(
            future.assumeIsolated().map { reply($0) }
                .flatMapErrorThrowing { error in
                    let error = error as? ControlError ?? ControlError(.failed, "\(error)")
                    if let change { plane.noteRefused(change, error) }
                    return failure(error)
                })
    }

    /// A reply with an array that may be long: then it is encoded a slice at a time.
    /// - Parameters:
    ///   - body: with the array empty.
    ///   - field: name of the array.
    ///   - whole: the body with the array.
    private func reply<Row: Encodable, Body: Codable & Sendable>(
        _ body: Body, _ field: String, _ rows: [Row], whole: ([Row]) -> Body
    ) -> Answer {
        guard rows.count > 2 * slice, case .whole(.ok, let type, let object, _) = reply(body),
            let stream = RowsStream(
                object, field: field, rows: rows, slice: slice, encoder: encoder, allocator: allocator)
        else { return reply(whole(rows)) }
        return .stream(stream, type: type)
    }

    private func reply(_ body: some Codable & Sendable, status: HTTPResponseStatus = .ok) -> Answer {
        var buffer = allocator.buffer(capacity: 512)
        do {
            try buffer.writeJSONEncodable(Reply(version: version, body: body), encoder: encoder)
            buffer.writeInteger(UInt8(ascii: "\n"))
            return .whole(status: status, type: "application/json", body: buffer)
        } catch {
            // A number that JSON cannot hold: a fault of ours, which the client has to learn of.
            return .whole(
                status: .internalServerError, type: "text/plain", body: ByteBuffer(string: "limpetd: \(error)\n"))
        }
    }
}

/// All that the control socket answers, as limpet-control(7) lists it: a method and a path each.
public enum ControlRoutes {
    public static var all: [String] {
        let named = ["backends/NAME", "backends/SERVICE/NAME", "upgrades/ID"]
        return (Routes.shows + named).map { "GET /v1/\($0)" } + Routes.changes.map { "POST /v1/\($0)" }
    }
}
