import Foundation
import Testing

/// What a service manager is told, as sd_notify(3) has it.
@Suite(.ownThread, .fence)
struct ServiceManagerTests {
    /// A daemon with a service manager's socket and one backend.
    private final class Scene {
        let directory: String
        let manager: NotifySocket
        let server: BackendServer
        var setup = Daemon.Setup()

        init(abstract: Bool = false) throws {
            directory = try temporaryDirectory()
            let name = "\(directory)/notify"
            manager = try NotifySocket(abstract ? "@" + name : name)
            server = try BackendServer(.echo)
            setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
            setup.environment = ["NOTIFY_SOCKET": manager.address]
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        func start() throws -> Daemon { try Daemon(setup) }

        func awaitStates(_ states: [String]) throws {
            try eventually("it was told \(states); so far: \(manager.messages)") { manager.states == states }
        }

        /// The words that it was told last.
        var words: String? { manager.values("STATUS").last }
    }

    @Test func whoIsNotThereIsNotMissed() throws {
        for address in ["/nowhere/at/all", "relative", "", "@", "vsock:2:1", String(repeating: "/x", count: 100)] {
            let server = try BackendServer(.echo)
            var setup = Daemon.Setup()
            setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
            setup.environment = ["NOTIFY_SOCKET": address, "WATCHDOG_USEC": "nonsense"]
            let daemon = try Daemon(setup)
            try daemon.stop()
        }
    }

    /// Nobody has to listen to another process than the one that was started.
    @Test(arguments: [false, true]) func aLifeIsToldByTheKeeperAlone(abstract: Bool) throws {
        let scene = try Scene(abstract: abstract)
        let daemon = try scene.start()
        try scene.awaitStates(["READY=1"])
        try eventually("in words; so far: \(scene.manager.messages)") {
            scene.words == "Serving 0 connections, 1 of 1 backends up"
        }
        try daemon.ctl.expect("drain", "b1", "--force")
        try eventually("the words follow") { scene.words == "Serving 0 connections, 0 of 1 backends up" }
        try daemon.ctl.expect("undrain", "b1")
        try eventually("and follow") { scene.words == "Serving 0 connections, 1 of 1 backends up" }
        try daemon.stop()
        #expect(scene.manager.states == ["READY=1", "STOPPING=1"])
        #expect(Set(scene.manager.messages.map(\.sender)) == [daemon.pid])
        #expect(scene.manager.values("WATCHDOG").isEmpty)
    }

    /// Before that clients would be refused, or sent to backends of which nothing is known.
    @Test func readyComesAfterListeningAndTheFirstChecks() throws {
        let scene = try Scene()
        // It takes its time, and the time in which a check may be answered is longer.
        let slow = try Listener()
        let answer = Background("the first check") {
            let check = try slow.accept()
            usleep(300_000)
            try check.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            check.close()
        }
        scene.setup.health = "http:/"
        scene.setup.backends = [Daemon.Backend(name: "b1", address: slow.address)]
        let port = try Listener.refusing()
        let address = port.address
        port.close()
        scene.setup.listen = ["\(address)"]
        let seen = Background("the state at the moment of READY") { [manager = scene.manager] in
            try eventually("it is ready") { manager.states == ["READY=1"] }
            return try TCPSocket.connect(to: address)
        }
        let daemon = try scene.start()
        try seen.value().close()
        try answer.value()
        #expect(scene.manager.values("STATUS").first == "Serving 0 connections, 1 of 1 backends up")
        #expect(try daemon.ctl.backend("b1").state != "checking")
        try daemon.stop()
    }

    @Test func whatDoesNotStartIsNotReadyAndSaysWhy() throws {
        let scene = try Scene()
        let taken = try Listener()
        scene.setup.listen = ["\(taken.address)"]
        #expect(try Daemon.refuses(scene.setup).status == 1)
        #expect(scene.manager.states.isEmpty)
        try eventually("it says why") { scene.words?.contains("\(taken.address)") == true }
    }

    @Test func aReloadIsToldWithItsMomentWhateverBecomesOfIt() throws {
        let scene = try Scene()
        let servers = [scene.server]
        let daemon = try Reloadable([
            Reloadable.Service(listen: ["127.0.0.1:0"], backends: Reloadable.backends(servers))
        ]) { $0.environment = scene.setup.environment }
        try scene.awaitStates(["READY=1"])
        let before = microseconds()
        try daemon.ctl.expect("reload")
        try scene.awaitStates(["READY=1", "RELOADING=1", "READY=1"])
        try "nonsense".write(toFile: daemon.path, atomically: false, encoding: .utf8)
        kill(daemon.daemon.pid, SIGHUP)
        try scene.awaitStates(["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"])
        // One that changes nothing by its nature is none.
        _ = try daemon.ctl.run("reload", "--dry-run")
        let after = microseconds()
        let moments = scene.manager.messages.filter { $0.lines.contains("RELOADING=1") }.map {
            UInt64($0.value("MONOTONIC_USEC") ?? "") ?? 0
        }
        #expect(moments.count == 2 && moments.allSatisfy { (before...after).contains($0) }, "\(moments)")
        try daemon.daemon.stop()
        #expect(scene.manager.states.count == 6)
    }

    @Test func aDrainHasAsLongAsItTakes() throws {
        let scene = try Scene()
        scene.setup.arguments = ["--shutdown-drain", "10m"]
        let daemon = try scene.start()
        let client = try daemon.connect()
        try client.send("ok")
        #expect(try client.receiveText(2) == "ok")
        daemon.process.signal(SIGTERM)
        try scene.awaitStates(["READY=1", "STOPPING=1"])
        let stopping = try #require(scene.manager.messages.first { $0.lines.contains("STOPPING=1") })
        #expect(stopping.value("EXTEND_TIMEOUT_USEC") == "30000000")
        try eventually("it says how many are left") {
            scene.words?.hasPrefix("Stopping: 1 connection left, closed in 5") == true
        }
        // The next engine goes on with it, and nobody is told that it is ready.
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("the next engine works") { try daemon.enginePID != engine }
        client.close()
        try daemon.ended()
        #expect(scene.manager.states == ["READY=1", "STOPPING=1"])
    }

    // MARK: Signs of life

    /// Sets WATCHDOG_PID as systemd does, to the process that it starts, or one off.
    private func watched(_ scene: Scene, off: Int = 0) {
        scene.setup.wrapper = ["sh", "-c", "WATCHDOG_PID=$(($$ + \(off))) exec \"$@\"", "sh"]
        scene.setup.environment["WATCHDOG_USEC"] = "300000"
    }

    private func awaitBeats(_ scene: Scene, of pid: pid_t) throws {
        let before = scene.manager.messages.count
        try eventually("process \(pid) gives signs of life") {
            scene.manager.messages.dropFirst(before).count { $0.value("WATCHDOG") == "1" && $0.sender == pid } >= 4
        }
    }

    /// An engine that stands still, or is no more, is the keeper's business: a service manager that ended the keeper for it
    /// would end all connections.
    @Test func theKeeperGivesSignsOfLifeWhateverTheEngineDoes() throws {
        let scene = try Scene()
        watched(scene)
        let daemon = try scene.start()
        try awaitBeats(scene, of: daemon.pid)
        let engine = try daemon.enginePID
        kill(engine, SIGSTOP)
        try awaitBeats(scene, of: daemon.pid)
        kill(engine, SIGKILL)
        try eventually("the next engine works") { try daemon.enginePID != engine }
        try awaitBeats(scene, of: daemon.pid)
        #expect(scene.manager.values("STATUS").contains { $0.hasPrefix("the engine died: killed by SIGKILL") })
        try eventually("all is well again") { scene.words?.hasPrefix("Serving") == true }
        // A keeper that does nothing gives none.
        kill(daemon.pid, SIGSTOP)
        let count = scene.manager.messages.count
        #expect(holds(for: .milliseconds(600)) { scene.manager.messages.count <= count + 1 })
        kill(daemon.pid, SIGCONT)
        try awaitBeats(scene, of: daemon.pid)
        try daemon.stop()
    }

    @Test func signsOfLifeThatAreAnothersAreNotGiven() throws {
        let scene = try Scene()
        watched(scene, off: 1)
        let daemon = try scene.start()
        try scene.awaitStates(["READY=1"])
        #expect(holds(for: .milliseconds(700)) { scene.manager.values("WATCHDOG").isEmpty })
        try daemon.stop()
    }

    // MARK: Another image

    /// The process stays, and so does what was agreed with it.
    @Test func anUpgradeIsNoRestart() throws {
        let scene = try Scene()
        watched(scene)
        let lane = try UpgradeLane(environment: scene.setup.environment) { $0.wrapper = scene.setup.wrapper }
        try scene.awaitStates(["READY=1"])
        try lane.image.replace("version=0.9.9")
        #expect(try lane.upgrade().newVersion == "0.9.9")
        let pid = try lane.daemon.ctl.status().pid
        #expect(pid == lane.daemon.pid)
        try awaitBeats(scene, of: pid)
        #expect(scene.manager.values("MAINPID").isEmpty && !scene.manager.states.contains("STOPPING=1"))
        try lane.finish()
        #expect(scene.manager.states.last == "STOPPING=1")
    }

    /// The one case in which another process takes the keeper's place: it says so first, and goes on where that was.
    @Test func theGuardThatTakesOverSaysSo() throws {
        let scene = try Scene()
        watched(scene)
        let lane = try UpgradeLane(environment: scene.setup.environment) { $0.wrapper = scene.setup.wrapper }
        try scene.awaitStates(["READY=1"])
        try lane.image.replace("version=0.9.9", "image=dies")
        _ = try lane.refusal()
        let pid = try lane.daemon.ctl.status().pid
        #expect(pid != lane.daemon.pid)
        #expect(scene.manager.values("MAINPID") == ["\(pid)"])
        try awaitBeats(scene, of: pid)
        try lane.finish()
    }

    private func microseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }
}
