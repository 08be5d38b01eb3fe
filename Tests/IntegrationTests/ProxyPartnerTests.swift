import Foundation
import Testing

/// The PROXY protocol with other programs on both sides: whatever the last one logs is the client's address.
@Suite(.ownThread, .fence)
struct ProxyPartnerTests {
    enum Program: String, CaseIterable, Sendable {
        case haproxy, nginx
    }

    /// A proxy of another kind with a port of its own, which listens once it is started.
    private final class Partner {
        let address: SocketAddress
        private let place: TCPSocket
        let directory: String
        private var process: ChildProcess?

        init(_ host: String) throws {
            // They want a number: this socket keeps one for them, and does not listen.
            place = try TCPSocket(for: SocketAddress(host, 0))
            place.set(SOL_SOCKET, SO_REUSEADDR, 1)
            place.set(SOL_SOCKET, SO_REUSEPORT, 1)
            let (wanted, fd) = (SocketAddress(host, 0), place.fd)
            guard wanted.withSockaddr({ bind(fd, $0, $1) }) == 0 else { throw SocketFailure(call: "bind", code: errno) }
            address = place.local
            directory = try temporaryDirectory()
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        var log: String { (process?.stdout ?? "") + (process?.stderr ?? "") + file("log") }

        func file(_ name: String) -> String {
            (try? String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)) ?? ""
        }

        private func write(_ text: String) throws {
            try text.write(toFile: "\(directory)/conf", atomically: false, encoding: .utf8)
        }

        /// Accepts the header and answers with the addresses that it believes.
        func receive(_ program: Program) throws {
            switch program {
            case .haproxy:
                try write(
                    """
                    global
                      log stdout format raw local0
                    defaults
                      mode http
                      log global
                      timeout connect 30s
                      timeout client 30s
                      timeout server 30s
                    frontend behind
                      bind \(address) accept-proxy
                      log-format "last %ci %cp"
                      http-request return status 200 content-type text/plain lf-string "%ci %cp %[dst] %[dst_port]"

                    """)
            case .nginx:
                try writeNginx(
                    """
                    http {
                      log_format last "last $remote_addr $remote_port";
                      access_log \(directory)/log last;
                      set_real_ip_from 127.0.0.0/8;
                      set_real_ip_from ::1;
                      real_ip_header proxy_protocol;
                      server {
                        listen \(address) proxy_protocol reuseport;
                        location / {
                          return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
                        }
                      }
                    }
                    """)
            }
            try start(program)
        }

        /// Takes connections and sends a header ahead of them to `target`.
        func send(_ program: Program, _ version: String, to target: SocketAddress) throws {
            switch program {
            case .haproxy:
                try write(
                    """
                    defaults
                      mode tcp
                      timeout connect 30s
                      timeout client 30s
                      timeout server 30s
                    listen before
                      bind \(address)
                      server s1 \(target) \(version == "v1" ? "send-proxy" : "send-proxy-v2 proxy-v2-options crc32c,unique-id")

                    """)
            case .nginx:
                try writeNginx(
                    """
                    stream {
                      server {
                        listen \(address) reuseport;
                        proxy_pass \(target);
                        proxy_protocol on;
                      }
                    }
                    """)
            }
            try start(program)
        }

        private func writeNginx(_ text: String) throws {
            let module = "/usr/lib/nginx/modules/ngx_stream_module.so"
            let load = text.hasPrefix("stream") ? "load_module \(module);" : ""
            try write(
                """
                \(load)
                daemon off;
                master_process off;
                pid \(directory)/pid;
                error_log stderr;
                events {}
                \(text)

                """)
        }

        private func start(_ program: Program) throws {
            let command: [String] =
                switch program {
                case .haproxy: ["env", "haproxy", "-db", "-f", "\(directory)/conf"]
                case .nginx: ["env", "nginx", "-p", directory, "-e", "stderr", "-c", "\(directory)/conf"]
                }
            let process = try ChildProcess(command)
            self.process = process
            try eventually("\(program) listens: \(process.stderr)") {
                if let ending = process.poll() {
                    throw TimedOut(what: "\(program) has ended (\(ending)): \(process.stderr)", limit: .zero)
                }
                guard let probe = try? TCPSocket.connect(to: address) else { return false }
                probe.reset()
                return true
            }
        }

        func end() { process?.signal(SIGTERM) }
    }

    private func ask(_ address: SocketAddress, from source: String?) throws -> (client: SocketAddress, answer: String) {
        let client = try TCPSocket.connect(to: address, from: source)
        try client.send("GET / HTTP/1.0\r\n\r\n")
        let text = String(decoding: try client.receiveToEnd().bytes, as: UTF8.self)
        return (client.local, String(text.split(separator: "\r\n").last ?? ""))
    }

    /// Client, another proxy, limpetd, another proxy that logs: v1 and v2 out, whatever came in.
    @Test(arguments: Program.allCases, Program.allCases)
    func fromOneToTheOther(_ before: Program, _ after: Program) throws {
        for host in ["127.0.0.1", "::1"] {
            for version in ["v1", "v2"] {
                // nginx sends version 1 alone.
                let incoming = before == .nginx ? "v1" : version
                let last = try Partner(host)
                try last.receive(after)
                defer { last.end() }
                let reloadable = try Reloadable([
                    Reloadable.Service(
                        listen: [SocketAddress(host, 0).description],
                        settings: [
                            "accept-proxy = [\"127.0.0.0/8\", \"::1\"]", "send-proxy = \"\(version)\"",
                            "send-proxy-tlvs = [\(version == "v2" ? "\"received\", \"unique-id\", \"crc32c\"" : "")]",
                            "health = \"http:/\"", "health-interval = \"100ms\"",
                        ],
                        backends: [.init(name: "b1", address: last.address)])
                ])
                let daemon = reloadable.daemon
                let first = try Partner(host)
                try first.send(before, incoming, to: daemon.address)
                defer { first.end() }
                // It checks by a header that names nobody, and hears that all is well.
                try eventually("the check passes: \(last.log)") { try daemon.ctl.backend("b1").state == "up" }
                let (client, answer) = try ask(first.address, from: host == "::1" ? nil : "127.0.9.9")
                #expect(
                    answer == "\(client.host) \(client.port) \(first.address.host) \(first.address.port)",
                    "\(before) \(incoming), \(version) \(after): \(last.log)")
                try eventually("the last one logs the client: \(last.log)") {
                    last.log.contains("last \(client.host) \(client.port)\n")
                }
                try eventually("it is counted") { try daemon.ctl.metrics().text.contains("reason=\"proxy-header\"} 0") }
                #expect(!last.log.localizedCaseInsensitiveContains("broken"), "\(last.log)")
                try daemon.stop()
            }
        }
    }
}
