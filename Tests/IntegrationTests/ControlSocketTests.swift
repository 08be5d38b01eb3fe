import Foundation
import Testing

/// The control socket as other programs see it: HTTP/1.1 and JSON, for those who may.
@Suite(.ownThread, .fence)
struct ControlSocketTests {
    private func curl(_ daemon: Daemon, _ arguments: String...) throws -> (status: Int, body: String) {
        let outcome = try run(
            ["curl", "--silent", "--show-error", "--max-time", "20", "--unix-socket", daemon.ctl.control]
                + ["--write-out", "\n%{http_code}"] + arguments)
        #expect(outcome.status == 0, "\(outcome)")
        let lines = outcome.stdout.split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
    }

    @Test func curlReads() throws {
        let lane = try Lane()
        let pairs = try (0..<3).map { _ in try lane.open() }
        let backends = try curl(lane.daemon, "http://limpet/v1/backends")
        #expect(backends.status == 200)
        #expect(try Ctl.decode(BackendsDocument.self, backends.body).backends[0].connections == 3)
        #expect(try Ctl.decode(StatusDocument.self, curl(lane.daemon, "http://limpet/v1/status").body).connections == 3)
        // One object per line.
        let lines = try curl(lane.daemon, "http://limpet/v1/connections").body.split(separator: "\n").map(String.init)
        let rows = lines.compactMap { try? Ctl.decode(ConnectionRow.self, $0) }
        #expect(Set(rows.map(\.client)) == Set(pairs.map(\.client.local.description)))
        for line in lines { #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) } }
        let answer = try curl(lane.daemon, "http://limpet/v1/where?address=127.0.0.1")
        #expect(answer.status == 200)
        #expect(try Ctl.decode(WhereDocument.self, answer.body).chosen == "b1")
        #expect(try curl(lane.daemon, "http://limpet/v1/ready").status == 200)
        for each in pairs { each.close() }
        try lane.finish()
    }

    @Test func curlChanges() throws {
        let (first, second) = (try BackendServer(.echo), try BackendServer(.echo))
        let daemon = try Daemon([first.address, second.address])
        let drained = try curl(daemon, "--data", #"{"backend":"b1"}"#, "http://limpet/v1/drain")
        #expect(drained.status == 200, "\(drained.body)")
        #expect(try daemon.ctl.backend("b1").state == "drained")
        // Who asked is in the log.
        #expect(!daemon.logLines(containing: "drain", "b1", "uid=\(geteuid())").isEmpty)
        try daemon.stop()
    }

    /// Whatever comes in, the answer is an HTTP status and a reason, and the daemon serves on.
    @Test func nonsenseIsAnsweredWithAReason() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let cases: [([String], Int)] = [
            (["http://limpet/v1/nothing"], 404),
            (["http://limpet/"], 404),
            (["--request", "DELETE", "http://limpet/v1/backends"], 405),
            (["--data", "{}", "http://limpet/v1/backends"], 405),
            (["http://limpet/v1/drain"], 405),
            (["--data", "{", "http://limpet/v1/drain"], 400),
            (["--data", "{}", "http://limpet/v1/drain"], 400),
            (["--data", #"{"backend":"b1","colour":"red"}"#, "http://limpet/v1/drain"], 400),
            (["--data", #"{"backend":"b9"}"#, "http://limpet/v1/drain"], 404),
            (["--data", #"{"backend":"b1"}"#, "http://limpet/v1/drain"], 409),
            (["http://limpet/v1/where?address=rubbish"], 400),
            (["http://limpet/v1/connections?state=asleep"], 400),
        ]
        for (arguments, status) in cases {
            let outcome = try run(
                ["curl", "--silent", "--unix-socket", daemon.ctl.control, "--write-out", "\n%{http_code}"] + arguments)
            let lines = outcome.stdout.split(separator: "\n")
            #expect(lines.last.map(String.init) == "\(status)", "\(arguments): \(outcome)")
            let object = try JSONSerialization.jsonObject(with: Data((lines.first ?? "").utf8)) as? [String: Any]
            let error = object?["error"] as? [String: Any]
            #expect((error?["message"] as? String)?.isEmpty == false, "\(arguments): \(outcome)")
        }
        #expect(try daemon.ctl.backend("b1").intent == "ready")
        try daemon.stop()
    }

    /// A client that says nothing, or garbage, or goes away in the middle, takes nothing from others.
    @Test func rudeClientsHarmNobody() throws {
        let lane = try Lane()
        let silent = try (0..<10).map { _ in try UnixSocket(lane.daemon.ctl.control) }
        for text in [
            "\r\n\r\n", "GET", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}", String(repeating: "x", count: 100_000),
        ] {
            let rude = try UnixSocket(lane.daemon.ctl.control)
            rude.send(text)
        }
        // Asks for the whole table and reads nothing of it.
        let deaf = try UnixSocket(lane.daemon.ctl.control)
        deaf.send("GET /v1/connections HTTP/1.1\r\nHost: limpet\r\n\r\n")
        let pair = try lane.open()
        try pair.client.send("hello")
        #expect(try pair.backend.receiveText(5) == "hello")
        #expect(try lane.daemon.ctl.status().connections == 1)
        withExtendedLifetime((silent, deaf)) {}
        pair.close()
        try lane.finish()
    }

    @Test func theSocketIsForItsUserAndGroupOnly() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        var info = stat()
        #expect(stat(daemon.ctl.control, &info) == 0)
        #expect(info.st_mode & 0o7 == 0 || isRoot, "others may connect")
        #expect(info.st_mode & S_IFMT == S_IFSOCK)
        try daemon.stop()
    }
}
