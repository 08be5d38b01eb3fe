import Foundation
import Testing

/// Drains that close connections at a pace, and what holds them up.
@Suite(.ownThread, .fence)
struct DrainTests {
    /// Backends b1, b2, …, and clients of b1 and of one other that have been greeted.
    private struct Scene {
        let reloadable: Reloadable
        let source: String
        let clients: [TCPSocket]
        let stranger: TCPSocket
        var daemon: Daemon { reloadable.daemon }
        var ctl: Ctl { reloadable.daemon.ctl }

        init(backends: Int = 3, clients count: Int, _ change: (inout [Reloadable.Service.Backend]) -> Void = { _ in })
            throws
        {
            let servers = try (1...backends).map { try BackendServer(.greet("b\($0)")) }
            var rows = Reloadable.backends(servers)
            change(&rows)
            reloadable = try Reloadable([Reloadable.Service(listen: ["127.0.0.1:0"], backends: rows)])
            reloadable.servers = servers
            source = try reloadable.daemon.source(preferring: "b1")
            let (reloadable, source) = (reloadable, source)
            clients = try (0..<count).map { _ in try reloadable.client(from: source) }
            stranger = try reloadable.client(from: try reloadable.daemon.source(preferring: "b2"))
        }

        /// Clients of b1 that were told of an end.
        var ended: Int { clients.count { $0.ready(POLLIN) } }

        /// What the events said of the drain of b1, each with its cause.
        func told() throws -> [String] {
            struct Event: Decodable {
                var event: String
                var backend: String?
                var new: String?
                var cause: String?
            }
            return try ctl.expect("--json", "events", "--since", "start", "--no-wait").split(separator: "\n").map {
                try Ctl.decode(Event.self, String($0))
            }.filter { $0.event == "drain" && $0.backend == "b1" }.map { "\($0.new ?? "null") \($0.cause ?? "null")" }
        }

        func drain() throws -> DrainDocument { try #require(try ctl.backend("b1").drain) }

        func end() throws {
            try expectEcho(stranger)
            for client in clients + [stranger] { client.close() }
            try daemon.waitUntilIdle()
            try daemon.stop()
        }
    }

    @Test func whatMakesNoSenseIsRefusedAndChangesNothing() throws {
        let scene = try Scene(clients: 1)
        for options in [
            ["--rate", "0/s"], ["--rate", "fast"], ["--rate", "5/s", "--over", "5s"], ["--grace", "5s"],
            ["--order", "idle"], ["--rate", "5/s", "--order", "newest"], ["--over", "0s"], ["--timeout", "5s"],
            ["--rate", "5/s", "--grace", "10s", "--deadline", "5s"],
        ] {
            let outcome = try scene.ctl.run(["drain", "b1"] + options)
            #expect(outcome.status == 2 && outcome.stdout == "", "\(options): \(outcome)")
        }
        for options in [["--over", "5s"], ["--close", "--over", "never"], ["--close", "--over", "0s", "--force"]] {
            #expect(try scene.ctl.run(["disable", "b1"] + options).status == 2, "\(options)")
        }
        for words in [["wait", "b1"], ["wait", "b1", "gone"], ["wait", "b1", "up", "--timeout", "soon"]] {
            #expect(try scene.ctl.run(words).status == 2, "\(words)")
        }
        #expect(try scene.ctl.run("wait", "nobody", "up").status == 4)
        #expect(try scene.ctl.backend("b1").intent == "ready")
        #expect(try scene.ctl.backend("b1").drain == nil)
        try scene.end()
    }

    @Test func allAreClosedAtAPaceAndNobodyElseIsTouched() throws {
        let scene = try Scene(clients: 12)
        let outcome = try scene.ctl.run("drain", "b1", "--rate", "10/s", "--wait")
        #expect(outcome.status == 0, "\(outcome)")
        let lines = outcome.stdout.split(separator: "\n").map(String.init)
        #expect(lines.first?.hasPrefix("12 connections, oldest ") == true, "\(lines)")
        #expect(lines.first?.hasSuffix(" s left") == true, "\(lines)")
        #expect(lines.last == "chat/b1: drained")
        #expect(lines.contains { $0.contains(" → ") }, "\(lines)")
        for client in scene.clients { #expect(try client.receiveToEnd() == ([], .fin)) }
        #expect(try scene.drain().phase == "done")
        #expect(try scene.told() == ["begun null", "done null"])
        #expect(!scene.daemon.logLines(containing: "drain chat/b1 --rate 10/s").isEmpty)
        #expect(!scene.daemon.logLines(containing: "drain: begun", "chat/b1", "connections=12").isEmpty)
        try scene.end()
    }

    /// Who talks is left alone until the deadline; who is silent goes before it.
    @Test func theDeadlineComesForThoseWhoTalk() throws {
        for _ in 0..<5 where try whoTalksStaysUntilTheDeadline() { return }
        Issue.record("this test was held up each time, so that its client was silent")
    }

    /// - Returns: false: the client that is to talk was silent for so long that it may have been taken for one that does not.
    private func whoTalksStaysUntilTheDeadline() throws -> Bool {
        let scene = try Scene(clients: 4)
        let talker = try scene.reloadable.client(from: scene.source)
        try scene.ctl.expect("drain", "b1", "--over", "1s", "--deadline", "1h", "--order", "oldest")
        #expect(try scene.drain().order == "oldest")
        var (rounds, silence, last) = (0, Duration.zero, ContinuousClock.now)
        try eventually("those who are silent are closed") {
            silence = max(silence, ContinuousClock.now - last)
            if silence > .milliseconds(150) { return true }
            try expectEcho(talker)
            last = .now
            rounds += 1
            usleep(20_000)
            return scene.ended == 4
        }
        if silence > .milliseconds(150) {
            talker.close()
            try scene.end()
            return false
        }
        #expect(rounds > 5)
        for client in scene.clients { #expect(try client.receiveToEnd() == ([], .fin)) }
        try scene.ctl.expect("drain", "b1", "--rate", "1/s", "--deadline", "500ms", "--order", "oldest")
        try eventually("its time has come") {
            if talker.ready(POLLIN) { return true }
            try talker.send("ping")
            return try talker.receive(atMost: 4) != Array("ping".utf8)
        }
        #expect(try talker.receiveToEnd() == ([], .fin))
        talker.close()
        try scene.end()
        return true
    }

    /// What the deadline closes is spread over a second, so that the others are not met by all at once.
    @Test func theDeadlineClosesOneAfterTheOther() throws {
        // All of them in one look may have been one tick, or this test has stood still: it looks again.
        for _ in 0..<4 where try momentsOfADeadline() >= 3 { return }
        Issue.record("all connections are closed in one moment or two, each time")
    }

    /// How many moments, well apart, there are at which the deadline of a drain closes some of 40 connections.
    private func momentsOfADeadline() throws -> Int {
        let scene = try Scene(clients: 40)
        try scene.ctl.expect("drain", "b1", "--deadline", "300ms")
        var (moments, seen, last) = (0, 0, ContinuousClock.now)
        try eventually("all are closed") {
            let ended = scene.ended
            if ended > seen {
                if seen == 0 || ContinuousClock.now - last > .milliseconds(50) { moments += 1 }
                (seen, last) = (ended, .now)
            }
            return ended == 40
        }
        try scene.end()
        return moments
    }

    @Test func aGracePeriodComesFirstAndUndrainIsInstant() throws {
        let scene = try Scene(clients: 10)
        try scene.ctl.expect("drain", "b1", "--grace", "1h", "--rate", "100/s")
        let waiting = try scene.drain()
        #expect(waiting.phase == "grace" && waiting.graceSeconds > 3000 && (waiting.secondsLeft ?? 0) > 3000)
        #expect(holds(for: .milliseconds(300)) { scene.ended == 0 })
        try scene.ctl.expect("drain", "b1", "--rate", "4/s")
        try eventually("some are closed") { scene.ended >= 2 }
        try scene.ctl.expect("undrain", "b1")
        let ended = scene.ended
        #expect(ended < 10)
        #expect(holds(for: .milliseconds(700)) { scene.ended <= ended + 1 })
        let row = try scene.ctl.backend("b1")
        #expect(row.state == "up" && row.drain == nil)
        #expect(try scene.told() == ["begun null", "ended null"])
        #expect(try scene.reloadable.landing(scene.source) == "b1")
        try scene.end()
    }

    /// Nobody is sent to where there is no room, and the deadline waits for that.
    @Test func sheddingAndDeadlinePauseWhileASurvivorIsFull() throws {
        let scene = try Scene(clients: 8) { $0[1].settings = ["max-connections = 2"] }
        let other = try scene.daemon.source(preferring: "b2")
        try scene.ctl.expect("drain", "b1", "--rate", "2/s", "--deadline", "1h")
        let filler = try scene.reloadable.client(from: other)
        try eventually("it pauses") { try scene.drain().phase == "paused" }
        #expect(try scene.drain().reason == "b2 is full")
        #expect(!scene.daemon.logLines(containing: "drain: paused", "b2 is full").isEmpty)
        let (ended, closesAt) = (scene.ended, try #require(try scene.ctl.backend("b1").closesAt))
        #expect(ended < 8)
        try eventually("the deadline waits") {
            let now = try scene.ctl.backend("b1")
            #expect(now.drain?.phase == "paused" && scene.ended <= ended + 1)
            return now.closesAt.map { $0 > closesAt } ?? false
        }
        let outcome = try scene.ctl.run("wait", "b1", "drained", "--timeout", "600ms")
        #expect(outcome.status == 6, "\(outcome)")
        #expect(outcome.stdout.contains("paused: b2 is full") && outcome.stderr.contains("it stays draining"))
        filler.close()
        try eventually("it goes on") { try scene.drain().phase == "shedding" }
        try scene.ctl.expect("wait", "b1", "drained")
        for client in scene.clients { #expect(try client.receiveToEnd() == ([], .fin)) }
        #expect(try scene.told() == ["begun null", "paused b2 is full", "resumed null", "done null"])
        try scene.end()
    }

    @Test func sheddingRestsAfterAFailedConnect() throws {
        let scene = try Scene(clients: 12)
        let host = try #require(
            try (0..<400).map(clientHost).first { host in
                try scene.ctl.locate(host).preference.map(\.backend) == ["b1", "b3", "b2"]
            })
        try scene.ctl.expect("drain", "b1", "--rate", "1/s")
        try scene.reloadable.servers[2].stop()
        let other = try scene.reloadable.client(from: host)
        try eventually("it pauses") { try scene.drain().phase == "paused" }
        #expect(try scene.drain().reason == "connects to b3 fail")
        try eventually("it goes on") { try scene.drain().phase == "shedding" }
        try scene.ctl.expect("drain", "b1", "--rate", "100/s")
        try scene.ctl.expect("wait", "b1", "drained")
        try expectEcho(other)
        other.close()
        try scene.end()
    }

    @Test func nobodyIsClosedWhereThereIsNowhereToGoUnlessForced() throws {
        let scene = try Scene(backends: 2, clients: 3)
        // It drains already when its last alternative goes: that asks for no force of the one who says how.
        try scene.ctl.expect("drain", "b1")
        try scene.ctl.expect("disable", "b2", "--force")
        try scene.ctl.expect("drain", "b1", "--rate", "5/s", "--grace", "300ms", "--deadline", "1s")
        try eventually("it pauses") { try scene.drain().phase == "paused" }
        #expect(try scene.drain().reason == "no other backend of the service takes new connections")
        #expect(holds(for: .milliseconds(1500)) { scene.ended == 0 })
        #expect(try scene.ctl.backend("b1").closesAt != nil)
        // The same, and forced: it pauses until the deadline, which comes.
        try scene.ctl.expect("drain", "b1", "--rate", "5/s", "--deadline", "1s", "--force")
        for client in scene.clients { #expect(try client.receiveToEnd() == ([], .fin)) }
        try scene.end()
    }

    /// The rate is that from before, and so is the end.
    @Test func aDrainGoesOnOverTheDeathOfAnEngineAndAnUpgrade() throws {
        let scene = try Scene(clients: 30)
        try scene.ctl.expect("drain", "b1", "--over", "6s", "--order", "idle")
        try eventually("it has begun") { scene.ended >= 2 }
        let before = try scene.drain()
        #expect(before.rate.map { abs($0 - 5) < 0.01 } == true, "\(before)")
        let engine = try scene.daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("the next engine serves") {
            try scene.ctl.run("ready", "-q").status == 0 && scene.daemon.enginePID != engine
        }
        let after = try scene.drain()
        #expect(after.rate == before.rate && after.order == "idle")
        #expect(scene.ended < 30)
        try scene.ctl.expect("upgrade")
        #expect(try scene.drain().rate == before.rate)
        try scene.ctl.expect("wait", "b1", "drained")
        for client in scene.clients { #expect(try client.receiveToEnd() == ([], .fin)) }
        // It has begun once; whoever takes over goes on with it.
        let told = try scene.told()
        #expect(told.first == "begun null" && told.last == "done null", "\(told)")
        #expect(told.count >= 3 && told.dropFirst().dropLast().allSatisfy { $0 == "resumed null" }, "\(told)")
        try scene.end()
    }

    @Test func aReloadKeepsADrainAndARemovalEndsIt() throws {
        let scene = try Scene(clients: 20)
        try scene.ctl.expect("drain", "b1", "--rate", "5/s", "--deadline", "1h")
        scene.reloadable.services[0].backends[1].settings = ["weight = 2"]
        try scene.reloadable.reload()
        let now = try scene.drain()
        #expect(now.phase == "shedding" && now.rate == 5)
        scene.reloadable.services[0].backends.removeFirst()
        try scene.reloadable.reload()
        let ended = scene.ended
        #expect(ended < 20)
        #expect(holds(for: .milliseconds(600)) { scene.ended <= ended + 1 })
        #expect(try scene.ctl.backend("b1").drain == nil)
        try scene.end()
    }

    @Test func severalAtOnceAndADisableAtAPace() throws {
        let scene = try Scene(clients: 6)
        let others = try scene.daemon.source(preferring: "b3")
        let third = try (0..<6).map { _ in try scene.reloadable.client(from: others) }
        try scene.ctl.expect("drain", "b1", "--rate", "20/s")
        let refused = try scene.ctl.run("disable", "b3", "--close", "--over", "1s")
        #expect(refused.status == 8 && refused.stderr.contains("close 6 connections"), "\(refused)")
        try scene.ctl.expect("disable", "b3", "--close", "--over", "1s", "--force")
        try scene.ctl.expect("wait", "b1", "drained")
        #expect(try scene.ctl.expect("wait", "b3", "drained").hasSuffix("chat/b3: maintenance\n"))
        for client in scene.clients + third { #expect(try client.receiveToEnd() == ([], .fin)) }
        for client in third { client.close() }
        let waiting = Background("b3 is up again") { [ctl = scene.ctl] in try ctl.run("wait", "b3", "up") }
        try scene.ctl.expect("enable", "b3")
        let outcome = try waiting.value()
        #expect(outcome.status == 0 && outcome.stdout.hasSuffix("chat/b3: up\n"), "\(outcome)")
        try scene.end()
    }
}
