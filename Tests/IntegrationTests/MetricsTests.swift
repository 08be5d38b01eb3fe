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

    /// What the daemon and its process are, beside what is known of them by other ways.
    @Test func surroundings() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try Reloadable(
            [
                Reloadable.Service(
                    listen: ["127.0.0.1:0"], settings: ["health = \"tcp\""],
                    backends: [.init(name: "b1", address: server.address, settings: ["max-connections = 7"])])
            ], settings: ["max-connections = 123"])
        let daemon = reloadable.daemon
        try eventually("it is checked") { try daemon.ctl.backend("b1").state == "up" }
        let client = try reloadable.client(from: "127.0.0.1")
        let status = try daemon.ctl.status()
        var metrics = try daemon.ctl.metrics()
        let labels = "service=\"chat\""
        #expect(metrics["limpet_build_info{version=\"\(status.version)\"}"] == 1)
        #expect(metrics["limpet_config_hash_info{hash=\"\(status.configHash)\"}"] == 1)
        let mapping = status.services[0].mappingHash
        #expect(metrics["limpet_mapping_hash_info{\(labels),hash=\"\(mapping)\"}"] == 1)
        #expect(metrics["limpet_workers"] == 2 && metrics["limpet_connections_limit"] == 123)
        #expect(metrics["limpet_pipe_pool{state=\"held\"}"] == 0 && metrics["limpet_pipes_refused_total"] == 0)
        #expect(metrics["limpet_pipe_pool{state=\"free\"}"] == Double(status.pipes) && status.pipes > 0)
        #expect(try #require(metrics["limpet_pipe_pool_limit"]) >= Double(status.pipes))
        #expect(metrics["limpet_listener_accepting{\(labels),listener=\"\(daemon.address)\"}"] == 1)
        #expect(metrics.of("b1", "connections_limit", service: "chat") == 7)
        #expect(try #require(metrics.of("b1", "check_duration_seconds", service: "chat")) > 0)
        // The kernel is asked meanwhile.
        try eventually("the ports are counted") {
            metrics = try daemon.ctl.metrics()
            return metrics["limpet_source_ports{source=\"auto\",\(labels),backend=\"b1\"}"] == 1
        }
        let ports = try String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
            .split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        #expect(
            metrics["limpet_source_ports_limit{source=\"auto\",\(labels),backend=\"b1\"}"] == ports[1] - ports[0] + 1)
        for name in ["0", "1"].map({ "limpet_worker_cpu_seconds_total{worker=\"\($0)\"}" })
            + ["process_cpu_seconds_total", "process_virtual_memory_bytes"]
        {
            #expect(try #require(metrics[name], "\(name)") > 0, "\(name)")
        }
        #expect(try #require(metrics["process_max_fds"]) >= 123 * 2)
        let now = Date().timeIntervalSince1970
        let (start, engine) = (metrics["limpet_start_time_seconds"], metrics["process_start_time_seconds"])
        #expect(try #require(start) > now - 86400 && #require(engine) >= #require(start) - 1 && #require(engine) <= now)

        try daemon.ctl.expect("pause", "\(daemon.address)")
        let former = try daemon.enginePID
        kill(former, SIGKILL)
        _ = try daemon.nextEngine(after: former)
        metrics = try daemon.ctl.metrics()
        #expect(metrics["limpet_listener_accepting{\(labels),listener=\"\(daemon.address)\"}"] == 0)
        #expect(metrics["limpet_start_time_seconds"] == start)
        #expect(try #require(metrics["process_start_time_seconds"]) >= #require(engine))
        client.close()
        try daemon.stop()
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
