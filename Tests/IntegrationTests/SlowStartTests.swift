import Foundation
import Testing

/// Backends that get their clients little by little.
@Suite(.ownThread, .fence)
struct SlowStartTests {
    private static func scene(_ servers: [BackendServer], _ time: String) throws -> Reloadable {
        let scene = try Reloadable(Array(servers.dropLast()), service: ["slow-start = \"\(time)\""])
        scene.servers = servers
        return scene
    }

    private func homes(_ scene: Reloadable, _ count: Int) throws -> [String] {
        try (0..<count).map { try scene.ctl.locate(clientHost($0)).preference[0].backend }
    }

    /// Sampled over the way up, which an engine's death does not interrupt: nobody moves but to the new backend, each once.
    @Test func whoIsAddedGetsItsClientsOneAfterTheOther() throws {
        let servers = try ["b1", "b2", "b3"].map { try BackendServer(.greet($0)) }
        let scene = try SlowStartTests.scene(servers, "6s")
        let daemon = scene.daemon
        let before = try homes(scene, 40)
        #expect(try daemon.ctl.backends().allSatisfy { $0.ramp == nil }, "at a start all have their weight")
        scene.services[0].backends = Reloadable.backends(servers)
        try scene.reload()
        #expect(try #require(try daemon.ctl.backend("b3").ramp) < 1)
        let engine = try daemon.enginePID
        Glibc.kill(engine, SIGKILL)
        try eventually("another engine serves") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        var last = before
        var ramps: [Double] = []
        try eventually("b3 has its full weight") {
            let ramp = try daemon.ctl.backend("b3").ramp
            if let ramp, ramp != ramps.last { ramps.append(ramp) }
            let now = try self.homes(scene, 40)
            for (was, is_) in zip(last, now) where was != is_ { #expect(was != "b3" && is_ == "b3") }
            last = now
            return ramp == nil
        }
        #expect(ramps == ramps.sorted() && ramps.allSatisfy { $0 >= 0.1 && $0 <= 0.9 })
        #expect(try daemon.ctl.backend("b3").weight == 1)
        // The end of the way is where a daemon is that never went it.
        let other = try Reloadable(servers)
        #expect(
            try daemon.ctl.status().services.map(\.mappingHash) == other.ctl.status().services.map(\.mappingHash))
        #expect(try homes(scene, 40) == homes(other, 40))
        try other.daemon.stop()
        try daemon.stop()
    }

    /// The same where checks find it: up for the first time at a start is no return.
    @Test func whoIsFoundUpAgainStartsSlowly() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let scene = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"],
                settings: ["slow-start = \"24h\"", "health = { type = \"tcp\", interval = \"100ms\" }"],
                backends: [.init(name: "b1", address: refusing.address), .init(name: "b2", address: second.address)])
        ])
        let daemon = scene.daemon
        try eventually("both are known") {
            try daemon.ctl.backends().map(\.state) == ["down", "up"]
        }
        #expect(try daemon.ctl.backends().allSatisfy { $0.ramp == nil })
        try refusing.startListening()
        try eventually("b1 is up, with a tenth of its weight") {
            let row = try daemon.ctl.backend("b1")
            return row.state == "up" && row.ramp == 0.1
        }
        #expect(try daemon.ctl.backend("b2").ramp == nil)
        try daemon.stop()
    }

    @Test func whoComesBackStartsSlowlyUnlessAReloadEndsIt() throws {
        let (refusing, second) = (try Listener.refusing(), try BackendServer(.greet("b2")))
        let scene = try Reloadable([
            Reloadable.Service(
                listen: ["127.0.0.1:0"], settings: ["slow-start = \"24h\"", "passive-fall = 1"],
                backends: [.init(name: "b1", address: refusing.address), .init(name: "b2", address: second.address)])
        ])
        let daemon = scene.daemon
        let hash = try daemon.ctl.status().services[0].mappingHash
        #expect(try scene.landing(try daemon.source(preferring: "b1")) == "b2")
        try eventually("b1 is down") { try daemon.ctl.backend("b1").state == "down" }
        #expect(try daemon.ctl.status().services[0].mappingHash == hash, "down moves nobody's home")
        try refusing.startListening()
        try eventually("b1 is back, with a tenth of its weight") { try daemon.ctl.backend("b1").ramp == 0.1 }
        #expect(try daemon.ctl.status().services[0].mappingHash != hash)
        scene.services[0].settings = []
        try scene.reload()
        try eventually("it has its full weight") { try daemon.ctl.backend("b1").ramp == nil }
        #expect(try daemon.ctl.status().services[0].mappingHash == hash)
        try daemon.stop()
    }
}
