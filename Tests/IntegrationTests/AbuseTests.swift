import Foundation
import Testing

/// Clients that mean harm: it stays up, it says what happens, and the others are served. What it costs them is measured by
/// `make bench-abuse`. Descriptors that run out are the affair of LimitTests.
@Suite(.ownThread, .fence)
struct AbuseTests {
    /// A service with those settings, and one beside it without.
    private static func lane(_ settings: String...) throws -> Reloadable {
        let servers = try (0..<2).map { _ in try BackendServer(.echo) }
        let lane = try Reloadable(
            zip(["chat", "quiet"], servers).map { name, server in
                Reloadable.Service(
                    name: name, listen: ["127.0.0.1:0"], settings: name == "chat" ? settings : [],
                    backends: Reloadable.backends([server]))
            })
        lane.servers = servers
        return lane
    }

    /// Somebody at the other service.
    private static func bystander(_ daemon: Daemon, _ number: Int) throws -> TCPSocket {
        try TCPSocket.connect(to: daemon.listeners[1], from: "127.0.6.\(number)")
    }

    private static func echoes(_ client: TCPSocket, _ text: String = "there") throws -> Bool {
        try client.send(text)
        return try client.receiveText(text.utf8.count) == text
    }

    /// Connections from all over one network, as fast as they are refused. Each client has its share of places, all others
    /// have theirs, and a reload shuts the network out.
    @Test func aFloodFromOneNetwork() throws {
        let lane = try AbuseTests.lane(
            "max-connections-per-client = 2", "max-connections = 100")
        let daemon = lane.daemon
        let other = try daemon.connect(from: "127.0.6.1")
        #expect(try AbuseTests.echoes(other))
        let flood = { (count: Int) throws -> [TCPSocket] in
            try (0..<count).map { try daemon.connect(from: "127.0.7.\(1 + $0 % 10)") }
        }
        var clients = try flood(300)
        try eventually("those too many are refused") { try daemon.ctl.listeners()[0].refused == 280 }
        #expect(try daemon.ctl.status().connections == 21)
        #expect(
            try daemon.ctl.metrics().values.contains { $0.key.contains(#"reason="client-limit""#) && $0.value == 280 })
        #expect(daemon.logLines(containing: "a client was reset", "max-connections-per-client").count == 1)
        #expect(try AbuseTests.echoes(other))
        let new = try daemon.connect(from: "127.0.6.2")
        #expect(try AbuseTests.echoes(new))

        lane.services[0].settings.append("deny = [\"127.0.7.0/24\"]")
        try lane.reload()
        let before = try daemon.ctl.listeners()[0].refused
        clients += try flood(50)
        try eventually("the network is refused") { try daemon.ctl.listeners()[0].refused == before + 50 }
        #expect(try AbuseTests.echoes(try daemon.connect(from: "127.0.6.3")))
        for client in clients { client.reset() }
        try daemon.stop()
    }

    /// SYNs from addresses that will never answer, far more than the queue has places.
    @Test(.enabled(if: isRoot, "only root can have a network of its own"))
    func halfOpenConnections() throws {
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            try PrivateNetwork.setting("net.ipv4.tcp_max_syn_backlog", "128")
            // The answers have somewhere to go, and get lost there.
            try PrivateNetwork.setting("net.ipv4.conf.all.route_localnet", "1")
            for command in [
                "link add lost type veth peer name gone", "link set gone up", "link set lost up arp off",
                "route add 10.0.0.0/8 dev lost",
            ] {
                let words = command.split(separator: " ").map(String.init)
                try #require(try run(["ip"] + words).status == 0)
            }
            let lane = try AbuseTests.lane()
            let daemon = lane.daemon
            let other = try daemon.connect(from: "127.0.6.1")
            #expect(try AbuseTests.echoes(other))
            let flood = try HalfOpenFlood(daemon.address)
            try flood.send(20_000)
            try eventually("the kernel answers without its queue") { try HalfOpenFlood.cookiesSent() > 0 }
            #expect(try AbuseTests.echoes(other))
            for number in 0..<20 {
                #expect(try AbuseTests.echoes(try daemon.connect(from: "127.0.6.\(2 + number)")))
            }
            // None of them was ever a connection.
            #expect(try daemon.ctl.listeners()[0].accepted <= 21)
            try daemon.stop()
        }.value()
    }

    /// Clients that connect and say nothing hold their places for as long as the operator lets them.
    @Test func clientsThatNeverSend() throws {
        let lane = try AbuseTests.lane("idle-timeout = \"1s\"", "max-connections = 60")
        let daemon = lane.daemon
        let other = try AbuseTests.bystander(daemon, 1)
        let silent = try (0..<60).map { try daemon.connect(from: "127.0.7.\(1 + $0)") }
        #expect(try AbuseTests.echoes(other))
        for client in silent { #expect(try client.receiveToEnd().end == .fin) }
        try eventually("their places are free") { try daemon.ctl.status().connections == 1 }
        #expect(try AbuseTests.echoes(try daemon.connect(from: "127.0.6.2")))
        #expect(try AbuseTests.echoes(other))
        try eventually("it says why they were closed") {
            try daemon.ctl.metrics().values.contains { $0.key.contains(#"reason="idle""#) && $0.value >= 60 }
        }
        try daemon.stop()
    }

    /// Clients that ask for much and read nothing: what waits for them lies in pipes and sockets, and the engine does not grow.
    @Test func clientsThatNeverRead() throws {
        let lane = try AbuseTests.lane("receive-buffer = \"16KiB\"", "send-buffer = \"16KiB\"")
        let daemon = lane.daemon
        let other = try AbuseTests.bystander(daemon, 1)
        #expect(try AbuseTests.echoes(other))
        let before = try daemon.engine.residentBytes
        let block = [UInt8](repeating: 7, count: 1 << 16)
        let deaf = try (0..<50).map { number -> TCPSocket in
            let client = try TCPSocket.connect(
                to: daemon.address, from: "127.0.7.\(1 + number)", receiveBuffer: 8_192)
            client.set(SOL_SOCKET, SO_SNDBUF, 16_384)
            return client
        }
        // Until nothing more goes in anywhere: all that is echoed waits.
        var isMoving = true
        while isMoving {
            isMoving = false
            for client in deaf where try block.withUnsafeBytes({ try client.trySend($0) }) > 0 { isMoving = true }
            #expect(try AbuseTests.echoes(other))
        }
        let status = try daemon.ctl.status()
        #expect(status.connections == 51 && status.pipes <= 2 * 51)
        // A pipe's worth for each direction would be more.
        #expect(try daemon.engine.residentBytes < before + 5 << 20)
        #expect(try AbuseTests.echoes(try daemon.connect(from: "127.0.6.2")))
        for client in deaf { client.reset() }
        try daemon.stop()
    }

    /// No memory for the engine: it refuses or dies, as it comes, and either is told; whoever is connected stays so.
    @Test func noMoreMemoryForTheEngine() throws {
        let lane = try AbuseTests.lane()
        let daemon = lane.daemon
        let other = try daemon.connect(from: "127.0.6.1")
        #expect(try AbuseTests.echoes(other))
        let engine = try daemon.enginePID
        let size =
            try #require(
                Int(ProcessFacts(pid: engine).field("VmSize", thread: engine)?.split(separator: " ").first ?? ""))
            * 1024
        #expect(try run(["prlimit", "--pid", "\(engine)", "--as=\(size):"]).status == 0)
        // What takes memory: many who ask at once, tables, a file that is read anew.
        for round in 0..<20 {
            _ = try? daemon.ctl.run("connections", "--sort", "bytes", "--limit", "50000")
            _ = try? daemon.ctl.run("reload")
            _ = try? daemon.connect(from: "127.0.7.\(1 + round)")
            if ProcessFacts(pid: engine).parent == nil { break }
        }
        #expect(try AbuseTests.echoes(other))
        // Perhaps another, which has no such limit.
        try eventually("an engine answers") { try daemon.ctl.run("ready", "-q").status == 0 }
        try eventually("an engine has memory again") {
            try run(["prlimit", "--pid", "\(try daemon.enginePID)", "--as=unlimited:"]).status == 0
        }
        #expect(try daemon.ctl.status().pid == daemon.pid)
        if try daemon.enginePID != engine { #expect(try daemon.ctl.status().lastDeath != nil) }
        #expect(try AbuseTests.echoes(other))
        #expect(try AbuseTests.echoes(try daemon.connect(from: "127.0.6.2")))
        try daemon.kill()
    }

    /// A control group without memory: the kernel ends the engine, the keeper makes another, and nobody loses a connection.
    @Test(.enabled(if: MemoryGroup.isPossible, "there is no memory controller that a group can be made of"))
    func aControlGroupWithoutMemory() throws {
        let group = try MemoryGroup()
        defer { group.remove() }
        let server = try BackendServer(.echo)
        let lane = try Reloadable([
            Reloadable.Service(listen: ["127.0.0.1:0"], backends: Reloadable.backends([server]))
        ]) {
            $0.wrapper = ["sh", "-c", "echo $$ > \(group.path)/cgroup.procs && exec \"$@\"", "sh"]
        }
        let daemon = lane.daemon
        let other = try daemon.connect(from: "127.0.6.1")
        #expect(try AbuseTests.echoes(other))
        let engine = try daemon.enginePID
        try group.squeeze()
        var number = 0
        try eventually("the kernel ends the engine") {
            // A file as long as may be, and another each time.
            number += 1
            lane.settings = ["# \(number)" + String(repeating: "x", count: 1_000_000)]
            try lane.write()
            _ = try? daemon.ctl.run(["reload"], within: .seconds(5))
            return ProcessFacts(pid: engine).parent == nil || ProcessFacts(pid: engine).isZombie
        }
        group.release()
        #expect(try AbuseTests.echoes(other))
        try eventually("another engine answers") {
            try daemon.ctl.run("ready", "-q").status == 0 && (try? daemon.enginePID) != engine
        }
        let status = try daemon.ctl.status()
        #expect(status.pid == daemon.pid && status.lastDeath?.reason.contains("SIGKILL") == true)
        #expect(!daemon.logLines(containing: "SIGKILL").isEmpty)
        #expect(try AbuseTests.echoes(other))
        #expect(try AbuseTests.echoes(try daemon.connect(from: "127.0.6.2")))
        try daemon.stop()
    }
}
