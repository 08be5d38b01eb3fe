import Control
import Foundation
import NIOCore
import Testing

/// Answers that the plane takes its time for.
@Suite struct LaterTests {
    private func slowDaemon(_ limits: ControlLimits = ControlLimits(), _ body: (TestDaemon) throws -> Void) throws {
        var state = FakePlane.State()
        state.isSlow = true
        try TestDaemon.run(FakePlane(state), limits: limits, body)
    }

    private let request = LaterTests.post("/v1/drain", #"{"backend":"ws1"}"#)

    private static func post(_ target: String, _ body: String, headers: String = "") -> String {
        "POST \(target) HTTP/1.1\r\nHost: limpet\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private func waitForChanges(_ count: Int, _ daemon: TestDaemon) throws {
        let end = ContinuousClock.now + .seconds(60)
        while daemon.plane.with({ $0.waiting.count }) < count {
            try #require(ContinuousClock.now < end)
            usleep(1000)
        }
    }

    @Test func `Others are answered meanwhile, and the answer comes when it is there`() throws {
        try slowDaemon { (daemon) throws in
            let client = try RawClient(daemon.path)
            defer { client.close() }
            try client.send(LaterTests.post("/v1/drain", #"{"backend":"ws1"}"#, headers: "Connection: close\r\n"))
            try waitForChanges(1, daemon)
            #expect(try daemon.ask("GET", "/v1/status").status == 200)
            daemon.plane.answerWaiting()
            let response = try #require(RawResponse(client.readToEnd()))
            #expect(response.status == 200)
            #expect((response.json["backends"] as? [[String: Any]])?.first?["state"] as? String == "draining")
        }
    }

    @Test func `A failure that comes later is told as one that comes at once`() throws {
        for (error, status) in [
            (ControlError(.refused, "no") as any Error, 409), (CancellationError() as any Error, 500),
        ] {
            try slowDaemon { (daemon) throws in
                let client = try RawClient(daemon.path)
                defer { client.close() }
                try client.send(LaterTests.post("/v1/drain", #"{"backend":"ws1"}"#, headers: "Connection: close\r\n"))
                try waitForChanges(1, daemon)
                daemon.plane.answerWaiting(.failure(error))
                #expect(try #require(RawResponse(client.readToEnd())).status == status)
            }
        }
    }

    /// It is the engine that takes its time: neither limit on the client's own slowness counts.
    @Test func `A client that waits is not cut off`() throws {
        var limits = ControlLimits()
        limits.requestTime = .milliseconds(50)
        limits.stallTime = .milliseconds(50)
        try slowDaemon(limits) { (daemon) throws in
            let client = try RawClient(daemon.path)
            defer { client.close() }
            try client.send(request)
            try waitForChanges(1, daemon)
            // Two that are cut off after the first began to wait: the loop's timers have run.
            for _ in 0..<2 {
                let idle = try RawClient(daemon.path)
                #expect(try idle.readToEnd().isEmpty)
                idle.close()
            }
            daemon.plane.answerWaiting()
            #expect(try client.readSome().starts(with: Array("HTTP/1.1 200".utf8)))
        }
    }

    @Test func `The next request of a pipeline waits for its turn`() throws {
        try slowDaemon { (daemon) throws in
            let client = try RawClient(daemon.path)
            defer { client.close() }
            try client.send(request + "GET /v1/version HTTP/1.1\r\nHost: limpet\r\nConnection: close\r\n\r\n")
            try waitForChanges(1, daemon)
            daemon.plane.answerWaiting()
            let all = try client.readToEnd()
            #expect(all.components(separatedBy: "HTTP/1.1 200").count == 3, "\(all)")
            let second = try #require(all.range(of: "HTTP/1.1 200", options: .backwards))
            #expect(all[..<second.lowerBound].contains("backends") && !all[second.lowerBound...].contains("backends"))
        }
    }

    @Test func `A client that leaves is not waited for`() throws {
        try slowDaemon { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send(request)
            try waitForChanges(1, daemon)
            client.close()
            // Its end has been seen once the server answers somebody who came after.
            for _ in 0..<5 { #expect(try daemon.ask("GET", "/v1/status").status == 200) }
            daemon.plane.answerWaiting()
            #expect(try daemon.ask("GET", "/v1/status").status == 200)
        }
    }
}
