import Foundation
import Testing

/// Every client lands where `where` says, comes back there, and moves only when its own backend goes.
@Suite(.ownThread, .fence)
struct StickinessTests {
    /// Four backends that name themselves, and a daemon in front.
    private final class Fleet {
        let servers: [BackendServer]
        let daemon: Daemon

        init(_ arguments: [String] = [], options: [Int: String] = [:]) throws {
            servers = try (1...4).map { try BackendServer(.greet("b\($0)")) }
            var setup = Daemon.Setup()
            setup.backends = servers.enumerated().map { index, server in
                Daemon.Backend(
                    name: "b\(index + 1)", address: server.address, options: options[index].map { [$0] } ?? [])
            }
            setup.arguments = arguments
            daemon = try Daemon(setup)
        }

        /// The backend that a client from this address gets.
        func landing(_ source: String) throws -> String {
            let client = try daemon.connect(from: source)
            return String(try client.receiveLine().prefix(2))
        }

        func landings(_ sources: [String]) throws -> [String: String] {
            var result: [String: String] = [:]
            for source in sources { result[source] = try landing(source) }
            return result
        }
    }

    private let sixty = (0..<60).map { clientHost($0 * 37) }

    @Test func whereAgreesWithWhatHappens() throws {
        let fleet = try Fleet()
        for source in sixty {
            let answer = try fleet.daemon.ctl.locate(source)
            #expect(answer.chosen == answer.preference[0].backend)
            #expect(answer.preference.map(\.backend).sorted() == ["b1", "b2", "b3", "b4"])
            #expect(try fleet.landing(source) == answer.chosen)
        }
        try fleet.daemon.waitUntilIdle()
        try fleet.daemon.stop()
    }

    @Test func sixtyOfSixtyComeBackFiveTimes() throws {
        let fleet = try Fleet()
        let first = try fleet.landings(sixty)
        #expect(Set(first.values).count == 4)
        for _ in 0..<5 { #expect(try fleet.landings(sixty) == first) }
        try fleet.daemon.stop()
    }

    @Test func aDrainMovesItsOwnClientsToTheirSecondChoiceAndNobodyElse() throws {
        let fleet = try Fleet()
        let ctl = fleet.daemon.ctl
        let before = try fleet.landings(sixty)
        let idle = try fleet.daemon.connect(from: fleet.daemon.source(preferring: "b2"))
        _ = try idle.receiveLine()
        var secondChoice: [String: String] = [:]
        for source in sixty { secondChoice[source] = try ctl.locate(source).preference[1].backend }
        try ctl.expect("drain", "b2")
        let during = try fleet.landings(sixty)
        for source in sixty {
            #expect(during[source] == (before[source] == "b2" ? secondChoice[source] : before[source]))
            let answer = try ctl.locate(source)
            #expect(answer.chosen == during[source])
            #expect(answer.preference.first { $0.backend == "b2" }?.eligible == false)
            #expect(answer.preference.first { $0.backend == "b2" }?.reason != nil)
        }
        // It sheds nothing: what was there is there, and works.
        try eventually("only the idle connection is left") { try ctl.backend("b2").connections == 1 }
        var row = try ctl.backend("b2")
        #expect(row.intent == "drain" && row.state == "draining")
        try idle.send("ping")
        #expect(try idle.receiveText(4) == "ping")
        idle.close()
        try eventually("b2 is drained") { try ctl.backend("b2").state == "drained" }
        try ctl.expect("undrain", "b2")
        row = try ctl.backend("b2")
        #expect(row.intent == "ready" && row.state == "up")
        #expect(try fleet.landings(sixty) == before)
        try fleet.daemon.stop()
    }

    /// Who was away stays away while connected, and the table says so.
    @Test func undrainBringsNobodyHomeByForce() throws {
        let fleet = try Fleet()
        let source = try fleet.daemon.source(preferring: "b3")
        try fleet.daemon.ctl.expect("drain", "b3")
        let client = try fleet.daemon.connect(from: source)
        let name = try client.receiveLine().prefix(2)
        #expect(name != "b3")
        try fleet.daemon.ctl.expect("undrain", "b3")
        let row = try fleet.daemon.connections(1)[0]
        #expect(row.home == "b3" && row.backend == name)
        #expect(try fleet.daemon.ctl.backend(String(name)).away == 1)
        try client.send("ping")
        #expect(try client.receiveText(4) == "ping")
        client.close()
        try fleet.daemon.waitUntilIdle()
        try fleet.daemon.stop()
    }

    @Test func twoDaemonsThatWereToldTheSameAnswerAlike() throws {
        let fleet = try Fleet()
        var setup = Daemon.Setup()
        // In another order, which plays no part.
        setup.backends = fleet.servers.enumerated().reversed().map {
            Daemon.Backend(name: "b\($0.offset + 1)", address: $0.element.address)
        }
        let twin = try Daemon(setup)
        let hash = { (daemon: Daemon) in try daemon.ctl.status().services[0].mappingHash }
        #expect(try hash(twin) == hash(fleet.daemon))
        for source in sixty.prefix(20) {
            #expect(
                try twin.ctl.locate(source).preference.map(\.backend)
                    == fleet.daemon.ctl.locate(source).preference.map(\.backend))
        }
        try twin.stop()
        try fleet.daemon.stop()
    }

    @Test func aPrefixSharesItsBackend() throws {
        let fleet = try Fleet(["--ipv4-prefix", "24"])
        for network in 0..<12 {
            let names = try (1...4).map { try fleet.landing("127.77.\(network).\($0 * 20)") }
            #expect(Set(names).count == 1)
        }
        #expect(try fleet.daemon.ctl.locate("127.77.3.99").key == "127.77.3.0/24")
        try fleet.daemon.stop()
    }

    @Test func sourcePortsMayCount() throws {
        let fleet = try Fleet(["--hash-on", "source-port"])
        var names: Set<String> = []
        for _ in 0..<40 {
            let client = try fleet.daemon.connect(from: "127.0.0.9")
            let name = String(try client.receiveLine().prefix(2))
            names.insert(name)
            #expect(try fleet.daemon.ctl.locate(client.local.description).chosen == name)
        }
        #expect(names.count > 1)
        let without = try fleet.daemon.ctl.run("where", "127.0.0.9")
        #expect(without.status == 2 && without.stderr.contains("port"), "\(without)")
        try fleet.daemon.stop()
    }

    @Test func aKeyOfOnesOwnChangesTheMapping() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = "\(directory)/key"
        try "00112233445566778899aabbccddeeff\n".write(toFile: path, atomically: false, encoding: .utf8)
        let (plain, keyed) = (try Fleet(), try Fleet(["--hash-key-file", path]))
        let orders = try [plain, keyed].map { fleet in
            try sixty.prefix(20).map { try fleet.daemon.ctl.locate($0).preference.map(\.backend) }
        }
        #expect(orders[0] != orders[1])
        #expect(
            try plain.daemon.ctl.status().services[0].mappingHash
                != keyed.daemon.ctl.status().services[0].mappingHash)
        #expect(try keyed.landing(sixty[0]) == orders[1][0][0])
        try plain.daemon.stop()
        try keyed.daemon.stop()
    }

    @Test func weightsShiftShares() throws {
        let fleet = try Fleet(options: [3: "weight=6"])
        var counts: [String: Int] = [:]
        for number in 0..<120 { counts[try fleet.daemon.ctl.locate(clientHost(number)).chosen ?? "-", default: 0] += 1 }
        // Two thirds are expected. The mapping is fixed, so this does not vary from run to run.
        #expect(counts["b4", default: 0] > 60, "\(counts)")
        #expect(try fleet.daemon.ctl.backend("b4").weight == 6)
        try fleet.daemon.stop()
    }
}
