import Foundation
import Testing

/// Listeners that an operator pauses.
@Suite(.ownThread, .fence)
struct PauseTests {
    private func scene() throws -> Reloadable {
        let servers = try (1...2).map { try BackendServer(.greet("b\($0)")) }
        let reloadable = try Reloadable([
            Reloadable.Service(listen: ["127.0.0.1:0", "127.0.0.2:0"], backends: Reloadable.backends(servers))
        ])
        reloadable.servers = servers
        return reloadable
    }

    private func state(_ reloadable: Reloadable, _ index: Int = 0) throws -> String {
        let address = reloadable.daemon.listeners[index].description
        return try #require(try reloadable.ctl.listeners().first { $0.address == address }).state
    }

    @Test func whoWaitsIsServedAfterwardsWhateverHappensMeanwhile() throws {
        let reloadable = try scene()
        let (daemon, ctl) = (reloadable.daemon, reloadable.ctl)
        let address = daemon.address.description
        #expect(try ctl.run("pause").status == 2)
        let unknown = try ctl.run("pause", "caht")
        #expect(unknown.status == 4 && unknown.stderr.contains("did you mean chat?"), "\(unknown)")
        let old = try reloadable.client(from: "127.0.0.1")
        #expect(try ctl.expect("pause", address) == "chat \(address): paused\n")
        let waiting = try (0..<3).map { _ in try daemon.connect() }
        let row = try #require(try ctl.listeners().first { $0.address == address })
        #expect(row.state == "paused" && row.reason == "an operator wants it so" && row.accepted == 1)
        #expect(try state(reloadable, 1) == "accepting")
        let other = try TCPSocket.connect(to: daemon.listeners[1], from: nil)
        _ = try other.receiveLine()
        // An engine's death, a reload and an upgrade leave it as it is.
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("the next engine serves") {
            try ctl.run("ready", "-q").status == 0 && daemon.enginePID != engine
        }
        reloadable.services[0].backends[0].settings = ["weight = 2"]
        try reloadable.reload()
        try ctl.expect("upgrade")
        #expect(try state(reloadable) == "paused")
        try expectEcho(old)
        #expect(holds(for: .milliseconds(200)) { waiting.allSatisfy { $0.isQuiet } })
        #expect(try ctl.expect("resume", address) == "chat \(address): accepting\n")
        for client in waiting {
            _ = try client.receiveLine()
            try expectEcho(client)
        }
        for client in waiting + [old, other] { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func whoArrivesIsRefusedWhereThatIsAskedFor() throws {
        let reloadable = try scene()
        let (daemon, ctl) = (reloadable.daemon, reloadable.ctl)
        let old = try reloadable.client(from: "127.0.0.1")
        // A service stands for all of its listeners.
        #expect(try ctl.expect("pause", "chat", "--refuse").split(separator: "\n").count == 2)
        for index in 0...1 {
            #expect(try state(reloadable, index) == "refusing")
            try eventually("the workers know") {
                guard let client = try? TCPSocket.connect(to: daemon.listeners[index], from: nil) else { return true }
                return (try? client.receiveToEnd().end) == .reset
            }
        }
        let refused = try ctl.listeners().map(\.refused)
        #expect(refused.allSatisfy { $0 >= 1 })
        try expectEcho(old)
        // From one to the other, and back.
        try ctl.expect("pause", "chat")
        let waiting = try daemon.connect()
        #expect(holds(for: .milliseconds(100)) { waiting.isQuiet })
        try ctl.expect("resume", "chat")
        _ = try waiting.receiveLine()
        // A restart begins with open doors; so does a listener that was taken out.
        try ctl.expect("pause", "chat")
        reloadable.services[0].listen.removeLast()
        try reloadable.reload()
        reloadable.services[0].listen.append("127.0.0.2:0")
        try reloadable.reload()
        #expect(try ctl.listeners().map(\.state).sorted() == ["accepting", "paused"])
        for client in [old, waiting] { client.close() }
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    /// Who is reset takes no place, and needs none.
    @Test func whoArrivesIsRefusedAtTheLimitToo() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try Reloadable([server], settings: ["max-connections = 1"])
        let (daemon, ctl) = (reloadable.daemon, reloadable.ctl)
        let first = try reloadable.client(from: "127.0.0.1")
        let waiting = try daemon.connect()
        try eventually("accepting pauses") { try state(reloadable) == "paused" }
        try ctl.expect("pause", "chat", "--refuse")
        #expect(try waiting.receiveToEnd().end == .reset)
        for _ in 0..<3 {
            guard let client = try? daemon.connect() else { continue }
            #expect(try client.receiveToEnd().end == .reset)
        }
        try expectEcho(first)
        try ctl.expect("resume", "chat")
        first.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }
}
