import Foundation
import Testing

/// What `limpetctl metrics` says, beside what is known.
@Suite(.ownThread, .fence)
struct MetricsTests {
    @Test(.enabled(if: Promtool.path != nil, "promtool is not installed"))
    func promtoolIsSilent() throws {
        let server = try BackendServer(.echo)
        let daemon = try Daemon([server.address])
        let client = try daemon.connect()
        try expectEcho(client)
        #expect(try Promtool.complaints(about: daemon.ctl.expect("metrics")) == "")
        // It would have something to say about others.
        #expect(try !Promtool.complaints(about: "# TYPE a_total gauge\na_total 1\n").isEmpty)
        try daemon.stop()
    }

    /// A known load, and every number that follows from it.
    @Test func numbers() throws {
        let servers = try (1...2).map { _ in try BackendServer(.echo) }
        let daemon = try Daemon(servers.map(\.address))
        let before = try daemon.ctl.metrics()
        #expect(before["limpet_connections"] == 0 && before["limpet_ready"] == 1)
        #expect(before["limpet_service_panic{service=\"default\"}"] == 0)
        #expect(before["limpet_service_backends_up{service=\"default\"}"] == 2)

        var clients: [TCPSocket] = []
        var landed: [String: Int] = ["b1": 0, "b2": 0]
        for number in 0..<6 {
            let host = clientHost(number)
            landed[try #require(try daemon.ctl.locate(host).chosen), default: 0] += 1
            let client = try daemon.connect(from: host)
            try expectEcho(client)
            clients.append(client)
        }
        var during = try daemon.ctl.metrics()
        for (name, count) in landed {
            #expect(during.of(name, "connections") == Double(count))
            #expect(during.of(name, "connections_total") == Double(count))
            #expect(during.of(name, "bytes_in_total") == Double(4 * count))
            #expect(during.of(name, "bytes_out_total") == Double(4 * count))
            #expect(during.of(name, "state", "state=\"up\"") == 1)
            #expect(during.of(name, "state", "state=\"down\"") == 0)
            #expect(during.of(name, "up") == 1 && during.of(name, "weight") == 1)
        }
        let listener = "{service=\"default\",listener=\"\(daemon.address)\"}"
        #expect(during["limpet_listener_accepted_total\(listener)"] == 6)
        #expect(during["limpet_listener_connections\(listener)"] == 6)
        #expect(during["limpet_connections"] == 6)
        #expect(try #require(during["process_open_fds"]) > 12)
        #expect(try #require(during["process_resident_memory_bytes"]) > 1_000_000)
        let most = try #require(during["process_virtual_memory_max_bytes"])
        #expect(try #require(during["process_virtual_memory_bytes"]) <= most)

        // What a drain leaves, and that a service without a backend is told of.
        try daemon.ctl.expect("drain", "b1")
        try daemon.ctl.expect("drain", "b2", "--force")
        during = try daemon.ctl.metrics()
        #expect(during.of("b1", "drain_remaining") == Double(landed["b1"]!))
        #expect(during["limpet_service_panic{service=\"default\"}"] == 1)
        try daemon.ctl.expect("undrain", "b2")
        #expect(try daemon.ctl.metrics()["limpet_service_panic{service=\"default\"}"] == 0)

        for client in clients { client.close() }
        try eventually("all have gone") { try daemon.ctl.metrics()["limpet_connections"] == 0 }
        let after = try daemon.ctl.metrics()
        #expect(after.of("b1", "connections_total") == Double(landed["b1"]!))
        #expect(after.of("b1", "state", "state=\"drained\"") == 1)
        try daemon.stop()
    }

    /// How connections ended, over the death of an engine and a reload; nothing begins anew.
    @Test func ends() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try Reloadable([server])
        let ctl = reloadable.ctl
        func closed(_ reason: String) throws -> Double? {
            try ctl.metrics()["limpet_connections_closed_total{reason=\"\(reason)\"}"]
        }
        var clients = try (0..<6).map { try reloadable.client(from: clientHost($0)) }
        try clients.removeLast().finish()
        try eventually("the client's FIN is counted") { try closed("client-fin") == 1 }
        clients.removeLast().abort()
        try eventually("the client's RST is counted") { try closed("client-rst") == 1 }

        let engine = try reloadable.daemon.enginePID
        #expect(kill(engine, SIGKILL) == 0)
        try eventually("another engine answers") {
            try ctl.run("ready", "-q").status == 0 && reloadable.daemon.enginePID != engine
        }
        let row = try #require(try ctl.connections().first)
        try ctl.expect("close", row.id)
        let told = try #require(clients.first { $0.local.description == row.client })
        #expect(try told.receiveToEnd().end == .fin)
        told.close()
        try eventually("the operator's close is counted") { try closed("operator") == 1 }
        reloadable.services[0].settings = ["max-connections-per-client = 1"]
        try reloadable.reload()
        let other = try #require(try ctl.connections().first).client
        let refused = try reloadable.daemon.connect(from: String(other.prefix { $0 != ":" }))
        _ = try refused.receiveToEnd()
        try eventually("the refusal is counted") {
            try ctl.metrics()[
                "limpet_listener_refused_total{service=\"chat\",listener=\"\(reloadable.daemon.address)\",reason=\"client-limit\"}"
            ] == 1
        }

        let metrics = try ctl.metrics()
        #expect(try closed("client-fin") == 1 && closed("client-rst") == 1)
        #expect(metrics["limpet_connection_duration_seconds_count"] == 3)
        #expect(metrics["limpet_connection_duration_seconds_bucket{le=\"+Inf\"}"] == 3)
        #expect(metrics.of("b1", "connections_total", service: "chat") == 6)
        #expect(metrics.of("b1", "connect_duration_seconds_count", service: "chat") == 6)
        #expect(metrics.of("b1", "connections", service: "chat") == 3)
        #expect(metrics["limpet_crashes_recovered_total"] == 1)
        #expect(metrics["limpet_eventloop_lag_seconds{worker=\"0\"}"] != nil)
        for client in clients { client.close() }
        try reloadable.daemon.stop()
    }

    /// Failed connects by their reason; reloads by their result; series that come and go.
    @Test func failuresAndReloads() throws {
        let server = try BackendServer(.echo)
        let closed = try BackendServer(.echo)
        let address = closed.address
        try closed.stop()
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["health = \"off\"", "passive-fall = \"off\""],
                backends: [.init(name: "b1", address: server.address), .init(name: "b2", address: address)])
        ])
        let daemon = reloadable.daemon
        let source = try #require(
            try (0..<200).map { clientHost($0) }.first { try daemon.ctl.locate($0).chosen == "b2" })
        let client = try daemon.connect(from: source)
        try expectEcho(client)
        var metrics = try daemon.ctl.metrics()
        #expect(metrics.of("b2", "connect_failures_total", "reason=\"refused\"", service: "chat") == 1)
        #expect(metrics.of("b2", "connect_failures_total", "reason=\"timeout\"", service: "chat") == 0)
        #expect(metrics.of("b2", "fallback_total", service: "chat") == 1)
        #expect(metrics.of("b1", "away", service: "chat") == 1)

        reloadable.services[0].backends.removeLast()
        try reloadable.reload()
        metrics = try daemon.ctl.metrics()
        #expect(metrics.of("b2", "connections", service: "chat") == nil)
        #expect(metrics["limpet_config_reloads_total{result=\"success\"}"] == 1)
        #expect(metrics["limpet_config_reloads_total{result=\"failure\"}"] == 0)
        try daemon.stop()
    }
}
