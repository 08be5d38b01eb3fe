import Foundation
import Testing

/// Nothing stays behind.
@Suite(.ownThread, .fence)
struct DescriptorTests {
    /// The next file or socket gets the number of a standard descriptor that is closed, and then the log.
    @Test(arguments: ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    func standardDescriptorsThatAreClosedAreMade(_ closing: String) throws {
        let backend = try BackendServer(.echo)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: backend.address)]
        setup.wrapper = ["sh", "-c", #"exec "$@" "# + closing, "sh"]
        let daemon = try Daemon(setup)
        for fd in 0...2 {
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(daemon.pid)/fd/\(fd)")
            #expect(!target.contains("socket:") && !target.hasSuffix("/lock"), "\(fd): \(target)")
        }
        let lock = try FileManager.default.attributesOfItem(atPath: "\(daemon.directory)/state/lock")
        #expect(lock[.size] as? Int == 0)
        try daemon.stop()
    }

    /// All the ways in which a connection can end, many times over: then the daemon has what it had before.
    @Test func nothingLeaksOverChurn() throws {
        let (lane, refusing) = (try Listener(), try Listener.refusing())
        let daemon = try Daemon([lane.address, refusing.address], "--connect-timeout", "1s")
        try round(daemon, lane, refusing)
        try daemon.waitUntilIdle()
        let facts = try daemon.engine
        try settle(facts)
        // How many empty pipes a worker keeps goes by how many it has needed at once; each is two descriptors.
        func besidePipes() throws -> Int { try facts.descriptorCount - 2 * daemon.ctl.status().pipes }
        let (descriptors, threads, memory) = (try besidePipes(), facts.threadIDs.count, facts.residentBytes)
        for _ in 0..<15 { try round(daemon, lane, refusing) }
        try daemon.waitUntilIdle()
        try eventually("the descriptors are back at \(descriptors)") { try besidePipes() <= descriptors }
        #expect(try daemon.ctl.status().pipes <= 2 * 16)
        #expect(facts.threadIDs.count <= threads)
        #expect(facts.residentBytes - memory < 8 << 20)
        let rows = try daemon.ctl.backends()
        #expect(rows.allSatisfy { $0.connections == 0 && $0.connecting == 0 && $0.away == 0 })
        #expect(try daemon.ctl.listeners()[0].connections == 0)
        #expect(try daemon.ctl.connections().isEmpty)
        try daemon.stop()
    }

    /// Twenty connections, no two of which end alike.
    private func round(_ daemon: Daemon, _ lane: Listener, _ refusing: Listener) throws {
        for number in 0..<20 {
            let client = try daemon.connect(from: clientHost(number))
            let backend = try lane.accept()
            try client.send(Pattern(seed: 41).bytes(number * 7_000))
            switch number % 6 {
            case 0:
                client.close()
                _ = try backend.receiveToEnd()
            case 1: client.reset()
            case 2: backend.reset()
            case 3:
                try client.finish()
                _ = try backend.receiveToEnd()
                try backend.finish()
                _ = try client.receiveToEnd()
            case 4: backend.close()
            default:
                let block = [UInt8](repeating: 3, count: 1 << 20)
                _ = try block.withUnsafeBytes { try backend.trySend($0) }
                backend.reset()
                client.reset()
            }
        }
    }

    /// Control clients end shortly after the command that opened them.
    private func settle(_ facts: ProcessFacts) throws {
        var last = facts.descriptorCount
        try eventually("the number of descriptors stands still") {
            usleep(200_000)
            defer { last = facts.descriptorCount }
            return last == facts.descriptorCount
        }
    }

    @Test func theDaemonInheritsAndKeepsOnlyItsOwn() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address])
        let facts = try daemon.engine
        // Three standard ones, and for each of two workers a set, a mailbox and a listener or so; no pipe is held while idle.
        #expect(facts.descriptorCount < 40)
        let pairs = try (0..<30).map { _ in try daemon.connect() }
        for client in pairs {
            try client.send("x")
            _ = try client.receiveText(1)
        }
        let open = facts.descriptorCount
        try settle(facts)
        #expect(facts.descriptorCount <= open)
        // Two for each connection; each worker may keep a pipe in reserve.
        for each in pairs { each.close() }
        try daemon.waitUntilIdle()
        try settle(facts)
        #expect(open - facts.descriptorCount >= 60 && open - facts.descriptorCount <= 66)
        try daemon.stop()
    }
}
