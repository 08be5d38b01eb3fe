import Foundation
import Testing

/// A daemon in whose services every manner of ending comes about, and the account of what there should have been.
final class EndScene {
    private let image: Image
    private let directory: String
    private let listeners: [String: Listener]
    private let refusing: Listener
    private let reloadable: Reloadable
    private var addresses: [String: SocketAddress] = [:]
    private var daemon: Daemon { reloadable.daemon }
    /// By the word of the reason.
    private(set) var expected: [String: Int] = [:]
    /// Connections that every backend was given, by service and name. Each brought it five bytes, and took three.
    private var given: [String: Int] = [:]
    /// States that every backend went to, by service, name and state.
    private var changes: [String: Int] = [:]
    /// Backends that clients went on from, by service and name; each time after a failed connect.
    private var fallbacks: [String: Int] = [:]
    private var deaths = 0
    private var upgrades = 0

    private static let services = ["plain", "timed", "two", "outage", "limited", "rated", "fall", "gone"]

    init() throws {
        directory = try temporaryDirectory()
        image = try Image(directory, of: Programs.limpetd, "")
        var listeners: [String: Listener] = [:]
        for name in EndScene.services + ["second"] { listeners[name] = try Listener() }
        self.listeners = listeners
        refusing = try Listener.refusing()
        let settings = [
            "timed": ["idle-timeout = \"400ms\"", "half-close-timeout = \"200ms\""],
            "outage": ["health = \"tcp\"", "health-interval = \"100ms\"", "when-down = \"close\""],
            "limited": ["max-connections = 2", "max-connections-per-client = 1"],
            "rated": ["accept-rate-per-client = 1"], "fall": ["passive-fall = \"off\""],
        ]
        var services = EndScene.services.map { name in
            Reloadable.Service(
                name: name, listen: ["127.0.0.1:0"], settings: settings[name] ?? [],
                backends: [.init(name: "b1", address: listeners[name]!.address)])
        }
        services[2].backends.append(.init(name: "b2", address: listeners["second"]!.address))
        services[6].backends.insert(.init(name: "b0", address: refusing.address), at: 0)
        services.append(
            .init(name: "broken", listen: ["127.0.0.1:0"], backends: [.init(name: "b1", address: refusing.address)]))
        services.append(
            .init(name: "empty", listen: ["127.0.0.1:0"], backends: [.init(name: "b1", address: refusing.address)]))
        let image = image
        reloadable = try Reloadable(
            services,
            settings: ["access-log = \"both\"", "log-format = \"json\"", "removed-deadline = \"0s\""]
        ) {
            $0.limpetd = image.path
            $0.environment["LIMPET_UPGRADE_PATIENCE"] = "20000"
            $0.environment["LIMPET_BACKOFF"] = "off"
        }
        for row in try daemon.ctl.listeners() { addresses[row.service] = SocketAddress(row.address) }
        try eventually("what is checked is up") {
            try daemon.ctl.backends().contains { $0.service == "outage" && $0.state == "up" }
        }
        note("outage/b1", "up")
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    var lines: [AccessDocument] { accessLines(daemon) }
    var ends: [AccessDocument] { lines.filter { $0.end != nil } }

    private func expect(_ reason: String, _ count: Int = 1) { expected[reason, default: 0] += count }

    private func note(_ backend: String, _ states: String...) {
        for state in states { changes["\(backend)/\(state)", default: 0] += 1 }
    }

    /// Bytes go through a connection to a backend, in both directions: it is past its connect for certain.
    private func exchange(_ client: TCPSocket, _ backend: TCPSocket, _ name: String) throws {
        try client.send("hello")
        _ = try backend.receiveText(5)
        try answer(client, backend, name)
    }

    private func answer(_ client: TCPSocket, _ backend: TCPSocket, _ name: String) throws {
        try backend.send("yes")
        #expect(try client.receiveText(3) == "yes")
        given[name, default: 0] += 1
    }

    private func open(_ service: String, at backend: String? = nil, from source: String? = nil) throws -> Pair {
        let client = try TCPSocket.connect(to: addresses[service]!, from: source)
        let pair = Pair(client: client, backend: try listeners[backend ?? service]!.accept())
        try exchange(pair.client, pair.backend, "\(service)/b1")
        return pair
    }

    /// Waits until the lines have come that are expected so far.
    private func settle() throws {
        let count = expected.values.reduce(0, +)
        try eventually("\(count) ends are told of: \(expected)") { Set(ends.map(\.id)).count >= count }
    }

    // MARK: Manners

    func endByTheirOwn() throws {
        var pair = try open("plain")
        try pair.client.finish()
        _ = try pair.backend.receiveToEnd()
        pair.close()
        expect("client-fin")
        pair = try open("plain")
        try pair.backend.finish()
        _ = try pair.client.receiveToEnd()
        pair.close()
        expect("backend-fin")
        pair = try open("plain")
        pair.client.reset()
        #expect(try pair.backend.receiveToEnd().end == .reset)
        expect("client-rst")
        pair = try open("plain")
        pair.backend.reset()
        #expect(try pair.client.receiveToEnd().end == .reset)
        expect("backend-rst")
        // A FIN first, and then something worse: that counts.
        pair = try open("plain")
        try pair.client.finish()
        _ = try pair.backend.receiveToEnd()
        pair.backend.reset()
        #expect(try pair.client.receiveToEnd().end == .reset)
        expect("backend-rst")
        try settle()
    }

    func endByTime() throws {
        let idle = try open("timed")
        #expect(try idle.client.receiveToEnd().end == .fin)
        idle.close()
        expect("idle")
        let half = try open("timed")
        try half.client.finish()
        #expect(try half.client.receiveToEnd().end == .fin)
        half.close()
        expect("half-closed")
        try settle()
    }

    func endByOrder() throws {
        func ended(_ pair: Pair, _ reason: String) throws {
            // A deadline ends with a reset.
            #expect(try pair.client.receiveToEnd().end == .fin || reason == "drain")
            pair.close()
            expect(reason)
            try settle()
        }
        let ctl = daemon.ctl
        var pair = try open("plain")
        try ctl.expect("close", "--backend", "plain/b1", "--force")
        try ended(pair, "operator")
        pair = try open("plain")
        try ctl.expect("close", "--backend", "plain/b1", "--reset", "--force")
        #expect(try pair.client.receiveToEnd().end == .reset)
        expect("operator")
        try settle()
        pair = try open("plain")
        try ctl.expect("drain", "plain/b1", "--deadline", "0s", "--force")
        note("plain/b1", "draining")
        try ended(pair, "drain")
        #expect(try ctl.backends().first { $0.service == "plain" }?.state == "drained")
        try ctl.expect("undrain", "plain/b1")
        note("plain/b1", "drained", "up")
        pair = try open("plain")
        try ctl.expect("disable", "plain/b1", "--close", "--force")
        try ended(pair, "disable")
        try ctl.expect("enable", "plain/b1")
        note("plain/b1", "maintenance", "up")
        // A client whose home is b1 and who was sent to b2 comes home.
        let source = try #require(
            (1...200).map { "127.0.1.\($0)" }.first { source in
                (try? ctl.expect("where", source, "--service", "two").contains("two/b1")) ?? false
                    && (try? ctl.run("where", source, "--service", "two", "--plain").stdout.contains("b1")) ?? false
            })
        try ctl.expect("drain", "two/b1")
        let away = try TCPSocket.connect(to: addresses["two"]!, from: source)
        var end: TCPSocket?
        try eventually("it is somewhere") {
            end = try listeners["second"]!.acceptNow()
            return end != nil
        }
        try exchange(away, end!, "two/b2")
        try ctl.expect("undrain", "two/b1")
        note("two/b1", "drained", "up")
        try ctl.expect("rehome", "two", "--rate", "1000/s")
        try ended(Pair(client: away, backend: end!), "rehome")
        #expect(ends.last?.away == "draining" && ends.last?.home == "b1" && ends.last?.backend == "b2")
    }

    func refuse() throws {
        let broken = try TCPSocket.connect(to: addresses["broken"]!)
        #expect(try broken.receiveToEnd().end == .reset)
        expect("connect-failure")
        try daemon.ctl.expect("disable", "empty/b1", "--force")
        note("empty/b1", "maintenance")
        let empty = try TCPSocket.connect(to: addresses["empty"]!)
        #expect(try empty.receiveToEnd().end == .reset)
        expect("no-backend")
        try daemon.ctl.expect("pause", "\(addresses["broken"]!)", "--refuse")
        let paused = try TCPSocket.connect(to: addresses["broken"]!)
        #expect(try paused.receiveToEnd().end == .reset)
        expect("paused")
        let first = try open("limited", from: "127.0.0.41")
        let again = try TCPSocket.connect(to: addresses["limited"]!, from: "127.0.0.41")
        #expect(try again.receiveToEnd().end == .reset)
        expect("client-limit")
        let second = try open("limited", from: "127.0.0.42")
        let third = try TCPSocket.connect(to: addresses["limited"]!, from: "127.0.0.43")
        #expect(try third.receiveToEnd().end == .reset)
        expect("service-limit")
        for pair in [first, second] {
            try pair.client.finish()
            _ = try pair.backend.receiveToEnd()
            pair.close()
            expect("client-fin")
        }
        try fallBack()
        try comeTooFast()
        try settle()
        #expect(ends.filter { $0.end == "service-limit" }.allSatisfy { $0.backend == nil && $0.client != nil })
    }

    /// A client whose home cannot be reached.
    private func fallBack() throws {
        let source = try #require(
            (1...200).map { "127.0.2.\($0)" }.first {
                try daemon.ctl.locate($0, "--service", "fall").preference.first?.backend == "b0"
            })
        let client = try TCPSocket.connect(to: addresses["fall"]!, from: source)
        let pair = Pair(client: client, backend: try listeners["fall"]!.accept())
        try exchange(pair.client, pair.backend, "fall/b1")
        fallbacks["fall/b0", default: 0] += 1
        try pair.client.finish()
        _ = try pair.backend.receiveToEnd()
        pair.close()
        expect("client-fin")
    }

    /// A client comes again and again, until it was too fast.
    private func comeTooFast() throws {
        for _ in 0..<100 {
            let client = try TCPSocket.connect(to: addresses["rated"]!, from: "127.0.0.44")
            var backend: TCPSocket?
            try eventually("it is served or reset") {
                backend = try listeners["rated"]!.acceptNow()
                return backend != nil || client.ready(POLLIN)
            }
            guard let backend else {
                #expect(try client.receiveToEnd().end == .reset)
                return expect("client-rate")
            }
            try exchange(client, backend, "rated/b1")
            try client.finish()
            _ = try backend.receiveToEnd()
            Pair(client: client, backend: backend).close()
            expect("client-fin")
        }
        Issue.record("100 connections of one client are not too many at one a second")
    }

    func reload() throws {
        let pair = try open("gone")
        reloadable.services.removeAll { $0.name == "gone" }
        try reloadable.reload()
        #expect(try pair.client.receiveToEnd().end == .fin)
        pair.close()
        expect("removed")
        try settle()
    }

    func endByOutage() throws {
        let listener = listeners["outage"]!
        try eventually("it is up, and its checks are out of the way") {
            while let check = try listener.acceptNow() { check.close() }
            return try daemon.ctl.backends().contains { $0.service == "outage" && $0.state == "up" }
        }
        // Checks come by the same way as clients.
        let client = try TCPSocket.connect(to: addresses["outage"]!)
        try client.send("hello")
        var end: TCPSocket?
        try eventually("the client is there") {
            while let socket = try listener.acceptNow() {
                if (try? socket.receive(atMost: 5, within: .milliseconds(500))) == Array("hello".utf8) { end = socket }
            }
            return end != nil
        }
        try answer(client, end!, "outage/b1")
        listener.close()
        #expect(try client.receiveToEnd().end == .fin)
        client.close()
        end?.close()
        note("outage/b1", "down")
        expect("down")
        try settle()
    }

    /// What is open when the daemon ends has its line, too.
    func endWithTheDaemon() throws {
        let open = try (0..<3).map { _ in try self.open("plain") }
        try daemon.stop()
        for pair in open { pair.close() }
        expect("shutdown", 3)
        try settle()
    }

    // MARK: The counters

    /// Reasons of clients that never had a place in the table.
    private static let refusals: Set<String> = ["service-limit", "client-limit", "client-rate", "paused"]

    /// Every counter, beside the account, while nothing is open.
    func compareCounters(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let metrics = try daemon.ctl.metrics().values
        func total(_ name: String, _ labels: String) -> Int {
            var sum = 0.0
            for (series, value) in metrics where series == name || series.hasPrefix(name + "{") {
                if labels.isEmpty || series.contains(labels) { sum += value }
            }
            return Int(sum)
        }
        func check(_ name: String, _ labels: String, _ count: Int) {
            #expect(total(name, labels) == count, "\(name) \(labels)", sourceLocation: sourceLocation)
        }
        let closed = expected.filter { !EndScene.refusals.contains($0.key) }
        let reasons = metrics.keys.compactMap {
            $0.wholeMatch(of: #/limpet_connections_closed_total\{reason="(.*)"\}/#).map { String($0.1) }
        }
        #expect(reasons.count > 20)
        for reason in reasons {
            check("limpet_connections_closed_total", "\"\(reason)\"", closed[reason] ?? 0)
        }
        let count = closed.values.reduce(0, +)
        check("limpet_connection_duration_seconds_count", "", count)
        check("limpet_connections", "", 0)
        check("limpet_crashes_recovered_total", "", deaths)
        check("limpet_upgrades_total", "success", upgrades)
        check("limpet_upgrades_total", "", upgrades)
        for reason in ["no-backend", "connect-failure"] + EndScene.refusals {
            check("limpet_listener_refused_total", "reason=\"\(reason)\"", expected[reason] ?? 0)
        }
        let failures = (expected["connect-failure"] ?? 0) + fallbacks.values.reduce(0, +)
        check("limpet_backend_connect_failures_total", "", failures)
        check("limpet_backend_connect_failures_total", "reason=\"refused\"", failures)
        for (name, count) in given {
            let parts = name.split(separator: "/")
            let backend = "service=\"\(parts[0])\",backend=\"\(parts[1])\""
            guard metrics.keys.contains(where: { $0.contains(backend) }) else { continue }
            check("limpet_backend_connections_total", backend, count)
            check("limpet_backend_connect_duration_seconds_count", backend, count)
            check("limpet_backend_bytes_in_total", backend, 5 * count)
            check("limpet_backend_bytes_out_total", backend, 3 * count)
        }
        let form =
            #/limpet_backend_(state_changes|fallback)_total\{service="(.*?)",backend="(.*?)"(?:,to="(.*)")?\}/#
        var compared = 0
        for (series, value) in metrics {
            guard let match = series.wholeMatch(of: form) else { continue }
            let name = "\(match.2)/\(match.3)"
            let count = match.1 == "fallback" ? fallbacks[name] : changes["\(name)/\(match.4 ?? "")"]
            #expect(Int(value) == count ?? 0, "\(series)", sourceLocation: sourceLocation)
            compared += 1
        }
        #expect(compared > 70, sourceLocation: sourceLocation)
        // A listener that is gone takes its counter with it.
        if metrics.keys.contains(where: { $0.contains("service=\"gone\"") }) {
            check("limpet_listener_accepted_total", "", count)
        }
    }

    // MARK: What goes on meanwhile

    /// The engine dies with a connection open, which knows nothing of it.
    func newEngine() throws {
        let pair = try open("plain")
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        deaths += 1
        try pair.client.finish()
        _ = try pair.backend.receiveToEnd()
        pair.close()
        expect("client-fin")
        try settle()
    }

    func upgrade() throws {
        let pair = try open("plain")
        try daemon.ctl.expect("upgrade")
        upgrades += 1
        try pair.backend.finish()
        _ = try pair.client.receiveToEnd()
        pair.close()
        expect("backend-fin")
        try settle()
    }
}
