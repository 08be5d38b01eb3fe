import Foundation
import Testing

/// Metrics and readiness over HTTP.
@Suite(.ownThread, .fence)
struct WebMetricsTests {
    private static let here = ["--metrics", "127.0.0.1:0"]

    private func daemon(_ server: BackendServer, _ more: [String] = []) throws -> Daemon {
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
        setup.arguments = WebMetricsTests.here + more
        return try Daemon(setup)
    }

    /// What is asked wrongly is answered, and changes nothing.
    @Test func wrongQuestions() throws {
        let server = try BackendServer(.echo)
        let daemon = try daemon(server)
        let web = try WebClient(daemon)
        #expect(try web.get("/").status == 404)
        #expect(try web.get("/v1/status").status == 404)
        #expect(try web.get("/metrics/").status == 404)
        let post = try web.get("/metrics", method: "POST", "Content-Length: 0")
        #expect(post.status == 405 && post.headers["allow"] == "GET, HEAD")
        #expect(try web.get("/metrics", "Content-Length: 3\r\n\r\nabc").status == 413)
        #expect(try web.get("/ready", "X: \(String(repeating: "x", count: 20_000))").status == 431)
        #expect(try web.ask("what is this\r\n\r\n").status == 400)
        #expect(try web.ask("GET /metrics HTTP/1.1\r\n\r\n").status == 400)
        #expect(try web.ask("GET /metrics HTTP/1.0\r\nHost: evil.example\r\n\r\n").status == 421)
        #expect(try web.ask("GET /live HTTP/1.0\r\n\r\n").body == "live\n")
        try daemon.stop()
    }

    @Test func whatIsServed() throws {
        let server = try BackendServer(.echo)
        let daemon = try daemon(server)
        let web = try WebClient(daemon)
        let metrics = try web.get("/metrics?x=y")
        #expect(metrics.status == 200)
        #expect(metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(try MetricsDocument(metrics.body)["limpet_ready"] == 1)
        if Promtool.path != nil { #expect(try Promtool.complaints(about: metrics.body) == "") }
        let head = try web.get("/metrics", method: "HEAD")
        #expect(head.status == 200 && head.body.isEmpty)
        #expect(try #require(Int(head.headers["content-length"] ?? "")) > 1000)
        let ready = try web.get("/ready")
        #expect(ready.status == 200 && ready.body == "ready\n")

        // One conversation takes many questions.
        let socket = try TCPSocket.connect(to: web.address)
        for _ in 0..<3 {
            try socket.send("GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            var answer = ""
            while !answer.hasSuffix("live\n") { answer += String(decoding: try socket.receive(), as: UTF8.self) }
            #expect(answer.hasPrefix("HTTP/1.1 200 OK"))
        }

        // Those who say nothing make room.
        let silent = try (0..<40).map { _ in try TCPSocket.connect(to: web.address) }
        #expect(try web.get("/live").status == 200)
        for socket in silent { socket.close() }
        try daemon.stop()
    }

    /// The socket outlives an engine, and an upgrade: nobody is turned away.
    @Test func survivesEnginesAndUpgrades() throws {
        let lane = try UpgradeLane { $0.arguments = WebMetricsTests.here }
        let web = try WebClient(lane.daemon)
        let talk = try lane.talk()
        try talk.exchange()
        #expect(kill(try lane.daemon.enginePID, SIGKILL) == 0)
        var metrics = try MetricsDocument(try web.get("/metrics").body)
        #expect(metrics["limpet_crashes_recovered_total"] == 1)
        _ = try lane.upgrade()
        metrics = try MetricsDocument(try web.get("/metrics").body)
        #expect(metrics["limpet_upgrades_total{result=\"success\"}"] == 1)
        #expect(metrics["limpet_crashes_recovered_total"] == 1)
        #expect(metrics.of("b1", "connections_total") == 1)
        #expect(try #require(metrics.of("b1", "bytes_in_total")) > 0)
        #expect(try lane.daemon.ctl.status().metrics == "\(web.address)")
        try talk.exchange()
        try talk.close()
        try lane.finish()
    }

    /// A reload opens it, moves it and takes it away; one that cannot changes nothing.
    @Test func reloads() throws {
        let server = try BackendServer(.echo)
        let reloadable = try Reloadable([server])
        let ctl = reloadable.ctl
        #expect(try ctl.status().metrics == nil)
        reloadable.settings = ["metrics = \"127.0.0.1:0\""]
        #expect(try reloadable.tryReload("--dry-run").status == 0)
        #expect(try ctl.status().metrics == nil)
        try reloadable.reload()
        let first = try WebClient(reloadable.daemon)
        #expect(try first.get("/live").status == 200)

        let taken = try Listener()
        reloadable.settings = ["metrics = \"\(taken.address)\""]
        let refused = try reloadable.tryReload()
        #expect(refused.status == 1 && refused.stderr.contains("metrics: cannot listen on \(taken.address)"))
        #expect(try first.get("/live").status == 200)
        taken.close()
        try reloadable.reload()
        let second = try WebClient(reloadable.daemon)
        #expect(second.address == taken.address)
        #expect(try second.get("/live").status == 200)
        #expect(throws: (any Error).self) { try first.get("/live") }

        reloadable.settings = []
        try reloadable.reload()
        #expect(try ctl.status().metrics == nil)
        #expect(throws: (any Error).self) { try second.get("/live") }
        #expect(try ctl.metrics()["limpet_config_reloads_total{result=\"failure\"}"] == 1)
        #expect(try ctl.metrics()["limpet_config_reloads_total{result=\"success\"}"] == 3)
        try reloadable.daemon.stop()
    }

    @Test func notReadyWhileItDrains() throws {
        let server = try BackendServer(.echo)
        let daemon = try daemon(server)
        let web = try WebClient(daemon)
        let client = try daemon.connect()
        try expectEcho(client)
        try daemon.ctl.expect("shutdown", "--drain", "60s", "--force")
        try eventually("it is not ready") { try web.get("/ready").status == 503 }
        #expect(try web.get("/live").status == 200)
        #expect(try MetricsDocument(try web.get("/metrics").body)["limpet_ready"] == 0)
        client.close()
        try daemon.ended()
    }
}
