import Foundation
import Testing

/// What happens when there is no room for one more.
@Suite(.ownThread, .fence)
struct LimitTests {
    @Test func atMaxConnectionsTheNextOneWaitsAndIsServedWhenOneLeaves() throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try Daemon([backend.address], "--max-connections", "10")
        #expect(try daemon.ctl.status().maxConnections == 10)
        var clients = try (0..<10).map { _ in try daemon.connect() }
        for client in clients { _ = try client.receiveLine() }
        // The kernel takes it in; limpetd does not.
        let eleventh = try daemon.connect()
        try eleventh.send("hello?")
        #expect(holds(for: .milliseconds(500)) { eleventh.isQuiet })
        #expect(try daemon.ctl.status().connections == 10)
        #expect(backend.counts.accepted == 10)
        try eventually("the listener says that it is paused") { try daemon.ctl.listeners()[0].state == "paused" }
        #expect(try daemon.ctl.listeners()[0].reason != nil)
        #expect(daemon.logLines(containing: "max-connections").count == 1)
        clients.removeFirst().close()
        #expect(try eleventh.receiveLine().hasPrefix("b1 "))
        #expect(try eleventh.receiveText(6) == "hello?")
        #expect(try daemon.ctl.status().connections == 10)
        clients.removeAll()
        eleventh.close()
        try daemon.waitUntilIdle()
        try eventually("it accepts again") { try daemon.ctl.listeners()[0].state == "accepting" }
        let late = try daemon.connect()
        _ = try late.receiveLine()
        late.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Many come and go at the limit, over several workers: nobody is forgotten in a queue.
    @Test func churnAtTheLimitServesEveryone() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address], "--max-connections", "7", "--workers", "2")
        let result = try Swarm.run(
            to: daemon.address, sources: (0..<150).map(clientHost), largest: 40_000, seed: 31)
        #expect(result.failures == [])
        #expect(result.exact == 150)
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func aFullBackendSendsItsClientsToTheirNextChoice() throws {
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        var setup = Daemon.Setup()
        setup.backends = [
            Daemon.Backend(name: "b1", address: first.address, options: ["max-connections=3"]),
            Daemon.Backend(name: "b2", address: second.address),
        ]
        let daemon = try Daemon(setup)
        let source = try daemon.source(preferring: "b1")
        let clients = try (0..<5).map { _ in try daemon.connect(from: source) }
        let names = try clients.map { try $0.receiveLine().prefix(2) }
        #expect(names.filter { $0 == "b1" }.count == 3)
        #expect(names.filter { $0 == "b2" }.count == 2)
        #expect(try daemon.ctl.backend("b1").state == "full")
        #expect(try daemon.ctl.backend("b2").away == 2)
        #expect(try daemon.ctl.locate(source).chosen == "b2")
        for each in clients { each.close() }
        try daemon.waitUntilIdle()
        #expect(try daemon.ctl.backend("b1").state == "up")
        #expect(try daemon.ctl.locate(source).chosen == "b1")
        try daemon.stop()
    }

    /// The limit that follows from the descriptors is the truth: that many connections fit, with bytes waiting in them.
    @Test func theDefaultLimitFitsIntoTheDescriptors() throws {
        let listener = try Listener(receiveBuffer: 8_192)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.wrapper = ["prlimit", "--nofile=600:600"]
        let daemon = try Daemon(setup)
        let limit = try daemon.ctl.status().maxConnections
        #expect((50..<300).contains(limit))
        #expect(daemon.logLines(containing: "\(limit) connections", "600").count == 1)
        var pairs: [Pair] = []
        let block = [UInt8](repeating: 5, count: 1 << 18)
        for _ in 0..<limit {
            let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
            for _ in 0..<4 { _ = try block.withUnsafeBytes { try pair.client.trySend($0) } }
            pairs.append(pair)
        }
        #expect(try daemon.ctl.status().connections == limit)
        #expect(daemon.logLines(containing: "open files") == [])
        #expect(try daemon.engine.descriptorCount <= 600)
        for pair in pairs { pair.client.reset() }
        pairs.removeAll()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func moreConnectionsThanDescriptorsAreRefusedAtTheStart() throws {
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: SocketAddress("127.0.0.1", 9))]
        setup.wrapper = ["prlimit", "--nofile=600:600"]
        setup.arguments = ["--max-connections", "5000"]
        let outcome = try Daemon.refuses(setup)
        #expect(outcome.status == 1, "\(outcome)")
        #expect(outcome.stderr.contains("600") && outcome.stderr.contains("5000"), "\(outcome)")
    }

    /// EMFILE: no spinning, one line, and everyone who waits is served afterwards: also the client that got the last
    /// descriptor, so that there was none for its backend. An odd and an even number of free ones make sure of that.
    @Test(arguments: [8, 9])
    func runningOutOfDescriptorsPausesAndRecovers(_ free: Int) throws {
        let backend = try BackendServer(.greet("b1"))
        let daemon = try Daemon([backend.address])
        let facts = try daemon.engine
        let hard = Programs.raisedLimit
        let first = try daemon.connect()
        _ = try first.receiveLine()
        let tight = facts.highestDescriptor + 1 + free
        try setDescriptorLimit(of: facts.pid, tight, hard)
        // Each takes two; some of these thirty get in, the others wait in the kernel's queue.
        let clients = try (0..<30).map { _ in try daemon.connect() }
        try eventually("limpetd says that it has no descriptor left") {
            !daemon.logLines(containing: "open files").isEmpty
        }
        try eventually("the listener says that it is paused, and why") {
            let row = try daemon.ctl.listeners()[0]
            return row.state == "paused" && row.reason?.contains("descriptor") == true
        }
        // More control clients than can be served: they wait, and nothing spins.
        var idle = try (0..<12).map { _ in try UnixSocket(daemon.ctl.control) }
        daemon.expectSleeping()
        idle.removeAll()
        let lines = daemon.logLines(containing: "open files")
        #expect(lines.count <= 2, "\(lines)")
        // What is open goes on.
        try first.send("still there?")
        #expect(try first.receiveText(12) == "still there?")
        try setDescriptorLimit(of: facts.pid, hard, hard)
        for client in clients { #expect(try client.receiveLine().hasPrefix("b1 ")) }
        try eventually("it accepts again") { try daemon.ctl.listeners()[0].state == "accepting" }
        for each in clients { each.close() }
        first.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    private func setDescriptorLimit(of engine: pid_t, _ soft: Int, _ hard: Int) throws {
        let outcome = try run(["prlimit", "--pid", "\(engine)", "--nofile=\(soft):\(hard)"])
        #expect(outcome.status == 0, "\(outcome)")
    }
}
