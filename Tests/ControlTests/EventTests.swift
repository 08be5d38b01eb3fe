import Control
import Foundation
import NIOCore
import Testing

/// Checks on demand, and the stream of events.
@Suite struct EventTests {
    private let request = "GET /v1/events HTTP/1.1\r\nHost: limpet\r\n\r\n"

    private func event(_ cause: String) -> ControlEvent {
        ControlEvent(.health, service: "chat", backend: "ws1", old: "up", new: "down", cause: cause)
    }

    /// A whole object that holds a text. Chunks have lines of their own around it.
    private func whole(_ wanted: String, in text: String) -> Substring? {
        text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("{") && $0.hasSuffix("}") && $0.contains(wanted) }
    }

    /// What a client reads until a text comes; events are posted until then.
    private func follow(_ client: RawClient, _ daemon: TestDaemon, until wanted: String) throws -> String {
        var text = ""
        while whole(wanted, in: text) == nil {
            try daemon.post(event(wanted))
            let some = try client.readSome()
            try #require(!some.isEmpty, "\(text)")
            text += String(decoding: some, as: UTF8.self)
        }
        return text
    }

    @Test func `Every event is a line, and silence is no reason to end`() throws {
        var limits = ControlLimits()
        limits.stallTime = .milliseconds(20)
        limits.requestTime = .milliseconds(20)
        try TestDaemon.run(limits: limits) { (daemon) throws in
            let client = try RawClient(daemon.path)
            defer { client.close() }
            try client.send(request)
            let head = try follow(client, daemon, until: "first")
            #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n") && head.contains("application/x-ndjson"))
            usleep(200_000)
            let text = try follow(client, daemon, until: "second")
            let line = try #require(whole("second", in: text))
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(
                Set(object.keys) == [
                    "schema", "version", "time", "event", "cursor", "service", "backend", "listener", "old", "new",
                    "cause", "count", "uid",
                ])
            #expect(object["event"] as? String == "health" && object["count"] is NSNull)
        }
    }

    @Test func `A client that does not read is told how many it has missed, and costs no memory`() throws {
        try TestDaemon.run { (daemon) throws in
            let client = try RawClient(daemon.path)
            defer { client.close() }
            try client.send(request)
            _ = try follow(client, daemon, until: "begin")
            let count = 5000
            for number in 0..<count { try daemon.post(event("number \(number) \(String(repeating: "x", count: 100))")) }
            var text = ""
            while whole("number \(count - 1) ", in: text) == nil {
                let some = try client.readSome()
                try #require(!some.isEmpty)
                text += String(decoding: some, as: UTF8.self)
            }
            let missed = text.matches(of: /"count":(\d+),"cursor":"[0-9a-f]+-\d+","event":"missed"/)
                .reduce(0) { $0 + (Int($1.1) ?? 0) }
            let seen = text.matches(of: /number \d+ x/).count
            #expect(missed > 0 && missed + seen == count, "\(missed) + \(seen)")
        }
    }

    @Test func `The stream ends with the daemon`() throws {
        let daemon = try TestDaemon()
        let client = try RawClient(daemon.path)
        defer { client.close() }
        try client.send(request)
        _ = try follow(client, daemon, until: "begin")
        try daemon.stop()
        #expect(try client.readToEnd().hasSuffix("0\r\n\r\n"))
    }

    @Test func `A check says what was found, and fails where it did`() throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("POST", "/v1/check", body: #"{"backend":"ws1"}"#)
            #expect(response.status == 200)
            #expect(response.json["outcome"] as? String == "failed")
            #expect(response.json["result"] as? String == "HTTP 503, wanted 2xx")
            #expect(response.json["seconds"] as? Double == 0.0125)
            #expect(daemon.plane.with { $0.changes } == ["check chat/ws1"])
            #expect(try daemon.ask("GET", "/v1/check").status == 405)
            #expect(try daemon.ask("POST", "/v1/events").status == 405)
            #expect(try daemon.ask("POST", "/v1/check", body: #"{"backend":"nobody"}"#).status == 404)
        }
    }
}
