import Foundation
import Testing

/// The table of connections: what is in it, who asks for which part, and that it stays true while everything moves.
@Suite(.ownThread, .fence)
struct ConnectionTableTests {
    @Test func rowsSayWhatIsTrue() throws {
        let lane = try Lane()
        let pair = try lane.open(from: "127.3.3.3")
        // Much, so that some of it is spliced.
        let upload = Background("3,000,000 bytes are sent") {
            try pair.client.send(Pattern(seed: 60), count: 3_000_000)
        }
        #expect(try pair.backend.receive(Pattern(seed: 60), upTo: 3_000_000) == 3_000_000)
        try upload.value()
        try pair.backend.send(Pattern(seed: 61).bytes(777))
        _ = try pair.client.receive(exactly: 777)
        let row = try lane.daemon.connections(1)[0]
        #expect(row.service == "default" && row.backend == "b1" && row.home == "b1" && row.state == "open")
        #expect(row.client == pair.client.local.description && row.peer == row.client)
        #expect(row.listener == lane.daemon.address.description && row.clientLocal == row.listener)
        #expect(row.backendAddress == lane.listener.address.description)
        #expect(row.backendLocal == pair.backend.peer?.description)
        #expect(row.bytesIn == 3_000_000 && row.bytesOut == 777)
        let metrics = try lane.daemon.ctl.metrics()
        #expect(try #require(metrics["limpet_splice_calls_total{result=\"moved\"}"]) > 0)
        #expect(metrics["limpet_splice_calls_total{result=\"failed\"}"] == 0)
        #expect((0..<2).contains(row.worker))
        try eventually("its idle time grows") { try lane.daemon.connections(1)[0].idleSeconds > 0.5 }
        let later = try lane.daemon.connections(1)[0]
        #expect(later.id == row.id && later.ageSeconds > row.ageSeconds && later.ageSeconds >= later.idleSeconds)
        try pair.client.send("x")
        _ = try pair.backend.receiveText(1)
        #expect(try lane.daemon.connections(1)[0].idleSeconds < later.idleSeconds)
        pair.close()
        try lane.finish()
    }

    @Test func numbersAreNeverUsedTwice() throws {
        let lane = try Lane()
        var seen: [UInt64] = []
        for _ in 0..<20 {
            let pair = try lane.open()
            seen.append(try #require(UInt64(try lane.daemon.connections(1)[0].id, radix: 16)))
            pair.close()
            try lane.daemon.waitUntilIdle()
        }
        #expect(seen == seen.sorted() && Set(seen).count == 20)
        try lane.finish()
    }

    @Test func filtersSortingAndLimit() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        let daemon = try Daemon([first.address, second.address])
        let ctl = daemon.ctl
        let sources = (0..<20).map { "127.5.\($0 % 2).\($0 + 1)" }
        let clients = try sources.map { try daemon.connect(from: $0) }
        var names: [String] = []
        for client in clients { names.append(String(try client.receiveLine().prefix(2))) }
        for (number, client) in clients.enumerated() {
            try client.send([UInt8](repeating: 1, count: 100 * (number + 1)))
            _ = try client.receive(exactly: 100 * (number + 1))
        }
        let hosts = { (rows: [ConnectionRow]) in Set(rows.map { String($0.client.prefix { $0 != ":" }) }) }
        for name in ["b1", "b2"] {
            let expected = Set(zip(sources, names).filter { $0.1 == name }.map(\.0))
            #expect(try hosts(ctl.connections("--backend", name)) == expected)
            #expect(try hosts(ctl.connections("--backend", "default/\(name)")) == expected)
        }
        #expect(
            try hosts(ctl.connections("--client", "127.5.1.0/24")) == Set(sources.filter { $0.hasPrefix("127.5.1.") }))
        #expect(try hosts(ctl.connections("--client", sources[3])) == [sources[3]])
        #expect(try ctl.connections("--client", "10.0.0.0/8").isEmpty)
        #expect(try ctl.connections("--service", "default").count == 20)
        #expect(try ctl.run("connections", "--service", "chat").status == 4)
        try clients[0].finish()
        _ = try clients[0].receiveToEnd()
        try eventually("19 are open") { try ctl.connections("--state", "open").count == 19 }
        // Filters are joined by "and".
        let both = try ctl.connections("--backend", "b1", "--client", "127.5.1.0/24")
        #expect(both.allSatisfy { $0.backend == "b1" && $0.client.hasPrefix("127.5.1.") })
        #expect(both.count == zip(sources, names).filter { $0.1 == "b1" && $0.0.hasPrefix("127.5.1.") }.count)
        #expect(try ctl.connections("--older", "1h").isEmpty)
        try eventually("all are older than a second and idle as long") {
            try ctl.connections("--older", "1s").count == 19 && ctl.connections("--idle", "1s").count == 19
        }
        let sorted = try ctl.connections("--sort", "bytes")
        #expect(sorted.map(\.bytesIn) == sorted.map(\.bytesIn).sorted(by: >))
        let three = try ctl.connections("--sort", "bytes", "--limit", "3")
        #expect(three.map(\.bytesIn) == [2_000, 1_900, 1_800])
        #expect(try ctl.connections("--limit", "3").count == 3)
        for each in clients { each.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}

/// A large table under churn.
@Suite(.ownThread, .serialized, .fence)
struct LargeTableTests {
    /// What makes a row torn shows in it: each client is of one backend (by its address), each of the daemon's ports
    /// belongs to one client, and an id to one connection for ever.
    @Test func fiveThousandRowsUnderChurnAreNotTorn() throws {
        let servers = try (1...3).map { try BackendServer(.greet("b\($0)")) }
        let daemon = try Daemon(servers.map(\.address))
        let count = min(5_000, (Programs.raisedLimit - 1_000) / 4)
        let sources = (0..<100).map { clientHost($0 * 11) }
        var backendOf: [String: String] = [:]
        for source in sources { backendOf[source] = try daemon.ctl.locate(source).chosen }
        let addressOf = Dictionary(
            uniqueKeysWithValues: servers.enumerated().map { ("b\($0.offset + 1)", $0.element.address.description) })
        // Those that stay. The greeting tells which of the daemon's ports each of them has.
        var portOf: [String: String] = [:]
        var staying: [TCPSocket] = []
        for number in 0..<count {
            let client = try daemon.connect(from: sources[number % sources.count])
            portOf[client.local.description] = String(try client.receiveLine().dropFirst(3))
            staying.append(client)
        }
        // Those that come and go meanwhile, in the slots between.
        let churn = try Churn(daemon.address, sources)
        var idOf: [String: String] = [:]
        for round in 0..<6 {
            let rows = try daemon.ctl.connections()
            var present: Set<String> = []
            for row in rows {
                let host = String(row.client.prefix { $0 != ":" })
                // Taken in this very moment, and not given to a backend yet.
                if row.backend == "-" { continue }
                #expect(row.backend == backendOf[host] && row.home == row.backend, "\(row)")
                #expect(row.backendAddress == addressOf[row.backend], "\(row)")
                #expect(row.peer == row.client && row.clientLocal == daemon.address.description, "\(row)")
                if let port = portOf[row.client] {
                    #expect(row.backendLocal == port, "\(row)")
                    #expect(idOf[row.client, default: row.id] == row.id, "\(row)")
                    idOf[row.client] = row.id
                    present.insert(row.client)
                }
            }
            #expect(present.count == count, "round \(round): \(count - present.count) of those that stay are missing")
            #expect(Set(rows.map(\.id)).count == rows.count, "a connection is in the table twice")
        }
        #expect(try churn.stop() > 50)
        // Some ask for all of it and read nothing: their sockets fill, and that is all that happens.
        let deaf = try (0..<4).map { _ in try UnixSocket(daemon.ctl.control) }
        for client in deaf { client.send("GET /v1/connections HTTP/1.1\r\nHost: limpet\r\n\r\n") }
        #expect(try daemon.ctl.status().connections == count)
        // Nobody was held up for good: all are served.
        for client in staying.prefix(200) {
            try client.send("ping")
            #expect(try client.receiveText(4) == "ping")
        }
        withExtendedLifetime(deaf) {}
        staying.removeAll()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Connects, exchanges a few bytes and closes, on two threads, until it is told to stop.
    private final class Churn {
        private let flag = Flag()
        private let threads: [Background<Int>]

        init(_ address: SocketAddress, _ sources: [String]) throws {
            threads = (0..<2).map { [flag] thread in
                Background("churn") {
                    var rounds = 0
                    while !flag.isSet {
                        let source = sources[(rounds * 7 + thread) % sources.count]
                        let client = try TCPSocket.connect(to: address, from: source)
                        _ = try client.receiveLine()
                        try client.send("x")
                        _ = try client.receiveText(1)
                        if rounds % 3 == 0 { client.reset() } else { client.close() }
                        rounds += 1
                    }
                    return rounds
                }
            }
        }

        /// How many connections came and went.
        func stop() throws -> Int {
            flag.set()
            return try threads.map { try $0.value() }.reduce(0, +)
        }

        deinit { flag.set() }
    }
}
