internal import Addressing
internal import FoundationEssentials
internal import Linux
public import NIOCore
internal import NIOFoundationEssentialsCompat

/// What the status page shows: looks at the plane every few seconds, keeps the last ten minutes, and tells every page that
/// is open. Lives on the control event loop.
///
/// Costs nothing until it is begun; then one look every ``StatusHistory/interval`` seconds while nobody has the page open.
public final class StatusBoard {
    /// From one look to the next, while somebody has the page open.
    private static let look = 2
    /// Backends that are listed; more than a page can show.
    private static let mostBackends = 500
    private static let shownClients = 20
    /// Looks from one count of the clients to the next: it walks over all connections.
    private static let clientLooks = 5
    /// Clients that are told apart in one count.
    private static let mostClients = 100_000

    private let eventLoop: any EventLoop
    unowned let plane: any ControlPlane
    private let version: String
    private let encoder = JSONEncoder()
    private let allocator = ByteBufferAllocator()

    private var timer: RepeatedTask?
    private var looks = 0
    private var history = StatusHistory()
    /// Figures of the last look, and of the last step.
    private var former: Figures?
    private var formerStep: Figures?
    private var rates = StatusDocument.AllRates(accepts: 0, bytesIn: 0, bytesOut: 0, backends: [:])

    /// Whether clients are shown.
    public var showsClients = false {
        didSet { if !showsClients { clients = nil } }
    }
    private var clients: [StatusDocument.Client]?
    private var isCounting = false

    private var pages: [Int: (ByteBuffer?) -> Void] = [:]
    private var nextPage = 0

    /// What counts up, at one moment.
    private struct Figures {
        var time: UInt64
        var accepts: UInt64
        /// By `service/backend`: connects, bytes in, bytes out.
        var backends: [String: (total: UInt64, bytesIn: UInt64, bytesOut: UInt64)]

        func rates(since former: Figures) -> StatusDocument.AllRates {
            let seconds = Double(time - former.time) / 1e9
            func rate(_ now: UInt64, _ before: UInt64) -> Double {
                now > before && seconds > 0 ? Double(now - before) / seconds : 0
            }
            var all = StatusDocument.AllRates(
                accepts: rate(accepts, former.accepts), bytesIn: 0, bytesOut: 0, backends: [:])
            for (name, now) in backends {
                // What was not there has no rate yet: what it counts may be older than the look before.
                guard let before = former.backends[name] else { continue }
                let own = StatusDocument.Rates(
                    accepts: rate(now.total, before.total), bytesIn: rate(now.bytesIn, before.bytesIn),
                    bytesOut: rate(now.bytesOut, before.bytesOut))
                all.backends[name] = own
                all.bytesIn += own.bytesIn
                all.bytesOut += own.bytesOut
            }
            return all
        }
    }

    /// - Parameter plane: outlives the board.
    public init(eventLoop: any EventLoop, plane: any ControlPlane, version: String) {
        self.eventLoop = eventLoop
        self.plane = plane
        self.version = version
        encoder.outputFormatting = [.withoutEscapingSlashes]
    }

    /// Begins to look.
    public func begin() {
        guard timer == nil else { return }
        let board = NIOLoopBound(self, eventLoop: eventLoop)
        let interval = TimeAmount.seconds(Int64(StatusBoard.look))
        timer = eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: interval) { _ in board.value.tick() }
    }

    /// Ceases, and forgets what was.
    public func end() {
        timer?.cancel()
        timer = nil
        history = StatusHistory()
        former = nil
        formerStep = nil
        clients = nil
        let open = pages.values
        pages = [:]
        for send in open { send(nil) }
    }

    /// Pages that are open.
    var pageCount: Int { pages.count }

    /// - Parameter send: called with what the page is to be told, from the whole of it on, and with nil where it is served
    ///   no more.
    func open(_ send: @escaping (ByteBuffer?) -> Void) -> Int {
        nextPage += 1
        pages[nextPage] = send
        if let message = message("history", history.whole) { send(message) }
        let rows = plane.backends()
        look(rows)
        if let message = message("update", document(rows)) { send(message) }
        if showsClients, clients == nil { countClients() }
        return nextPage
    }

    func close(_ page: Int) { pages[page] = nil }

    // MARK: Looking

    private func tick() {
        looks += 1
        let isStep = looks % (StatusHistory.interval / StatusBoard.look) == 1
        guard isStep || !pages.isEmpty else { return }
        let rows = plane.backends()
        look(rows)
        if isStep { takeStep(rows) }
        guard !pages.isEmpty else { return }
        if isStep { tell(message("step", history.lastStep)) }
        if showsClients, looks % StatusBoard.clientLooks == 0 { countClients() }
        tell(message("update", document(rows)))
    }

    private func look(_ rows: [BackendRow]) {
        let now = figures(rows)
        // Two looks that are close to each other say nothing of a rate.
        if let former, now.time - former.time < 1_000_000_000 { return }
        if let former { rates = now.rates(since: former) }
        former = now
    }

    private func takeStep(_ rows: [BackendRow]) {
        let now = figures(rows)
        let rates = formerStep.map { now.rates(since: $0) } ?? self.rates
        formerStep = now
        var points = [
            "": StatusHistory.Point(
                connections: plane.status().connections,
                rates: StatusDocument.Rates(
                    accepts: rates.accepts, bytesIn: rates.bytesIn, bytesOut: rates.bytesOut))
        ]
        for row in rows.prefix(StatusHistory.mostSeries - 1) {
            let name = "\(row.fullName)"
            points[name] = StatusHistory.Point(
                connections: row.connections, rates: rates.backends[name] ?? StatusDocument.Rates())
        }
        history.add(points)
    }

    private func figures(_ rows: [BackendRow]) -> Figures {
        var backends: [String: (total: UInt64, bytesIn: UInt64, bytesOut: UInt64)] = [:]
        for row in rows { backends["\(row.fullName)"] = (row.total, row.bytesIn, row.bytesOut) }
        return Figures(
            time: Clock.now(), accepts: plane.listeners().reduce(0) { $0 &+ $1.accepted }, backends: backends)
    }

    private func document(_ rows: [BackendRow]) -> StatusDocument {
        let status = plane.status()
        let shown = rows.prefix(StatusBoard.mostBackends)
        let listeners = plane.listeners()
        var names = status.services.map(\.name)
        for row in shown where !names.contains(row.service) { names.append(row.service) }
        return StatusDocument(
            time: .now, version: version, reason: plane.readiness().reason, status: status, rates: rates,
            services: names.map { name in
                let own = shown.filter { $0.service == name }
                let configured = own.filter { $0.state != .removed }
                let isWell = configured.contains { [.up, .full, .checking].contains($0.state) }
                return StatusDocument.Service(
                    name: name, panic: !configured.isEmpty && !isWell,
                    listeners: listeners.filter { $0.service == name }, backends: own)
            }, leftOut: rows.count - shown.count, events: events(), clients: showsClients ? clients ?? [] : nil)
    }

    // MARK: Clients

    /// Counts connections by client, a slice at a time, so that nobody is held up by it.
    private func countClients() {
        guard !isCounting else { return }
        isCounting = true
        goOn(ClientCount(plane.connections(), limit: StatusBoard.mostClients))
    }

    private func goOn(_ count: ClientCount) {
        // Half a count says nothing: it is thrown away where nobody waits for it any more.
        guard !pages.isEmpty, showsClients else {
            isCounting = false
            return
        }
        guard count.step() else {
            isCounting = false
            clients = count.most(StatusBoard.shownClients)
            return
        }
        let next = NIOLoopBound((self, count), eventLoop: eventLoop)
        eventLoop.execute { next.value.0.goOn(next.value.1) }
    }

    // MARK: Telling

    private func tell(_ message: ByteBuffer?) {
        guard let message else { return }
        for send in pages.values { send(message) }
    }

    /// An event of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html). JSON has no line breaks of
    /// its own.
    private func message(_ name: String, _ body: some Encodable) -> ByteBuffer? {
        var buffer = allocator.buffer(capacity: 4096)
        buffer.writeString("event: \(name)\ndata: ")
        do {
            try buffer.writeJSONEncodable(body, encoder: encoder)
        } catch {
            return nil
        }
        buffer.writeString("\n\n")
        return buffer
    }
}
