import Control
import Foundation
import NIOCore
import Testing

/// HTTP itself: limits, bad bytes, pipelines, clients that dawdle or leave.
@Suite struct ConversationTests {
    @Test func `A body over the limit is 413, announced or not`() throws {
        try TestDaemon.run { (daemon) throws in
            let announced = try RawClient(daemon.path)
            try announced.send("POST /v1/drain HTTP/1.1\r\nHost: l\r\nContent-Length: 65537\r\n\r\n")
            #expect(try RawResponse(announced.readToEnd())?.status == 413)
            announced.close()
            let chunked = try RawClient(daemon.path)
            try chunked.send("POST /v1/drain HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n")
            try chunked.send("10001\r\n" + String(repeating: "x", count: 65537) + "\r\n")
            #expect(try RawResponse(chunked.readToEnd())?.status == 413)
            chunked.close()
            let full = #"{"backend":"ws1","service":"chat"}"# + String(repeating: " ", count: 65536 - 34)
            #expect(full.utf8.count == 65536)
            #expect(try daemon.ask("POST", "/v1/drain", body: full).status == 200)
        }
    }

    @Test func `A header over the limit is 431`() throws {
        try TestDaemon.run { (daemon) throws in
            for header in [
                "X: " + String(repeating: "x", count: 9000),
                (1...100).map { "X\($0): y" }.joined(separator: "\r\n"),
                (1...3).map { "X\($0): " + String(repeating: "x", count: 7000) }.joined(separator: "\r\n"),
            ] {
                let client = try RawClient(daemon.path)
                try client.send("GET /v1/status HTTP/1.1\r\nHost: l\r\n\(header)\r\n\r\n")
                let response = try #require(RawResponse(client.readToEnd()))
                #expect(response.status == 431)
                #expect(response.error["code"] as? String == "too_large")
                client.close()
            }
        }
    }

    @Test func `What is not HTTP is 400 and the end`() throws {
        try TestDaemon.run { (daemon) throws in
            for text in [
                "hello\r\n\r\n", "GET /v1/status\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
                "\u{16}\u{03}\u{01}\r\n",
            ] {
                let client = try RawClient(daemon.path)
                try client.send(text)
                let response = try #require(RawResponse(client.readToEnd()), "\(text.debugDescription)")
                #expect(response.status == 400)
                client.close()
            }
        }
    }

    @Test func `Pipelined requests are answered in their order`() throws {
        try TestDaemon.run { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send(
                "GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\nGET /v1/connections HTTP/1.1\r\nHost: l\r\n\r\n"
                    + "GET /v1/nothing HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")
            let text = try client.readToEnd()
            client.close()
            let statuses = text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { $0.prefix(3) }
            #expect(statuses == ["200", "200", "404"])
            #expect(text.contains("\"id\":\"1a2f\""))
        }
    }

    @Test func `The answer to HEAD has no body that could pass for the next answer`() throws {
        try TestDaemon.run { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send(
                "HEAD /v1/status HTTP/1.1\r\nHost: l\r\n\r\n"
                    + "GET /v1/version HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")
            let text = try client.readToEnd()
            client.close()
            let parts = text.components(separatedBy: "\r\n\r\n")
            #expect(parts[0].hasPrefix("HTTP/1.1 405") && parts[1].hasPrefix("HTTP/1.1 200"), "\(text)")
        }
    }

    @Test func `A client of HTTP 1.0 gets a stream that ends with the connection`() throws {
        try TestDaemon.run { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send("GET /v1/connections HTTP/1.0\r\n\r\n")
            let response = try #require(RawResponse(client.readToEnd()))
            client.close()
            #expect(response.headers["transfer-encoding"] == nil)
            #expect(response.lines.count == 3)
        }
    }

    @Test func `A client that does not finish its request is cut off`() throws {
        var limits = ControlLimits()
        limits.requestTime = .milliseconds(200)
        try TestDaemon.run(limits: limits) { (daemon) throws in
            for text in ["", "GET /v1/sta", "POST /v1/drain HTTP/1.1\r\nHost: l\r\nContent-Length: 5\r\n\r\n{"] {
                let client = try RawClient(daemon.path)
                try client.send(text)
                #expect(try client.readToEnd() == "")
                client.close()
            }
        }
    }

    @Test func `A client that does not read its answer is cut off`() throws {
        var limits = ControlLimits()
        limits.stallTime = .milliseconds(200)
        try TestDaemon.run(FakePlane(FakePlane.many(20_000)), limits: limits) { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send("GET /v1/connections HTTP/1.1\r\nHost: l\r\n\r\n")
            // No slot is looked at any more once the daemon has given up; what the kernel holds can still be read.
            while daemon.plane.with({ $0.slotsSeen }) == 0 { usleep(1000) }
            client.waitForHangUp()
            let text = try client.readToEnd()
            client.close()
            #expect(!text.contains("\"id\":\"4e20\""))
            #expect(!text.hasSuffix("0\r\n\r\n"))
        }
    }

    /// Its answers would otherwise pile up in memory, at hundreds of times the size of what it sends.
    @Test func `A client that pipelines and does not read is answered no further`() throws {
        try TestDaemon.run { (daemon) throws in
            let greedy = try RawClient(daemon.path)
            let body = #"{"backend":"chat/ws1"}"#
            let head = "POST /v1/undrain HTTP/1.1\r\nHost: l\r\nContent-Length: \(body.utf8.count)\r\n"
            let count = 1000
            try greedy.send(String(repeating: head + "\r\n" + body, count: count - 1))
            try greedy.send(head + "Connection: close\r\n\r\n" + body)
            // Others are served between its requests, until it stands still.
            var (seen, still) = (0, 0)
            while seen == 0 || still < 20 {
                #expect(try daemon.ask("GET", "/v1/version").status == 200)
                let now = daemon.plane.with { $0.changes.count }
                still = now == seen ? still + 1 : 0
                seen = now
            }
            #expect(seen < count)
            // Once it reads, it gets all that it asked for.
            let text = try greedy.readToEnd()
            greedy.close()
            #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == count + 1)
            #expect(daemon.plane.with { $0.changes.count } == count)
        }
    }

    @Test func `One client too many is told so, and room is made when one leaves`() throws {
        var limits = ControlLimits()
        limits.clients = 2
        try TestDaemon.run(limits: limits) { (daemon) throws in
            let stay = [try RawClient(daemon.path), try RawClient(daemon.path)]
            // They count once they have been served.
            for client in stay {
                try client.send("GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\n")
                #expect(!(try client.readSome()).isEmpty)
            }
            let refused = try daemon.ask("GET", "/v1/version")
            #expect(refused.status == 503)
            #expect(refused.error["code"] as? String == "busy")
            stay[0].close()
            var status = 503
            while status == 503 { status = try daemon.ask("GET", "/v1/version").status }
            #expect(status == 200)
            stay[1].close()
        }
    }

    @Test func `Past as many again clients are let go without a word`() throws {
        var limits = ControlLimits()
        limits.clients = 1
        try TestDaemon.run(limits: limits) { (daemon) throws in
            let stay = try RawClient(daemon.path)
            try stay.send("GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\n")
            #expect(!(try stay.readSome()).isEmpty)
            // One that is being told is let go after a second, so that this may take more than one look.
            let answers = try (0..<20).map { _ in
                let waiting = try RawClient(daemon.path)
                let surplus = try RawClient(daemon.path)
                defer {
                    waiting.close()
                    surplus.close()
                }
                try? surplus.send("GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\n")
                return try surplus.readToEnd()
            }
            #expect(answers.contains(""))
            stay.close()
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `Those who only read leave room for those who may change`() throws {
        var limits = ControlLimits()
        limits.clients = 2
        limits.readers = 1
        try TestDaemon.run(access: AccessPolicy(user: 65532, group: 65531), limits: limits) { (daemon) throws in
            chmod(daemon.path, 0o666)
            // Holds one place, and says so by what it prints, until its input ends.
            let holder = Process()
            holder.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
            let member = ["--reuid", "65530", "--regid", "65531", "--clear-groups"]
            let request = #"GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\n"#
            holder.arguments =
                member + [
                    "/usr/bin/python3", "-c",
                    "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);"
                        + "s.sendall(b'\(request)');print(s.recv(9),flush=True);sys.stdin.read()", daemon.path,
                ]
            let (input, output) = (Pipe(), Pipe())
            holder.standardInput = input
            holder.standardOutput = output
            try holder.run()
            #expect(!output.fileHandleForReading.availableData.isEmpty)
            let curl = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", daemon.path]
            let read = "http://limpet/v1/backends"
            let refused = try run("/usr/bin/setpriv", member + ["/usr/bin/curl"] + curl + [read])
            #expect(refused.output == "503")
            #expect(try daemon.ask("GET", "/v1/version").status == 200)
            try input.fileHandleForWriting.close()
            holder.waitUntilExit()
        }
    }

    @Test(.enabled(if: getuid() == 0)) func `The kernel's word for who asks is what counts`() throws {
        // The file alone would let everybody in.
        try TestDaemon.run(access: AccessPolicy(user: 65532, group: 65531)) { (daemon) throws in
            chmod(daemon.path, 0o666)
            func status(_ identity: [String], _ arguments: [String]) throws -> String {
                try run(
                    "/usr/bin/setpriv",
                    identity + [
                        "/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", daemon.path,
                    ] + arguments
                ).output
            }
            let stranger = ["--reuid", "65530", "--regid", "65530", "--clear-groups"]
            let member = ["--reuid", "65530", "--regid", "65530", "--groups", "65529,65531"]
            let user = ["--reuid", "65532", "--regid", "65530", "--clear-groups"]
            let read = ["http://limpet/v1/backends"]
            let change = ["-d", #"{"backend":"ws1"}"#, "http://limpet/v1/drain"]
            let refused = [try status(stranger, read), try status(stranger, change), try status(member, change)]
            #expect(refused == ["403", "403", "403"])
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            let allowed = [try status(member, read), try status(user, change)]
            #expect(allowed == ["200", "200"])
            #expect(daemon.plane.with { $0.changes } == ["drain chat/ws1"])
            #expect(daemon.plane.with { $0.callers.first?.uid } == 65532)
        }
    }

    @Test func `A stop removes the file, ends idle clients and lets nobody in`() throws {
        let daemon = try TestDaemon()
        let idle = try RawClient(daemon.path)
        try idle.send("GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\n")
        #expect(!(try idle.readSome()).isEmpty)
        let path = daemon.path
        try daemon.stop()
        #expect(try idle.readToEnd() == "")
        idle.close()
        #expect(throws: (any Error).self) { try RawClient(path) }
    }
}

/// Runs a program to its end.
func run(
    _ program: String, _ arguments: [String], environment: [String: String]? = nil
) throws -> (status: Int32, output: String, error: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    if let environment { process.environment = environment }
    let directory = try makeTemporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    // Files and not pipes: neither can fill up while the other is read.
    let (output, error) = (directory + "/out", directory + "/err")
    _ = FileManager.default.createFile(atPath: output, contents: nil)
    _ = FileManager.default.createFile(atPath: error, contents: nil)
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle(forWritingAtPath: error)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return (
        process.terminationStatus, try String(contentsOfFile: output, encoding: .utf8),
        try String(contentsOfFile: error, encoding: .utf8)
    )
}
