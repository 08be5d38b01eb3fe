import Foundation
import Testing

/// What is told of, and that nothing of it is told twice or forgotten.
@Suite(.ownThread, .fence)
struct EventTests {
    struct Event: Decodable {
        var event: String
        var cursor: String
        var service: String?
        var backend: String?
        var listener: String?
        var old: String?
        var new: String?
        var cause: String?
        var count: Int?
        var uid: UInt32?

        /// The number in its cursor.
        var number: Int { cursor.split(separator: "-").last.flatMap { Int($0) } ?? -1 }

        var words: String {
            ([event, service, backend, old, new].compactMap { $0 } + (uid == nil ? [] : ["by"])).joined(separator: " ")
        }
    }

    private func events(_ ctl: Ctl, since: String = "start") throws -> [Event] {
        try ctl.expect("events", "--json", "--no-wait", "--since", since).split(separator: "\n").map {
            try Ctl.decode(Event.self, String($0))
        }
    }

    @Test func whatOperatorsDoIsToldWithWhoAsked() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let ctl = daemon.ctl
        #expect(try events(ctl).map(\.words) == ["start 0.1.0"])
        let client = try daemon.connect(from: try daemon.source(preferring: "ws1"))
        _ = try client.receiveLine()
        try ctl.expect("drain", "ws1")
        try ctl.expect("drain", "ws1")
        try ctl.expect("undrain", "ws1")
        try ctl.expect("weight", "ws2", "7")
        try ctl.expect("weight", "ws2", "7")
        try ctl.expect("weight", "ws2", "file")
        try ctl.expect("close", "--backend", "ws1", "--force")
        try ctl.expect("rehome")
        try ctl.expect("reload")
        try "nonsense = 1\n".write(toFile: "\(daemon.directory)/limpet.toml", atomically: false, encoding: .utf8)
        #expect(try ctl.run("reload").status == 7)
        let told = try events(ctl)
        #expect(
            told.map(\.words).filter { !$0.hasPrefix("drain ") } == [
                "start 0.1.0", "intent chat ws1 ready drain by", "intent chat ws1 drain ready by",
                "weight chat ws2 1 7 by", "weight chat ws2 7 1 by", "close by", "reload unchanged by",
                "reload refused by",
            ])
        #expect(told.map(\.number) == Array(1...told.count))
        #expect(told.first { $0.event == "close" }?.count == 1)
        #expect(told.last?.cause?.contains("nonsense") == true)
        // A cursor goes on after its event, a bad one is refused, one of another daemon has missed nobody knows what.
        #expect(try events(ctl, since: told[told.count - 2].cursor).map(\.number) == [told.count])
        #expect(try events(ctl, since: told[told.count - 1].cursor).isEmpty)
        #expect(try ctl.run("events", "--since", "yesterday").status == 2)
        let foreign = try events(ctl, since: "1-5")
        #expect(foreign.first?.event == "missed" && foreign.first?.count == nil && foreign.count == told.count + 1)
        try daemon.stop()
    }

    @Test func theyOutliveTheEngine() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let follower = try ChildProcess([
            Programs.limpetctl, "--control", daemon.ctl.control, "events", "--json", "--since", "start",
        ])
        try eventually("it follows") { follower.stdoutLines.count == 1 }
        try daemon.ctl.expect("drain", "ws1")
        for death in 1...2 {
            let engine = try daemon.enginePID
            kill(engine, SIGKILL)
            try eventually("another engine answers") { (try? daemon.enginePID).map { $0 != engine } ?? false }
            try eventually("death \(death) is told of") {
                try events(daemon.ctl).count { $0.event == "crash" } == death
            }
        }
        try daemon.ctl.expect("undrain", "ws1")
        let told = try events(daemon.ctl)
        #expect(
            told.map(\.words).filter { !$0.hasPrefix("drain ") } == [
                "start 0.1.0", "intent chat ws1 ready drain by", "crash 2", "crash 3", "intent chat ws1 drain ready by",
            ])
        #expect(told.map(\.number) == Array(1...told.count))
        // Who followed has seen each of them once.
        try eventually("the follower has them; it says: \(follower.stderr)") {
            follower.stdoutLines.count >= told.count
        }
        let seen = try follower.stdoutLines.map { try Ctl.decode(Event.self, $0) }
        #expect(seen.map(\.number) == told.map(\.number))
        follower.signal(SIGTERM)
        _ = try follower.wait()
        try daemon.stop()
    }
}
