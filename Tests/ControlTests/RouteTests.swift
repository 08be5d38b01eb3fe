import Control
import Foundation
import NIOCore
import Testing

/// What the socket answers, the unhappy paths first.
@Suite struct RouteTests {
    @Test func `An unknown path is 404 and says so`() throws {
        try TestDaemon.run { (daemon) throws in
            for target in ["/", "/v1", "/v2/status", "/v1/stats", "/v1/status/x", "/v1/backends/a/b/c", "/v1/drain/x"] {
                let response = try daemon.ask("GET", target)
                #expect(response.status == 404, "\(target)")
                #expect(response.error["code"] as? String == "unknown_path")
            }
        }
    }

    @Test func `A wrong method is 405 and names the right one`() throws {
        try TestDaemon.run { (daemon) throws in
            for (method, target, right) in [
                ("POST", "/v1/status", "GET"), ("HEAD", "/v1/backends", "GET"), ("GET", "/v1/drain", "POST"),
                ("DELETE", "/v1/close", "POST"), ("GET", "/v1/weight", "POST"), ("GET", "/v1/disable", "POST"),
                ("PUT", "/v1/enable", "POST"),
            ] {
                let response = try daemon.ask(method, target)
                #expect(response.status == 405, "\(method) \(target)")
                #expect(response.headers["allow"] == right)
            }
            #expect(daemon.plane.with { $0.changes }.isEmpty)
        }
    }

    @Test(arguments: [
        ("/v1/drain", "{", "not JSON"), ("/v1/drain", "[]", "an object is wanted"),
        ("/v1/drain", "", "\"backend\" is missing"), ("/v1/drain", #"{"backend":7}"#, "\"backend\" has the wrong type"),
        ("/v1/drain", #"{"backend":"ws1","deadline_second":5}"#, "unknown field \"deadline_second\""),
        ("/v1/drain", #"{"backend":"ws1","deadline_seconds":-1}"#, "not a number of seconds"),
        ("/v1/drain", #"{"backend":"ws1","rate":0}"#, "from 1 to 100000"),
        ("/v1/drain", #"{"backend":"ws1","rate":1,"over_seconds":5}"#, "one of rate and over_seconds"),
        ("/v1/drain", #"{"backend":"ws1","over_seconds":0}"#, "0.1 seconds at least"),
        ("/v1/drain", #"{"backend":"ws1","rate":1,"order":"rnadom"}"#, "is not one of random, idle, oldest"),
        ("/v1/drain", #"{"backend":"ws1","grace_seconds":5}"#, "grace_seconds goes with"),
        ("/v1/drain", #"{"backend":"ws1","order":"idle"}"#, "order goes with"),
        (
            "/v1/drain", #"{"backend":"ws1","rate":1,"grace_seconds":9,"deadline_seconds":5}"#,
            "before the grace period is over"
        ),
        ("/v1/disable", #"{"backend":"ws1","over_seconds":5}"#, "goes with close"),
        ("/v1/rehome", #"{"rate":-1}"#, "whole number from 0 to 100000"),
        ("/v1/rehome", #"{"rate":"5"}"#, "\"rate\" has the wrong type"),
        ("/v1/rehome", #"{"services":"chat"}"#, "unknown field \"services\""),
        ("/v1/weight", #"{"backend":"ws1"}"#, "\"weight\" is missing"),
        ("/v1/weight", #"{"backend":"ws1","weight":null}"#, "from 1 to 256"),
        ("/v1/weight", #"{"backend":"ws1","weight":0}"#, "from 1 to 256"),
        ("/v1/weight", #"{"backend":"ws1","weight":257}"#, "from 1 to 256"),
        ("/v1/weight", #"{"backend":"ws1","weight":1.5}"#, "from 1 to 256"),
        ("/v1/weight", #"{"backend":"ws1","weight":"7"}"#, "or \"file\""),
        ("/v1/disable", #"{"backend":"ws1","over":5}"#, "unknown field \"over\""),
        ("/v1/enable", #"{"backend":"ws1","force":true}"#, "unknown field \"force\""),
        ("/v1/close", "{}", "say which"), ("/v1/close", #"{"ids":["zz"]}"#, "not a connection's number"),
        ("/v1/close", #"{"client":"10.0.0.0/99","force":true}"#, "not an address or prefix"),
        ("/v1/close", #"{"backend":"ws1","state":"opne","force":true}"#, "not one of connecting, open"),
        ("/v1/close", #"{"ids":["1"],"backend":"ws1"}"#, "ids come alone"),
    ])
    func `A body that makes no sense is 400 and changes nothing`(target: String, body: String, text: String) throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("POST", target, body: body)
            #expect(response.status == 400)
            #expect((response.error["message"] as? String)?.contains(text) == true, "\(response.body)")
            #expect(response.error["exit"] as? Int == 2)
            #expect(daemon.plane.with { $0.changes }.isEmpty)
        }
    }

    @Test(arguments: [
        ("/v1/status?x=1", "unknown query parameter"), ("/v1/connections?limit=0", "limit"),
        ("/v1/connections?older=5", "not a duration"), ("/v1/connections?state=opne", "not one of"),
        ("/v1/connections?sort=size", "not one of"), ("/v1/connections?client=x", "not an address"),
        ("/v1/connections?limit=1&limit=2", "twice"), ("/v1/where", "address is missing"),
        ("/v1/where?address=localhost&service=chat", "not an address"), ("/v1/connections?client=%zz", "hexadecimal"),
        ("/v1/connections?client=%ff", "UTF-8"), ("/v1/where?address=203.0.113.7", "several services"),
    ])
    func `A query that makes no sense is 400`(target: String, text: String) throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("GET", target)
            #expect(response.status == 400)
            #expect((response.error["message"] as? String)?.contains(text) == true, "\(response.body)")
        }
    }

    @Test(arguments: [
        ("ws9", "ws1"), ("chat/ws9", "chat/ws1"), ("caht/ws1", "chat/ws1"), ("brokre", "broker"),
    ])
    func `An unknown backend is 404 with the name that was meant`(name: String, meant: String) throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("POST", "/v1/drain", body: #"{"backend":"\#(name)"}"#)
            #expect(response.status == 404)
            #expect(response.error["message"] as? String == "\(name): no such backend")
            #expect(response.error["suggestion"] as? String == meant)
            #expect(response.error["exit"] as? Int == 4)
        }
    }

    /// What expand and srv in the file are is no backend: whoever says its name is told which it stands for.
    @Test(arguments: ["drain", "disable", "weight", "close", "where", "backends"])
    func `A backend that stands for others names them`(verb: String) throws {
        try TestDaemon.run { (daemon) throws in
            func make(_ count: Int) {
                daemon.plane.with { state in
                    state.backends = (1...count).map { number in
                        var row = FakePlane.backend("chat", "192.0.2.\(number)-80", port: 80, connections: 0)
                        row.resolution = BackendRow.Resolution(
                            name: "pool.example", addresses: [], records: count, leftOut: 0, answeredAt: nil,
                            error: nil,
                            template: "pool")
                        return row
                    }
                }
            }
            func message(_ name: String) throws -> String? {
                let weight = verb == "weight" ? #","weight":2"# : ""
                let response =
                    switch verb {
                    case "where": try daemon.ask("GET", "/v1/where?address=192.0.2.9&without=\(name)")
                    case "backends": try daemon.ask("GET", "/v1/backends/\(name)")
                    default: try daemon.ask("POST", "/v1/\(verb)", body: #"{"backend":"\#(name)"\#(weight)}"#)
                    }
                #expect(response.status == 404 && response.error["exit"] as? Int == 4)
                #expect(response.error["suggestion"] as? String == nil)
                return response.error["message"] as? String
            }
            make(1)
            #expect(try message("pool") == "pool: no such backend: it stands for 192.0.2.1-80: name that")
            make(2)
            #expect(
                try message("chat/pool")
                    == "chat/pool: no such backend: it stands for chat/192.0.2.1-80, chat/192.0.2.2-80: name these")
            make(200)
            let told = (1...8).map { "192.0.2.\($0)-80" }.joined(separator: ", ")
            #expect(
                try message("pool") == "pool: no such backend: it stands for \(told) and 192 more: name these")
        }
    }

    @Test(arguments: ["undrain", "disable", "enable", "weight"])
    func `Every verb on a backend knows which was meant`(verb: String) throws {
        try TestDaemon.run { (daemon) throws in
            let weight = verb == "weight" ? #","weight":2"# : ""
            let response = try daemon.ask("POST", "/v1/\(verb)", body: #"{"backend":"brokre"\#(weight)}"#)
            #expect(response.status == 404)
            #expect(response.error["suggestion"] as? String == "broker")
            let found = try daemon.ask("POST", "/v1/\(verb)", body: #"{"backend":"ws2","service":"mqtt"\#(weight)}"#)
            #expect(found.status == 200, "\(found.body)")
            #expect(daemon.plane.with { $0.changes.count } == 1)
        }
    }

    @Test func `A bare name that two services have is ambiguous`() throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("POST", "/v1/drain", body: #"{"backend":"ws2"}"#)
            #expect(response.status == 400)
            #expect((response.error["message"] as? String)?.contains("chat/ws2 or mqtt/ws2") == true)
            #expect(try daemon.ask("POST", "/v1/drain", body: #"{"backend":"ws2","service":"mqtt"}"#).status == 200)
            #expect(daemon.plane.with { $0.changes } == ["drain mqtt/ws2"])
        }
    }

    @Test func `Closing more than one wants force, by number or by filter`() throws {
        try TestDaemon.run { (daemon) throws in
            for body in [#"{"backend":"ws1"}"#, #"{"service":"mqtt"}"#, #"{"client":"203.0.113.0/24"}"#] {
                let response = try daemon.ask("POST", "/v1/close", body: body)
                #expect(response.status == 409)
                #expect(response.error["exit"] as? Int == 8)
            }
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            for body in ["{}", #"{"ids":["1"],"state":"open"}"#, #"{"state":"opne"}"#, #"{"idle_seconds":-1}"#] {
                #expect(try daemon.ask("POST", "/v1/close", body: body).status == 400, "\(body)")
            }
            #expect(try daemon.ask("POST", "/v1/close", body: #"{"ids":["1","1a2f"]}"#).status == 409)
            let some = try daemon.ask(
                "POST", "/v1/close", body: #"{"ids":["1","1a2f","77"],"reset":true,"force":true}"#)
            #expect(some.json["closed"] as? Int == 2)
            let filter = #"{"service":"chat","client":"10.0.0.0/8","state":"open","older_seconds":90,"idle_seconds":60"#
            #expect(try daemon.ask("POST", "/v1/close", body: filter + #","force":true}"#).status == 200)
            #expect(
                daemon.plane.with { $0.changes.last }
                    == "close --service chat --client 10.0.0.0/8 --state open --older 1m30s --idle 1m00s reset false")
            #expect(some.json["missing"] as? [String] == ["77"])
        }
    }

    @Test func `A shutdown with connections wants force`() throws {
        try TestDaemon.run { (daemon) throws in
            let refused = try daemon.ask("POST", "/v1/shutdown", body: #"{"drain_seconds":30}"#)
            #expect(refused.status == 409)
            #expect(
                refused.error["message"] as? String == "3 connections would be closed over 30s, after shutdown-delay")
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            #expect(try daemon.ask("POST", "/v1/shutdown", body: #"{"drain_seconds":1.5,"force":true}"#).status == 202)
            daemon.plane.with { $0.rows = [] }
            #expect(try daemon.ask("POST", "/v1/shutdown").status == 202)
            #expect(daemon.plane.with { $0.changes } == ["shutdown drain 1.5", "shutdown drain -1.0"])
        }
    }

    @Test func `What the plane refuses comes through`() throws {
        var state = FakePlane.State()
        state.changeError = ControlError(.needsForce, "chat would be left without a backend")
        try TestDaemon.run(FakePlane(state)) { (daemon) throws in
            let refused = try daemon.ask("POST", "/v1/drain", body: #"{"backend":"ws1"}"#)
            #expect(refused.status == 409)
            #expect(refused.error["message"] as? String == "chat would be left without a backend")
            let forced = try daemon.ask(
                "POST", "/v1/drain", body: #"{"backend":"ws1","force":true,"deadline_seconds":2}"#)
            #expect(forced.status == 200)
            #expect((forced.json["backends"] as? [[String: Any]])?.first?["state"] as? String == "draining")
            #expect(daemon.plane.with { $0.changes } == ["drain chat/ws1 deadline 2.0 force"])
            #expect(daemon.plane.with { $0.callers.first?.pid } == getpid())
        }
    }

    @Test func `Every answer carries schema, version and time`() throws {
        try TestDaemon.run { (daemon) throws in
            for target in [
                "/v1/status", "/v1/backends", "/v1/backends/chat/ws1", "/v1/listeners", "/v1/ready", "/v1/version",
                "/v1/where?address=203.0.113.7&service=chat", "/v1/nothing",
            ] {
                let response = try daemon.ask("GET", target)
                #expect(response.json["schema"] as? Int == 1, "\(target)")
                #expect(response.json["version"] as? String == "9.8.7")
                #expect((response.json["time"] as? String).flatMap { Timestamp($0) } != nil)
                #expect(response.headers["server"] == "limpet/9.8.7")
            }
        }
    }

    @Test func `Backends by service and by name`() throws {
        try TestDaemon.run { (daemon) throws in
            func names(_ target: String) throws -> [String] {
                (try daemon.ask("GET", target).json["backends"] as? [[String: Any]] ?? []).compactMap {
                    $0["name"] as? String
                }
            }
            #expect(try names("/v1/backends") == ["ws1", "ws2", "ws2", "broker"])
            #expect(try names("/v1/backends?service=mqtt") == ["ws2", "broker"])
            #expect(try names("/v1/backends/broker") == ["broker"])
            #expect(try names("/v1/backends/%63hat/ws1") == ["ws1"])
            #expect(try daemon.ask("GET", "/v1/backends?service=chta").error["suggestion"] as? String == "chat")
        }
    }

    /// Encoded a slice at a time, and no different from what is encoded at once.
    @Test func `Thousands of backends are the object that few are`() throws {
        var state = FakePlane.State()
        state.backends = (1...1500).map {
            FakePlane.backend("chat", "\"backends\":[]\($0)", port: UInt16($0), connections: $0)
        }
        try TestDaemon.run(FakePlane(state)) { (daemon) throws in
            for target in ["/v1/backends", "/v1/top"] {
                let response = try daemon.ask("GET", target)
                #expect(response.headers["transfer-encoding"] == "chunked")
                #expect(response.headers["content-type"] == "application/json")
                #expect(response.json["schema"] as? Int == 1 && response.json["time"] is String)
                let rows = try #require(response.json["backends"] as? [[String: Any]])
                #expect(rows.map { $0["connections"] as? Int } == Array(1...1500))
                #expect(rows[0]["name"] as? String == "\"backends\":[]1")
            }
            let one = try daemon.ask("GET", "/v1/backends?service=chta")
            #expect(one.status == 404)
        }
    }

    @Test func `What is refused is noted with who asked`() throws {
        try TestDaemon.run { (daemon) throws in
            _ = try daemon.ask("POST", "/v1/drain", body: #"{"backend":"ws9"}"#)
            _ = try daemon.ask("POST", "/v1/drain", body: "{\"backend\":\"a\u{1}\u{7f}é\n")
            _ = try daemon.ask("POST", "/v1/weight", body: String(repeating: "x", count: 60_000))
            _ = try daemon.ask("POST", "/v1/close", body: #"{"backend":"ws1"}"#)
            // Whoever only looks, or does not even ask for a change, is not noted.
            _ = try daemon.ask("GET", "/v1/backends?x=1")
            _ = try daemon.ask("POST", "/v1/nothing")
            let uid = getuid()
            #expect(
                daemon.plane.with { $0.refused } == [
                    #"\#(uid) drain {"backend":"ws9"}: no_such_object"#,
                    #"\#(uid) drain {"backend":"a\x01\x7f\xc3\xa9\x0a: bad_request"#,
                    "\(uid) weight \(String(repeating: "x", count: 200))...: bad_request",
                    #"\#(uid) close {"backend":"ws1"}: needs_force"#,
                ])
        }
    }

    @Test func `Ready has the status that load balancers look at`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try daemon.ask("GET", "/v1/ready").status == 200)
            daemon.plane.with { $0.isReady = false }
            let response = try daemon.ask("GET", "/v1/ready")
            #expect(response.status == 503)
            #expect(response.json["reason"] as? String == "it is ending")
        }
    }

    @Test func `Where knows ports, mapped addresses and what is imagined away`() throws {
        try TestDaemon.run { (daemon) throws in
            let port = try daemon.ask("GET", "/v1/where?address=203.0.113.7:4000&service=chat&without=chat/ws2")
            #expect(port.json["address"] as? String == "203.0.113.7:4000")
            #expect(port.json["chosen"] as? String == "ws1")
            let mapped = try daemon.ask(
                "GET", "/v1/where?address=::ffff:203.0.113.7&service=chat&without=ws1&without=ws2")
            #expect(mapped.json["key"] as? String == "203.0.113.7")
            #expect(mapped.json["chosen"] is NSNull)
            #expect(try daemon.ask("GET", "/v1/where?address=::1&service=chat&without=ws9").status == 404)
        }
    }

    @Test func `The configuration comes as text`() throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("GET", "/v1/config")
            #expect(response.body == daemon.plane.configuration())
            #expect(response.headers["content-type"] == "application/toml")
        }
    }

    @Test func `The metrics come as text`() throws {
        try TestDaemon.run { (daemon) throws in
            let response = try daemon.ask("GET", "/v1/metrics")
            #expect(response.body == daemon.plane.metrics())
            #expect(response.headers["content-type"] == metricsMediaType)
            #expect(try daemon.ask("POST", "/v1/metrics").status == 405)
            #expect(try daemon.ask("GET", "/v1/metrics?service=chat").status == 400)
        }
    }
}
