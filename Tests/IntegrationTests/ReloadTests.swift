import Foundation
import Testing

/// A changed file takes effect whole, and nobody who is connected notices.
@Suite(.ownThread, .fence)
struct ReloadTests {
    private typealias Backend = Reloadable.Service.Backend
    private let sixty = (0..<60).map { clientHost($0 * 37) }

    private func greeters(_ count: Int) throws -> [BackendServer] {
        try (1...count).map { try BackendServer(.greet("b\($0)")) }
    }

    @Test func nothingChangesWhereNothingHas() throws {
        let servers = try greeters(2)
        let daemon = try Reloadable(servers)
        let client = try daemon.client(from: clientHost(1))
        let before = try daemon.picture()
        try daemon.write("# a comment\n" + String(contentsOfFile: daemon.path, encoding: .utf8))
        let outcome = try daemon.ctl.run("reload")
        #expect(outcome.status == 0)
        #expect(outcome.stdout == "nothing has changed: the configuration is the one that is active\n")
        #expect(try daemon.picture() == before)
        try expectEcho(client)
        try daemon.daemon.stop()
    }

    /// Added, and taken away again: the hash moves clients to the new backend and home again, and nobody else.
    @Test func aBackendComesAndGoes() throws {
        let servers = try greeters(4)
        let daemon = try Reloadable(Array(servers.prefix(3)))
        let before = try daemon.landings(sixty)
        let hashes = try daemon.ctl.status()
        let clients = try sixty.prefix(12).map { try daemon.client(from: $0) }
        daemon.services[0].backends = Reloadable.backends(servers)
        let added = try daemon.reload()
        #expect(added.changes.map(\.description) == ["added backend chat b4 \(servers[3].address)"])
        #expect(!added.dryRun && added.removedConnections == 0 && added.warnings == [])
        let after = try daemon.landings(sixty)
        for source in sixty { #expect(after[source] == before[source] || after[source] == "b4") }
        #expect(after.values.contains("b4"))
        for source in sixty.prefix(20) { #expect(try daemon.ctl.locate(source).chosen == after[source]) }
        let now = try daemon.ctl.status()
        #expect(now.configHash == added.configHash && now.configHash != hashes.configHash)
        #expect(now.services[0].mappingHash != hashes.services[0].mappingHash)
        for client in clients { try expectEcho(client) }
        // What is connected stays where it is; its home is told anew.
        for row in try daemon.daemon.connections(12) {
            #expect(row.backend == before[String(row.client.prefix { $0 != ":" })])
            #expect(row.home == after[String(row.client.prefix { $0 != ":" })])
        }
        // What is said of each backend agrees with that, once every record has been looked at.
        try eventually("the clients that are away are counted") {
            let rows = try daemon.ctl.connections()
            return try daemon.ctl.backends().allSatisfy { backend in
                backend.away == rows.count { $0.backend == backend.name && $0.home != backend.name }
            }
        }
        #expect(try daemon.ctl.backends().reduce(0) { $0 + $1.away } > 0)
        // A daemon that is started with this file answers alike.
        let twin = try Reloadable(servers)
        #expect(try twin.ctl.status().services[0].mappingHash == now.services[0].mappingHash)
        try twin.daemon.stop()

        daemon.services[0].backends.removeLast()
        let removed = try daemon.reload()
        #expect(removed.changes.map(\.description) == ["removed backend chat b4 \(servers[3].address)"])
        #expect(try daemon.landings(sixty) == before)
        #expect(try daemon.ctl.status().services[0].mappingHash == hashes.services[0].mappingHash)
        #expect(try daemon.ctl.status().configHash == hashes.configHash)
        for client in clients { try expectEcho(client) }
        try eventually("all are at home again") { try daemon.ctl.backends().allSatisfy { $0.away == 0 } }
        try daemon.daemon.stop()
    }

    /// Its connections live on, are shown by its name, and count again when it comes back.
    @Test func aRemovedBackendKeepsItsConnections() throws {
        let servers = try greeters(3)
        let daemon = try Reloadable(servers)
        let source = try daemon.daemon.source(preferring: "b2")
        let client = try daemon.client(from: source)
        let total = try daemon.ctl.backend("b2").total
        daemon.services[0].backends.remove(at: 1)
        let report = try daemon.reload()
        #expect(report.removedConnections == 1 && report.removedDeadlineSeconds == nil)
        try expectEcho(client)
        let row = try daemon.ctl.backend("b2")
        #expect(row.state == "removed" && row.connections == 1 && row.weight == 0 && row.weightConfigured == 0)
        #expect(try daemon.ctl.connections("--backend", "b2").map(\.backend) == ["b2"])
        #expect(try daemon.ctl.connections()[0].home != "b2")
        // It takes part in no choice, so nobody can be told to leave it out.
        let drain = try daemon.ctl.run("drain", "b2")
        #expect(drain.status == 1 && drain.stderr.contains("chat/b2: a reload has removed it"), "\(drain)")
        #expect(try daemon.ctl.locate(source).preference.map(\.backend).sorted() == ["b1", "b3"])
        let other = try daemon.client(from: source)
        #expect(try daemon.ctl.connections().count == 2)
        // Back again, with its connection and its numbers.
        daemon.services[0].backends = Reloadable.backends(servers)
        try daemon.reload()
        let back = try daemon.ctl.backend("b2")
        #expect(back.state == "up" && back.connections == 1 && back.total == total)
        try expectEcho(client)
        try expectEcho(other)
        // And gone for good: close ends what is left, and with it the row.
        daemon.services[0].backends.remove(at: 1)
        try daemon.reload()
        try daemon.ctl.expect("close", "--backend", "b2", "--force")
        #expect(try client.receiveToEnd().end == .fin)
        try eventually("the row of b2 goes") { try !daemon.ctl.backends().contains { $0.name == "b2" } }
        #expect(try daemon.ctl.run("connections", "--backend", "b2").status == 4)
        try daemon.daemon.stop()
    }

    /// The name is the backend: its clients come home to the new address, its connections stay at the old one.
    @Test func anAddressMayChange() throws {
        let servers = try greeters(2)
        let moved = try BackendServer(.greet("new"))
        let daemon = try Reloadable(servers)
        let source = try daemon.daemon.source(preferring: "b2")
        let client = try daemon.client(from: source)
        let hash = try daemon.ctl.status().services[0].mappingHash
        daemon.services[0].backends[1].address = moved.address
        let report = try daemon.reload()
        #expect(
            report.changes.map(\.description) == [
                "changed backend chat b2 address \(servers[1].address) \(moved.address)"
            ])
        #expect(report.homes[0].moved == 0 && report.homes[0].share == 0)
        #expect(try daemon.ctl.status().services[0].mappingHash == hash)
        #expect(try daemon.landing(source) == "new")
        try expectEcho(client)
        let row = try #require(try daemon.ctl.connections().first { $0.client == client.local.description })
        #expect(row.backend == "b2" && row.backendAddress == servers[1].address.description)
        try daemon.daemon.stop()
    }

    @Test func weightsAndLimitsHoldForNewConnections() throws {
        let servers = try greeters(2)
        let daemon = try Reloadable(servers)
        let before = try daemon.landings(sixty)
        daemon.services[0].backends[0].settings = ["weight = 20"]
        let report = try daemon.reload()
        #expect(report.changes.map(\.description) == ["changed backend chat b1 weight 1 20"])
        let after = try daemon.landings(sixty)
        for source in sixty where before[source] == "b1" { #expect(after[source] == "b1") }
        #expect(after.values.count { $0 == "b1" } > before.values.count { $0 == "b1" })
        #expect(try daemon.ctl.backend("b1").weight == 20)

        let source = try daemon.daemon.source(preferring: "b1")
        try daemon.daemon.waitUntilIdle()
        let clients = try (0..<3).map { _ in try daemon.client(from: source) }
        daemon.services[0].backends[0].settings = ["weight = 20", "max-connections = 2"]
        try daemon.reload()
        // Nobody is turned out, and nobody else is let in.
        #expect(try daemon.ctl.backend("b1").state == "full")
        #expect(try daemon.landing(source) == "b2")
        for client in clients { try expectEcho(client) }
        daemon.services[0].backends[0].settings = ["weight = 20"]
        try daemon.reload()
        #expect(try daemon.landing(source) == "b1")
        try daemon.daemon.stop()
    }

    @Test func theHashKeyAndTheMaskMayChange() throws {
        let servers = try greeters(4)
        let daemon = try Reloadable(servers)
        let first = try daemon.landings(sixty)
        let client = try daemon.client(from: sixty[0])
        let key = "\(daemon.daemon.directory)/key"
        try "00112233445566778899aabbccddeeff\n".write(toFile: key, atomically: false, encoding: .utf8)
        chmod(key, 0o600)
        daemon.settings = ["hash-key-file = \"\(key)\""]
        var report = try daemon.reload()
        #expect(report.changes.map(\.description) == ["changed daemon hash-key-file the published key \(key)"])
        #expect(abs(report.homes[0].share - 0.75) < 1e-9)
        let second = try daemon.landings(sixty)
        #expect(second != first)
        for source in sixty { #expect(try daemon.ctl.locate(source).chosen == second[source]) }
        #expect(try daemon.ctl.connections()[0].home == second[sixty[0]])
        // The same file with other bytes in it.
        try "ffeeddccbbaa99887766554433221100\n".write(toFile: key, atomically: false, encoding: .utf8)
        report = try daemon.reload()
        #expect(report.changes.map(\.description) == ["changed daemon hash-key-file \(key) \(key) (another key)"])
        #expect(try daemon.landings(sixty) != second)
        daemon.settings = []
        daemon.services[0].settings = ["ipv4-prefix = 24"]
        try daemon.reload()
        for network in 0..<6 {
            #expect(Set(try (1...4).map { try daemon.landing("127.77.\(network).\($0 * 20)") }).count == 1)
        }
        try expectEcho(client)
        try daemon.daemon.stop()
    }

    /// Times hold for every connection, those that are open included, counted from their last byte.
    @Test func timeOutsHoldForAll() throws {
        let servers = try greeters(1)
        let daemon = try Reloadable(servers)
        let client = try daemon.client(from: clientHost(1))
        daemon.services[0].settings = ["idle-timeout = \"300ms\""]
        try daemon.reload()
        #expect(try client.receiveToEnd().end == .fin)
        let second = try daemon.client(from: clientHost(2))
        daemon.services[0].settings = ["idle-timeout = \"off\""]
        try daemon.reload()
        #expect(holds(for: .milliseconds(800)) { !second.ready(POLLIN) })
        try expectEcho(second)
        try daemon.daemon.stop()
    }

    /// The size of the receive and the send buffer of the daemon's end of a connection.
    private func buffers(_ client: TCPSocket) throws -> [Int] {
        let outcome = try run(
            ["ss", "-tmnH", "src", "\(try #require(client.peer))", "dst", "\(client.local)"])
        return ["rb", "tb"].compactMap { name in
            outcome.stdout.firstMatch(of: try! Regex("[(,]\(name)([0-9]+)")).flatMap { Int($0[1].substring ?? "") }
        }
    }

    private func keepalive(_ client: TCPSocket) throws -> Bool {
        KernelSocket.between(try #require(client.peer), client.local)?.timer == 2
    }

    @Test func optionsHoldForConnectionsToCome() throws {
        let servers = try greeters(1)
        let daemon = try Reloadable(servers, service: ["receive-buffer = \"64KiB\"", "send-buffer = \"64KiB\""])
        let first = try daemon.client(from: clientHost(1))
        #expect(try buffers(first) == [131_072, 131_072] && keepalive(first))
        daemon.services[0].settings = ["keepalive = \"off\"", "receive-buffer = \"auto\"", "send-buffer = \"128KiB\""]
        try daemon.reload()
        let second = try daemon.client(from: clientHost(2))
        #expect(try buffers(second)[1] == 262_144 && !keepalive(second))
        #expect(try buffers(first) == [131_072, 131_072] && keepalive(first))
        daemon.services[0].settings = []
        try daemon.reload()
        let third = try daemon.client(from: clientHost(3))
        // As with a daemon that was started so.
        let fresh = try Reloadable(servers)
        let other = try fresh.client(from: clientHost(3))
        #expect(try buffers(third) == buffers(other))
        #expect(try keepalive(third))
        for client in [first, second, third] { try expectEcho(client) }
        try fresh.daemon.stop()
        try daemon.daemon.stop()
    }

    @Test func theDaemonsOwnSettingsHoldAtOnce() throws {
        let servers = try greeters(1)
        let daemon = try Reloadable(servers, settings: ["max-connections = 2"])
        let two = try (1...2).map { try daemon.client(from: clientHost($0)) }
        let waiting = try daemon.daemon.connect(from: clientHost(3))
        try eventually("accepting pauses") { try daemon.ctl.listeners()[0].state == "paused" }
        #expect(!waiting.ready(POLLIN))
        daemon.settings = ["max-connections = 3", "log-level = \"warning\"", "log-format = \"json\""]
        try daemon.reload()
        // Who waits is let in.
        #expect(try waiting.receiveLine().hasPrefix("b1 "))
        #expect(try daemon.ctl.status().maxConnections == 3)
        let lines = daemon.daemon.process.stderrLines.count
        try daemon.ctl.expect("drain", "b1", "--force")
        #expect(daemon.daemon.process.stderrLines.count == lines, "\(daemon.daemon.log)")
        daemon.settings = ["max-connections = 1", "log-format = \"json\""]
        try daemon.reload()
        try daemon.ctl.expect("undrain", "b1")
        try eventually("a line of JSON is logged") {
            daemon.daemon.process.stderrLines.last?.hasPrefix("{\"time\":") == true
        }
        // Fewer than there are: nobody is turned out.
        for client in two + [waiting] { try expectEcho(client) }
        try daemon.daemon.stop()
    }
}
