import Foundation
import Testing

/// Backends that are there for the time in which no other is.
@Suite(.ownThread, .fence)
struct BackupTests {
    @Test func backupsAreUsedOnlyWhereNoOtherCanBe() throws {
        let servers = try ["b1", "b2", "spare1", "spare2"].map { try BackendServer(.greet($0)) }
        var setup = Daemon.Setup()
        setup.backends = zip(["b1", "b2", "spare1", "spare2"], servers).map { name, server in
            Daemon.Backend(
                name: name, address: server.address, options: name.hasPrefix("spare") ? ["backup", "weight=9"] : [])
        }
        let daemon = try Daemon(setup)
        let sources = (0..<24).map { clientHost($0) }
        let land = { (source: String) in
            String(try daemon.connect(from: source).receiveLine().prefix { $0 != " " })
        }
        let homes = try sources.map(land)
        #expect(Set(homes) == ["b1", "b2"])
        try daemon.ctl.expect("drain", "b1")
        #expect(try sources.map(land).allSatisfy { $0 == "b2" })
        // With the last ordinary one gone there are still two that take connections: no force is needed.
        try daemon.ctl.expect("drain", "b2")
        let spares = try sources.map(land)
        #expect(Set(spares) == ["spare1", "spare2"])
        #expect(try sources.map(land) == spares, "a client keeps its backup")
        let preference = try daemon.ctl.locate(sources[0]).preference.map(\.backend)
        #expect(Set(preference.prefix(2)) == ["b1", "b2"])
        #expect(preference[2] == spares[0])
        try daemon.ctl.expect("undrain", "b1")
        try daemon.ctl.expect("undrain", "b2")
        #expect(try sources.map(land) == homes)
        try daemon.stop()
    }
}
