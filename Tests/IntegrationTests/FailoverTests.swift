import Foundation
import Synchronization
import Testing

/// A backend dies while clients come and go: whom that concerns, and whom it does not.
@Suite(.ownThread, .fence)
struct FailoverTests {
    /// A server in a process of its own, which can be killed.
    private struct Mortal {
        let process: ChildProcess
        let address: SocketAddress

        static let program = """
            import socket, sys
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", int(sys.argv[1])))
            listener.listen(1024)
            print(listener.getsockname()[1], flush=True)
            kept = []
            while True:
                kept.append(listener.accept()[0])
                kept[-1].sendall(b"b1 \\n")
            """

        init(port: UInt16 = 0) throws {
            let process = try ChildProcess([try #require(Tool.python), "-c", Mortal.program, "\(port)"])
            self.process = process
            try eventually("the server listens; it said: \(process.stderr)") { process.stdout.hasSuffix("\n") }
            let own = try #require(UInt16(process.stdout.trimmingCharacters(in: .whitespacesAndNewlines)))
            address = SocketAddress("127.0.0.1", own)
        }

        func kill() throws {
            process.signal(SIGKILL)
            _ = try process.wait()
        }
    }

    /// What became of one client.
    private struct Fate: Sendable {
        var source: String
        /// nil: its connection ended before anybody greeted it.
        var backend: String?
        /// Whether it came after the backend was dead.
        var isLate: Bool
    }

    /// Clients that come one after the other, each from an address of its own turn, until it is told to stop.
    private final class Load: Sendable {
        private let isOver = Atomic(false)
        private let fates = Mutex<[Fate]>([])
        private let isDead = Atomic(false)
        private let work = Mutex<[Background<Void>]>([])

        init(_ daemon: Daemon, _ sources: [String], loops: Int) {
            for loop in 0..<loops {
                let part = sources.enumerated().filter { $0.offset % loops == loop }.map(\.element)
                work.withLock { work in
                    work.append(
                        Background("clients") { [self] in
                            var turn = 0
                            while !isOver.load(ordering: .relaxed) {
                                let source = part[turn % part.count]
                                turn += 1
                                let isLate = isDead.load(ordering: .acquiring)
                                let client = try daemon.connect(from: source)
                                let greeting = try? client.receiveLine()
                                client.close()
                                fates.withLock {
                                    $0.append(
                                        Fate(
                                            source: source, backend: greeting.map { String($0.prefix { $0 != " " }) },
                                            isLate: isLate))
                                }
                            }
                        })
                }
            }
        }

        func noteDeath() { isDead.store(true, ordering: .releasing) }
        var count: Int { fates.withLock { $0.count } }

        func end() throws -> [Fate] {
            isOver.store(true, ordering: .relaxed)
            for one in work.withLock({ $0 }) { try one.value() }
            return fates.withLock { $0 }
        }
    }

    @Test(.enabled(if: Tool.python != nil, Tool.pythonMissing)) func aBackendThatIsKilledUnderLoad() throws {
        let mortal = try Mortal()
        let (second, third) = (try BackendServer(.greet("b2")), try BackendServer(.greet("b3")))
        let daemon = try Daemon([mortal.address, second.address, third.address])
        let sources = (0..<60).map { clientHost($0) }
        var orders: [String: [String]] = [:]
        for source in sources { orders[source] = try daemon.ctl.locate(source).preference.map(\.backend) }
        let steady = try sources.filter { orders[$0]?[0] != "b1" }.prefix(10).map { source in
            let client = try daemon.connect(from: source)
            _ = try client.receiveLine()
            return client
        }
        let load = Load(daemon, sources, loops: 4)
        try eventually("clients come") { load.count > 100 }
        try mortal.kill()
        load.noteDeath()
        let sofar = load.count
        try eventually("clients come all the same") { load.count > sofar + 300 }
        let fates = try load.end()
        let late = fates.filter(\.isLate)
        #expect(late.count >= 250)
        for fate in late {
            #expect(fate.backend == orders[fate.source]?.first { $0 != "b1" }, "\(fate.source)")
        }
        for fate in fates where orders[fate.source]?[0] != "b1" {
            #expect(fate.backend == orders[fate.source]?[0], "\(fate.source) was moved")
        }
        for client in steady { try expectEcho(client) }
        // Back at its place: everybody comes home.
        let again = try Mortal(port: mortal.address.port)
        try eventually("b1 is back") { try daemon.ctl.backend("b1").state == "up" }
        for source in sources {
            let client = try daemon.connect(from: source)
            #expect(try client.receiveLine().hasPrefix(orders[source]?[0] ?? "?"), "\(source) is not at home")
            client.close()
        }
        try again.kill()
        for client in steady { client.close() }
        try daemon.stop()
    }

    /// Two daemons with the same backends: what one of them has found out changes where its clients go, and not the order.
    @Test func twoDaemonsAgreeAgainOnceTheirViewsDo() throws {
        let refusing = try Listener.refusing()
        let servers = try ["b2", "b3"].map { try BackendServer(.greet($0)) }
        let addresses = [refusing.address] + servers.map(\.address)
        let (one, other) = (try Daemon(addresses), try Daemon(addresses))
        let sources = (0..<20).map { clientHost($0) }
        let order = { (daemon: Daemon) in
            try sources.map { try daemon.ctl.locate($0).preference.map(\.backend) }
        }
        let chosen = { (daemon: Daemon) in try sources.map { try daemon.ctl.locate($0).chosen } }
        let source = try one.source(preferring: "b1")
        try eventually("one of them has found b1 down, and they choose differently") {
            _ = try one.connect(from: source).receiveLine()
            let choices = (try chosen(one), try chosen(other))
            guard try one.ctl.backend("b1").state == "down" else { return false }
            return choices.0 != choices.1
        }
        #expect(try other.ctl.backend("b1").state == "up")
        #expect(try order(one) == order(other))
        try refusing.startListening()
        try eventually("b1 is back") { try one.ctl.backend("b1").state == "up" }
        #expect(try chosen(one) == chosen(other))
        try one.stop()
        try other.stop()
    }
}
