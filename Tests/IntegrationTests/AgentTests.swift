import Foundation
import Synchronization
import Testing

/// Backends whose agents speak for them.
@Suite(.ownThread, .fence)
struct AgentTests {
    /// An agent that says the same until it is told to say something else.
    private final class Agent: Sendable {
        private final class Line: Sendable {
            let text = Mutex("up")
        }

        private let line: Line
        private let server: PlayedServer

        init() throws {
            let line = Line()
            self.line = line
            server = try PlayedServer { socket in try socket.send(line.text.withLock { $0 } + "\n") }
        }

        var port: UInt16 { server.address.port }
        func say(_ text: String) { line.text.withLock { $0 = text } }
    }

    @Test func anAgentIsObeyed() throws {
        let agent = try Agent()
        let (first, second) = (try BackendServer(.greet("b1")), try BackendServer(.greet("b2")))
        var service = Reloadable.Service(
            listen: ["127.0.0.1:0"], settings: ["health-interval = \"100ms\""],
            backends: Reloadable.backends([first, second])
        )
        service.backends[0].settings = ["health = { type = \"agent\", port = \(agent.port) }", "weight = 4"]
        let reloadable = try Reloadable([service])
        let (daemon, ctl) = (reloadable.daemon, reloadable.ctl)
        let source = try daemon.source(preferring: "b1")
        func expect(_ what: String, _ condition: (BackendRow) -> Bool) throws {
            try eventually("\(what); limpetd said: \(daemon.log)") { condition(try ctl.backend("b1")) }
        }
        #expect(try reloadable.landing(source) == "b1")
        let client = try reloadable.client(from: source)

        agent.say("drain")
        try expect("it drains") { $0.state == "draining" }
        #expect(try reloadable.landing(source) == "b2")
        agent.say("up")
        try expect("the line has come") { $0.checkResult == "agent says \"up\"" }
        #expect(try ctl.backend("b1").state == "draining", "it holds until it is taken back")
        // Not even when nothing else is up.
        try ctl.expect("disable", "b2", "--force")
        #expect(try ctl.locate(source).chosen == nil)
        try ctl.expect("enable", "b2")

        // It outlives the engine.
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        #expect(try ctl.backend("b1").state == "draining")

        agent.say("maint")
        try expect("it is in maintenance, and keeps what it has") { $0.state == "maintenance" && $0.connections == 1 }
        try expectEcho(client)
        agent.say("ready 50% maxconn:1")
        try expect("it takes clients, with half its weight, and is full") { $0.weight == 2 && $0.state == "full" }
        #expect(try ctl.backend("b1").weightConfigured == 4)
        agent.say("0%")
        try expect("it drains") { $0.state == "draining" }
        agent.say("100% maxconn:0")
        try expect("it is as configured") { $0.weight == 4 && $0.state == "up" }
        agent.say("down#disk full")
        try expect("it is down at once") { $0.state == "down" && $0.checkResult == "agent says \"down#disk full\"" }
        agent.say("up 25%")
        try expect("it is up at once") { $0.weight == 1 && $0.state == "up" }
        agent.say("HTTP/1.1 400 Bad")
        try expect("it is no agent") { $0.state == "down" && $0.checkResult?.hasPrefix("is no agent") == true }
        // What no agent can take back any more is gone.
        reloadable.services[0].backends[0].settings = ["weight = 4"]
        reloadable.services[0].settings.append("health = { fast-interval = \"100ms\" }")
        try reloadable.reload()
        try expect("it is as configured") { $0.weight == 4 && $0.state == "up" && $0.check == "tcp" }
        client.close()
        try daemon.stop()
    }
}
