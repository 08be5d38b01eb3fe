import Foundation
import Testing

/// Checks of real servers.
@Suite(.ownThread, .fence)
struct HealthProgramTests {
    private static let fast =
        "interval = \"100ms\", fast-interval = \"100ms\", down-interval = \"100ms\", timeout = \"300ms\""

    /// A port that was free a moment ago.
    private static func freePort() throws -> UInt16 {
        let listener = try Listener.refusing()
        defer { listener.socket.close() }
        return listener.address.port
    }

    private static func program(_ name: String) -> String? {
        ["/usr/sbin/", "/usr/bin/", "/usr/local/bin/"].map { $0 + name }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }

    private func expect(_ state: String, _ daemon: Daemon) throws {
        try eventually("b1 is \(state); limpetd said: \(daemon.log)") { try daemon.ctl.backend("b1").state == state }
    }

    @Test(.enabled(if: program("nginx") != nil, "nginx is missing"))
    func nginx() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let port = try Self.freePort()
        let configuration = """
            daemon off;
            master_process off;
            pid \(directory)/pid;
            error_log \(directory)/error.log;
            events { worker_connections 64; }
            http {
                access_log \(directory)/access.log;
                client_body_temp_path \(directory)/body;
                proxy_temp_path \(directory)/proxy;
                fastcgi_temp_path \(directory)/fastcgi;
                uwsgi_temp_path \(directory)/uwsgi;
                scgi_temp_path \(directory)/scgi;
                server {
                    listen 127.0.0.1:\(port);
                    location = /up { return 200 "all is well\\n"; }
                    location = /bad { return 503; }
                }
            }
            """
        try configuration.write(toFile: "\(directory)/nginx.conf", atomically: false, encoding: .utf8)
        let nginx = try ChildProcess([
            try #require(Self.program("nginx")), "-p", directory, "-c", "\(directory)/nginx.conf",
        ])
        let address = SocketAddress("127.0.0.1", port)
        try eventually("nginx listens; it said: \(nginx.stderr)") {
            (try? TCPSocket.connect(to: address))?.close() != nil
        }
        let good = "health = { type = \"http\", path = \"/up\", expect-body = \"is well\", \(Self.fast) }"
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: [good], backends: [.init(name: "b1", address: address)])
        ])
        let daemon = reloadable.daemon
        try expect("up", daemon)
        #expect(try daemon.ctl.backend("b1").checkResult == "HTTP 200")
        // Stopped, it is found by this check …
        nginx.signal(SIGSTOP)
        try expect("down", daemon)
        // … and not by a connection alone.
        reloadable.services[0].settings = ["health = { \(Self.fast) }"]
        try reloadable.reload()
        try expect("up", daemon)
        nginx.signal(SIGCONT)
        reloadable.services[0].settings = [good.replacing("/up", with: "/bad")]
        try reloadable.reload()
        try expect("down", daemon)
        #expect(try daemon.ctl.backend("b1").checkResult == "HTTP 503, wanted 200-399")
        #expect(try daemon.ctl.expect("backends", "--wide").contains("HTTP 503, wanted 200-399"))
        // It asked for the end of each conversation, and saw it.
        let log = try String(contentsOfFile: "\(directory)/access.log", encoding: .utf8)
        #expect(log.contains("\"GET /up HTTP/1.1\" 200") && log.contains("\"limpetd\""))
        nginx.signal(SIGTERM)
        try daemon.stop()
    }

    @Test(.enabled(if: program("redis-server") != nil, "redis-server is missing"), arguments: [false, true])
    func redis(_ byPattern: Bool) throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let port = try Self.freePort()
        func start() throws -> ChildProcess {
            try ChildProcess([
                try #require(Self.program("redis-server")), "--port", "\(port)", "--bind", "127.0.0.1", "--save", "",
                "--dir", directory, "--daemonize", "no",
            ])
        }
        let server = try start()
        let wanted = byPattern ? "expect-regex = '^\\+P.NG\\r\\n'" : "expect = \"+PONG\""
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"],
                settings: ["health = { type = \"expect\", send = \"PING\\r\\n\", \(wanted), \(Self.fast) }"],
                backends: [.init(name: "b1", address: SocketAddress("127.0.0.1", port))])
        ])
        let daemon = reloadable.daemon
        try expect("up", daemon)
        #expect(try daemon.ctl.backend("b1").checkResult == "sent what was expected")
        server.signal(SIGKILL)
        try expect("down", daemon)
        #expect(try daemon.ctl.backend("b1").checkResult == "connect refused")
        let next = try start()
        try expect("up", daemon)
        // A server of another kind, or one that wants a password, is none.
        let client = try TCPSocket.connect(to: SocketAddress("127.0.0.1", port))
        try client.send("CONFIG SET requirepass secret\r\n")
        _ = try client.receiveLine()
        try expect("down", daemon)
        let result = try daemon.ctl.backend("b1").checkResult
        #expect(
            result?.hasPrefix("sent \"-NOAUTH") == true || result?.hasPrefix("timed out") == true, "\(result ?? "-")")
        next.signal(SIGTERM)
        try daemon.stop()
    }

    /// A server that wants another protocol answers with an alert, and speaks TLS; one that sends back what it gets does not.
    @Test(
        .enabled(if: program("openssl") != nil, "openssl is missing"), arguments: [["-quiet"], ["-quiet", "-tls1_3"]])
    func tls(_ options: [String]) throws {
        let openssl = try #require(Self.program("openssl"))
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let (key, certificate) = ("\(directory)/key.pem", "\(directory)/certificate.pem")
        let made = try run([
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
            "/CN=b1", "-days", "2", "-keyout", key, "-out", certificate,
        ])
        try #require(made.status == 0, "\(made.stderr)")
        let port = try Self.freePort()
        let server = try ChildProcess(
            [openssl, "s_server", "-accept", "127.0.0.1:\(port)", "-cert", certificate, "-key", key] + options)
        let echo = try BackendServer(.echo)
        let reloadable = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["health = { type = \"tls-hello\", \(Self.fast) }"],
                backends: [
                    .init(name: "b1", address: SocketAddress("127.0.0.1", port)),
                    .init(name: "plain", address: echo.address),
                ])
        ])
        let daemon = reloadable.daemon
        try expect("up", daemon)
        try eventually("what speaks no TLS is down") { try daemon.ctl.backend("plain").state == "down" }
        server.signal(SIGKILL)
        try expect("down", daemon)
        #expect(try daemon.ctl.backend("b1").checkResult == "connect refused")
        try daemon.stop()
    }
}
