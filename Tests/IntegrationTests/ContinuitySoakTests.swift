import Foundation
import Testing

/// Connections outlive whatever happens to the processes behind them: engines die at random moments and at chosen points,
/// and the checker counts every byte and every end.
///
/// The short form is part of every run; LIMPET_SOAK=1 makes it long.
@Suite(.ownThread, .serialized, .fence)
struct ContinuitySoakTests {
    private static let isLong = ProcessInfo.processInfo.environment["LIMPET_SOAK"] == "1"

    private static func times(_ long: Int, short: Int) -> Int { isLong ? long : short }

    @Test func killedAtRandomMoments() throws {
        let stage = try Stage(Checker.Load(proxy: "v2", header: "v2", seed: 11))
        var dice = Dice(seed: 11)
        for _ in 0..<Self.times(200, short: 20) {
            usleep(UInt32(dice.below(60_000)))
            try stage.killEngine()
        }
        #expect(try stage.finish().connections > 50)
    }

    /// One in so many of the labelled points that the engine passes is its last.
    @Test(arguments: [("none", "none"), ("v1", "none"), ("v2", "v2"), ("none", "v1")])
    func diesAtLabelledPoints(_ proxy: String, _ header: String) throws {
        let wanted = Self.times(500, short: 40)
        var setup = Daemon.Setup()
        setup.environment["LIMPET_INJECT"] = "400"
        let stage = try Stage(Checker.Load(proxy: proxy, header: header, seed: proxy == "none" ? 12 : 13), setup)
        try eventually("\(wanted) injected deaths", within: .seconds(300)) { stage.injectedDeaths.count >= wanted }
        try stage.finish()
        let points = Set(stage.injectedDeaths)
        #expect(points.count >= Self.times(30, short: 8), "\(points.sorted())")
    }

    /// Listeners, backends and settings come and go under the load; what it uses stays.
    @Test func reloadedAgainAndAgain() throws {
        let stage = try Stage(Checker.Load(proxy: "v1", seed: 14))
        for number in 1...Self.times(100, short: 8) {
            try stage.write(variant: number)
            let outcome = try stage.daemon.ctl.run("reload")
            #expect(outcome.status == 0 && !outcome.stdout.contains("nothing has changed"), "\(outcome)")
        }
        try stage.write(variant: 0)
        try stage.daemon.ctl.expect("reload")
        try stage.finish()
    }

    @Test func upgradedAgainAndAgain() throws {
        let stage = try Stage(Checker.Load(proxy: "v2", header: "v1", seed: 15))
        for _ in 0..<Self.times(100, short: 5) { try stage.daemon.ctl.expect("upgrade") }
        #expect(try stage.daemon.ctl.status().pid == stage.daemon.pid)
        try stage.finish()
    }

    /// All of it at once, one into the other: what a command answers is its own affair, what clients see is not.
    @Test func everythingAtOnce() throws {
        var setup = Daemon.Setup()
        setup.environment["LIMPET_INJECT"] = "20000"
        let stage = try Stage(Checker.Load(proxy: "v1", seed: 16), setup)
        var dice = Dice(seed: 16)
        for number in 1...Self.times(150, short: 12) {
            usleep(UInt32(dice.below(40_000)))
            switch dice.below(3) {
            case 0: try stage.killEngine()
            case 1:
                try stage.write(variant: number)
                let reload = Background("a reload") { try stage.daemon.ctl.run("reload") }
                if dice.chance(50) { try stage.killEngine() }
                _ = try reload.value()
            default:
                let upgrade = Background("an upgrade") { try stage.daemon.ctl.run("upgrade") }
                usleep(UInt32(dice.below(80_000)))
                if dice.chance(50) { try stage.killEngine() }
                _ = try upgrade.value()
            }
        }
        try stage.write(variant: 0)
        try eventually("the first configuration is back") { try stage.daemon.ctl.run("reload").status == 0 }
        try stage.finish()
    }
}

/// The same over backends that are Unix sockets, on which the kernel counts nothing.
@Suite(.ownThread, .serialized, .fence)
struct UnixSoakTests {
    private static let isLong = ProcessInfo.processInfo.environment["LIMPET_SOAK"] == "1"

    private static func times(_ long: Int, short: Int) -> Int { isLong ? long : short }

    @Test func killedAtRandomMoments() throws {
        let stage = try Stage(Checker.Load(proxy: "v2", header: "v2", seed: 21, isUnix: true))
        var dice = Dice(seed: 21)
        for _ in 0..<Self.times(200, short: 15) {
            usleep(UInt32(dice.below(60_000)))
            try stage.killEngine()
        }
        #expect(try stage.finish().connections > 50)
    }

    @Test(arguments: [("v1", "none"), ("v2", "v1")])
    func diesAtLabelledPoints(_ proxy: String, _ header: String) throws {
        let wanted = Self.times(500, short: 40)
        var setup = Daemon.Setup()
        setup.environment["LIMPET_INJECT"] = "400"
        let stage = try Stage(Checker.Load(proxy: proxy, header: header, seed: 22, isUnix: true), setup)
        try eventually("\(wanted) injected deaths", within: .seconds(300)) { stage.injectedDeaths.count >= wanted }
        try stage.finish()
        let points = Set(stage.injectedDeaths)
        #expect(points.count >= Self.times(30, short: 8), "\(points.sorted())")
    }

    /// With Unix sockets on both sides.
    @Test func onBothSides() throws {
        var setup = Daemon.Setup()
        setup.environment["LIMPET_INJECT"] = "1500"
        let stage = try Stage(Checker.Load(proxy: "none", seed: 24, isUnix: true, comesByUnix: true), setup)
        var dice = Dice(seed: 24)
        for number in 1...Self.times(100, short: 8) {
            usleep(UInt32(dice.below(60_000)))
            if number % 4 == 0 {
                try stage.write(variant: number / 4)
                try eventually("the file is read") { try stage.daemon.ctl.run("reload").status == 0 }
            } else {
                try stage.killEngine()
            }
        }
        try stage.write(variant: 0)
        try eventually("the first configuration is back") { try stage.daemon.ctl.run("reload").status == 0 }
        try stage.finish()
    }

    @Test func upgradedAndReloaded() throws {
        let stage = try Stage(Checker.Load(proxy: "none", seed: 23, isUnix: true))
        for number in 1...Self.times(50, short: 3) {
            try stage.write(variant: number)
            try stage.daemon.ctl.expect("reload")
            try stage.daemon.ctl.expect("upgrade")
        }
        try stage.write(variant: 0)
        try stage.daemon.ctl.expect("reload")
        try stage.finish()
    }
}

/// A daemon between the two halves of a checker: two services in front of the same backends, one with buffers so small
/// that pipes and the scratch are always in use.
private final class Stage: Sendable {
    let daemon: Daemon
    let checker: Checker
    private let descriptors: [String]
    private let load: Checker.Load
    /// Of the listeners that are Unix sockets; nil: they are none.
    private let directory: String?

    init(_ load: Checker.Load, _ setup: Daemon.Setup = Daemon.Setup()) throws {
        checker = try Checker(load)
        self.load = load
        var setup = setup
        directory = load.comesByUnix ? checker.directory : nil
        setup.file = Stage.file(checker.backends, load, directory, variant: 0)
        // Deaths come faster here than anywhere: the next engine does not wait.
        setup.environment["LIMPET_BACKOFF"] = "off"
        // A machine that is busy with other things may take longer than an upgrade is given.
        setup.environment["LIMPET_UPGRADE_PATIENCE"] = "20000"
        daemon = try Daemon(setup)
        descriptors = try Stage.settled(daemon)
        try checker.start(on: daemon.listeners)
    }

    /// - Parameter variant: 0: the plain configuration; 1 to 3 change something each.
    private static func file(
        _ backends: [SocketAddress], _ load: Checker.Load, _ directory: String?, variant: Int
    ) -> String {
        func service(_ name: String, _ settings: String, without count: Int = 0, weight: Int = 1) -> String {
            """
            [[service]]
            name = "\(name)"
            listen = "\(directory.map { "unix:\($0)/\(name).sock" } ?? "127.0.0.1:0")"
            send-proxy = "\(load.proxy == "none" ? "off" : load.proxy)"
            send-proxy-tlvs = [\(load.proxy == "v2" && load.header == "v2" ? "\"received\"" : "")]
            accept-proxy = [\(load.header == "none" ? "" : "\"127.0.0.0/8\"")]
            health = "off"
            affinity = \(name == "wide" ? "\"1h\"" : "\"off\"")
            \(settings)

            """
                + backends.dropLast(count).enumerated().map { number, address in
                    "[[service.backend]]\nname = \"b\(number + 1)\"\naddress = \"\(address)\"\n"
                        + (number == 0 ? "weight = \(weight)\n" : "")
                }.joined()
        }
        let narrow = "send-buffer = \"16KiB\"\nreceive-buffer = \"64KiB\"\n"
        let plain = service("wide", "") + service("narrow", narrow)
        return switch variant % 4 {
        case 1: plain + service("extra", "")
        case 2: service("wide", "", without: 1) + service("narrow", narrow, without: 1)
        case 3: service("wide", "idle-timeout = \"1h\"\n", weight: 3) + service("narrow", narrow)
        default: plain
        }
    }

    /// Changes the file; nobody has read it yet.
    func write(variant: Int) throws {
        try Stage.file(checker.backends, load, directory, variant: variant)
            .write(toFile: "\(daemon.directory)/limpet.toml", atomically: true, encoding: .utf8)
    }

    /// What the descriptors of the shared table are, but for the pipes that the workers know of, whose number depends on what
    /// has just been going on. After an upgrade the executable before is kept for a while: two count as one, three do not.
    private static func descriptors(_ daemon: Daemon) throws -> [String] {
        let status = try daemon.ctl.status()
        let table = "/proc/\(status.enginePid)/fd"
        let links = try FileManager.default.contentsOfDirectory(atPath: table).compactMap { number in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(table)/\(number)"))?
                .replacing(/\[[0-9]+\]/, with: "")
        }
        let pipes = links.count { $0 == "pipe:" }
        let executables = links.count { $0.hasSuffix("/limpetd") }
        return links.filter { $0 != "pipe:" && !$0.hasSuffix("/limpetd") }.sorted()
            + [String](repeating: "limpetd", count: max(1, executables - 1))
            + [String](repeating: "pipe:", count: max(0, pipes - 2 * status.pipes))
    }

    /// The same once nothing passing is among them: what was asked at the start may still be being answered, or looked up.
    private static func settled(_ daemon: Daemon) throws -> [String] {
        var last: [[String]] = []
        try eventually("the descriptors stay what they are") {
            last.append(try descriptors(daemon))
            return last.count >= 4 && Set(last.suffix(4)).count == 1
        }
        return last[last.count - 1]
    }

    /// Ends the engine, whatever it is doing, and returns when there is another.
    func killEngine() throws {
        var killed: pid_t = 0
        try eventually("there is an engine") {
            guard let engine = daemon.keeper.children.first(where: isEngine) else { return false }
            killed = engine
            return kill(engine, SIGKILL) == 0
        }
        try eventually("there is another engine") { daemon.keeper.children.contains { $0 != killed && isEngine($0) } }
    }

    /// A guard is the keeper's child as well, while one image makes way for another; and so, for a second, are the dead.
    private func isEngine(_ child: pid_t) -> Bool {
        let facts = ProcessFacts(pid: child)
        return facts.name != "limpetd-guard" && !facts.isZombie
    }

    /// The numbers of the points at which engines died.
    var injectedDeaths: [Int] {
        daemon.log.split(separator: "\n").compactMap { line in
            guard let range = line.range(of: "injected death at point ") else { return nil }
            return Int(line[range.upperBound...].prefix(2))
        }
    }

    private struct Remembered: Decodable {
        var entries: Int
        var clients: [Client]

        struct Client: Decodable {
            var client: String
            var backend: String
            var connections: Int
        }
    }

    /// Ends the load; everything must have been right, and nothing may be left of it.
    @discardableResult
    func finish(sourceLocation: SourceLocation = #_sourceLocation) throws -> Checker.Report {
        let report = try checker.expectEverythingRight(sourceLocation: sourceLocation)
        try daemon.waitUntilIdle()
        for row in try daemon.ctl.backends() {
            #expect(row.connections == 0 && row.connecting == 0 && row.away == 0, "\(row)")
        }
        // Clients that are remembered have as many connections as there are, whoever died in the middle of counting them.
        let remembered = try daemon.ctl.json(Remembered.self, ["affinity"])
        #expect(remembered.entries > 0 && remembered.clients.allSatisfy { $0.connections == 0 }, "\(remembered)")
        var left: [String] = []
        let areAsAtFirst = try becomes(within: .seconds(5)) {
            left = try Stage.descriptors(daemon)
            return left == descriptors
        }
        #expect(areAsAtFirst, "\(left) at the end, \(descriptors) at first", sourceLocation: sourceLocation)
        try daemon.stop(sourceLocation: sourceLocation)
        return report
    }
}

extension Daemon {
    /// What /proc says of the keeper.
    fileprivate var keeper: ProcessFacts { ProcessFacts(pid: pid) }
}
