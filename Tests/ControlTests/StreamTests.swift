import Control
import Foundation
import Testing

@Suite struct StreamTests {
    private func ids(_ daemon: TestDaemon, _ query: String) throws -> [String] {
        try daemon.ask("GET", "/v1/connections" + query).lines.compactMap { $0["id"] as? String }
    }

    @Test func `A reader that does not read holds nobody up and no memory`() throws {
        let count = 20_000
        try TestDaemon.run(FakePlane(FakePlane.many(count))) { (daemon) throws in
            let slow = try RawClient(daemon.path)
            try slow.send("GET /v1/connections HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")
            var text = String(decoding: try slow.readSome(), as: UTF8.self)
            // The walk has begun and stands still: others are served, twenty times over.
            for _ in 1...20 { #expect(try daemon.ask("GET", "/v1/status").status == 200) }
            let seen = daemon.plane.with { $0.slotsSeen }
            #expect(seen < count / 2, "the walk ran on without a reader: \(seen) slots")
            text += try slow.readToEnd()
            slow.close()
            let response = try #require(RawResponse(text))
            #expect(response.lines.count == count)
            #expect(response.lines.last?["id"] as? String == String(count, radix: 16))
        }
    }

    @Test func `A client that leaves in the middle ends its walk`() throws {
        let count = 20_000
        try TestDaemon.run(FakePlane(FakePlane.many(count))) { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send("GET /v1/connections HTTP/1.1\r\nHost: l\r\n\r\n")
            #expect(!(try client.readSome()).isEmpty)
            client.close()
            for _ in 1...20 { #expect(try daemon.ask("GET", "/v1/version").status == 200) }
            #expect(daemon.plane.with { $0.slotsSeen } < count)
        }
    }

    @Test func `Filters`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ids(daemon, "") == ["1", "2", "1a2f"])
            #expect(try ids(daemon, "?service=mqtt") == ["1a2f"])
            #expect(try ids(daemon, "?backend=ws1") == ["1", "2"])
            #expect(try ids(daemon, "?backend=mqtt%2Fbroker") == ["1a2f"])
            #expect(try ids(daemon, "?client=203.0.113.8") == ["2"])
            #expect(try ids(daemon, "?client=203.0.113.0/24") == ["1", "2"])
            #expect(try ids(daemon, "?client=2001:db8::/32") == ["1a2f"])
            #expect(try ids(daemon, "?state=half_closed") == ["2"])
            #expect(try ids(daemon, "?older=12m") == ["1", "2"])
            #expect(try ids(daemon, "?older=1h&idle=3s") == ["1"])
            #expect(try ids(daemon, "?client=10.0.0.0/8") == [])
            #expect(try ids(daemon, "?limit=2") == ["1", "2"])
        }
    }

    @Test func `Sorting`() throws {
        try TestDaemon.run { (daemon) throws in
            #expect(try ids(daemon, "?sort=id") == ["1", "2", "1a2f"])
            #expect(try ids(daemon, "?sort=age") == ["1", "2", "1a2f"])
            #expect(try ids(daemon, "?sort=idle") == ["2", "1", "1a2f"])
            #expect(try ids(daemon, "?sort=bytes") == ["1a2f", "2", "1"])
            #expect(try ids(daemon, "?sort=client") == ["1", "2", "1a2f"])
            #expect(try ids(daemon, "?sort=backend&limit=2") == ["1", "2"])
        }
    }

    @Test func `The first of many, sorted, is the first of all`() throws {
        try TestDaemon.run(FakePlane(FakePlane.many(20_000))) { (daemon) throws in
            // Age falls with the number, so the last slots come first.
            daemon.plane.with { state in
                for index in state.rows.indices { state.rows[index].ageSeconds = Double(index) }
            }
            #expect(try ids(daemon, "?sort=age&limit=2") == ["4e20", "4e1f"])
            #expect(try ids(daemon, "?sort=backend&limit=1") == ["2"])
        }
    }

    @Test func `Many, sorted, are all there and in order`() throws {
        let count = 20_000
        try TestDaemon.run(FakePlane(FakePlane.many(count))) { (daemon) throws in
            // In an order of their own, over several runs.
            daemon.plane.with { state in
                for index in state.rows.indices { state.rows[index].ageSeconds = Double(index * 7919 % count) }
            }
            let ages = try daemon.ask("GET", "/v1/connections?sort=age").lines.compactMap {
                ($0["age_seconds"] as? NSNumber)?.doubleValue
            }
            #expect(ages == (0..<count).reversed().map(Double.init))
            #expect(try ids(daemon, "?sort=age&limit=15000").count == 15_000)
        }
    }

    /// It keeps every row in memory: 64 clients that ask for it together must not have it together.
    @Test func `All of many are sorted for one client at a time`() throws {
        try TestDaemon.run(FakePlane(FakePlane.many(20_000))) { (daemon) throws in
            let first = try RawClient(daemon.path)
            try first.send("GET /v1/connections?sort=age HTTP/1.1\r\nHost: l\r\n\r\n")
            #expect(!(try first.readSome()).isEmpty)
            let refused = try daemon.ask("GET", "/v1/connections?sort=age")
            #expect(refused.status == 503)
            #expect((refused.error["message"] as? String)?.contains("limit") == true)
            #expect(try ids(daemon, "?sort=age&limit=10000").count == 10_000)
            #expect(try ids(daemon, "").count == 20_000)
            first.close()
            var status = 503
            while status == 503 { status = try daemon.ask("GET", "/v1/connections?sort=age").status }
            #expect(status == 200)
        }
    }
}
