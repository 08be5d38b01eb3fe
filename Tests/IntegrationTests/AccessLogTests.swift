import Foundation
import Testing

/// A line for every connection: why it ended, by whom, and what it had been.
@Suite(.ownThread, .fence)
struct AccessLogTests {
    /// Every manner in which a connection can end by itself or by order, over engines, a reload and an upgrade: each has one
    /// line, and the counters say the same.
    @Test func everyEndIsToldAsItWas() throws {
        let scene = try EndScene()
        try scene.endByTheirOwn()
        try scene.newEngine()
        try scene.endByTime()
        try scene.compareCounters()
        try scene.endByOrder()
        try scene.upgrade()
        try scene.refuse()
        try scene.compareCounters()
        try scene.reload()
        try scene.endByOutage()
        try scene.newEngine()
        try scene.endByTheirOwn()
        try scene.compareCounters()
        try scene.endWithTheDaemon()
        let lines = scene.ends
        #expect(Set(lines.map(\.id)).count == lines.count, "each once")
        let told = Dictionary(grouping: lines, by: \.end).mapValues(\.count)
        #expect(told == scene.expected)
        // Whoever ended without having had a backend has no start; all others have one each.
        let starts = scene.lines.filter { $0.end == nil }
        #expect(Set(starts.map(\.id)) == Set(lines.filter { $0.connectSeconds != nil }.map(\.id)))
    }

    @Test func aLineSaysAllThatThereIsToSay() throws {
        let lane = try Lane(["--access-log", "end"])
        let pair = try lane.open(from: "127.0.0.9")
        try pair.client.send("12345")
        #expect(try pair.backend.receiveText(5) == "12345")
        try pair.backend.send("123")
        #expect(try pair.client.receiveText(3) == "123")
        let row = try lane.daemon.connections(1)[0]
        let client = "\(pair.client.local)"
        try pair.client.finish()
        _ = try pair.backend.receiveToEnd()
        pair.close()
        try eventually("its line is there") { !lane.daemon.logLines(containing: "connection ended").isEmpty }
        let line = lane.daemon.logLines(containing: "connection ended")[0]
        let form =
            #/\S+Z info connection ended id=(\S+) client=(\S+) peer=(\S+) listener=(\S+) service=default backend=b1 home=b1 away=- connect_seconds=\d+\.\d{6} retries=0 duration_seconds=\d+\.\d{6} bytes_in=5 bytes_out=3 end=client-fin by=client/#
        let match = try #require(try form.wholeMatch(in: line), "\(line)")
        #expect(match.1 == row.id && match.2 == client && match.3 == client)
        #expect(match.4 == "\(lane.daemon.address)")
        #expect(lane.daemon.logLines(containing: "connection started").isEmpty)
        try lane.finish()
    }

    /// Whoever dies between the entry and its note in the record has it written again, or once: never not at all.
    @Test(
        .enabled(if: Programs.isDebug, "only debug builds fail on purpose"),
        arguments: [
            "ESTABLISHED", "START_LOGGED", "END_FLAGGED", "END_COUNTED", "END_LOGGED", "FINISH_DOOMED", "FINISH_FREE",
        ])
    func aDeathInTheMiddleLosesNoLine(_ point: String) throws {
        let listener = try Listener()
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.arguments = ["--access-log", "both", "--log-format", "json"]
        setup.environment = [
            "LIMPET_INJECT": "\(try Injection.point("LIMPET_AT_" + point)):3", "LIMPET_BACKOFF": "off",
        ]
        let daemon = try Daemon(setup)
        var ids: Set<String> = []
        for _ in 0..<6 {
            let pair = Pair(client: try daemon.connect(), backend: try listener.accept())
            try pair.client.send("x")
            #expect(try pair.backend.receiveText(1) == "x")
            ids.insert(try daemon.connections(1)[0].id)
            try pair.client.finish()
            _ = try pair.backend.receiveToEnd()
            pair.backend.close()
            #expect(try pair.client.receiveToEnd() == ([], .fin))
            try daemon.waitUntilIdle()
        }
        #expect(try daemon.ctl.status().engineGeneration == 2)
        try eventually("all have their line") { Set(accessLines(daemon).filter { $0.end != nil }.map(\.id)) == ids }
        #expect(Set(accessLines(daemon).filter { $0.end == nil }.map(\.id)) == ids)
        #expect(accessLines(daemon).allSatisfy { $0.end ?? "client-fin" == "client-fin" && $0.backend == "b1" })
        try daemon.stop()
    }

    /// What nobody had read when the engine died is written by the next one, and nothing of what had been.
    @Test func whatWaitsOutlivesTheEngine() throws {
        let pipe = try UnreadLog()
        defer { pipe.remove() }
        let server = try BackendServer(.closeAtOnce)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
        setup.arguments = ["--access-log", "end"]
        setup.wrapper = pipe.wrapper
        let daemon = try Daemon(setup)
        func connect(_ count: Int) throws {
            for _ in 0..<count {
                let client = try daemon.connect()
                #expect(try client.receiveToEnd().bytes.isEmpty)
                client.close()
            }
        }
        var text = ""
        func ids() -> [Substring] {
            text += pipe.read()
            return text.matches(of: #/connection ended id=(\S+) /#).map(\.1)
        }
        try connect(100)
        try eventually("they are told of") { ids().count == 100 }
        pipe.fill()
        // So many that each worker has more than goes out at once.
        try connect(200)
        try daemon.waitUntilIdle()
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        try eventually("these as well") { Set(ids()).count == 300 }
        #expect(ids().count == 300, "each once")
        try daemon.stop()
    }

    /// Nobody reads: clients are served, lines are dropped, and how many is said when somebody reads again.
    @Test func aReaderThatStandsStillHoldsNobodyUp() throws {
        let pipe = try UnreadLog()
        defer { pipe.remove() }
        let server = try BackendServer(.closeAtOnce)
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: server.address)]
        setup.workers = 1
        setup.arguments = ["--access-log", "both"]
        setup.wrapper = pipe.wrapper
        let daemon = try Daemon(setup)
        pipe.fill()
        // Two lines each: more than a ring holds.
        let count = 9000
        for _ in 0..<count / 2 {
            let client = try daemon.connect()
            #expect(try client.receiveToEnd().bytes.isEmpty)
            client.close()
        }
        // The control plane logs each of these, and answers all the same.
        for _ in 0..<20 { try daemon.ctl.run("close", "ffffffff") }
        var text = ""
        try eventually("what was lost is told") {
            text += pipe.read()
            return text.contains("lines of the access log are lost")
        }
        // It may be told in parts.
        func lost() -> Int {
            text.matches(of: #/(\d+) lines of the access log are lost/#).reduce(0) { $0 + (Int($1.1) ?? 0) }
        }
        try eventually("all others are there") {
            text += pipe.read()
            return text.matches(of: #/connection (started|ended) id=\S+ /#).count == count - lost()
        }
        var metrics = try daemon.ctl.metrics()
        #expect(lost() > 0 && metrics["limpet_access_log_dropped_total"] == Double(lost()))
        #expect(metrics["limpet_log_dropped_total"] == 0)
        #expect(text.matches(of: #/control: close ffffffff/#).count == 20, "the log itself has lost nothing")
        for line in text.split(separator: "\n") where line.contains("connection ended") {
            #expect(line.wholeMatch(of: #/\S+Z info connection ended id=\S+ client=.* by=\w+/#) != nil, "\(line)")
        }
        // What waits in memory ends with its engine, and the next one says how much that was.
        pipe.fill()
        for _ in 0..<20 { try daemon.ctl.run("close", "ffffffff") }
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        _ = try daemon.nextEngine(after: engine)
        metrics = try daemon.ctl.metrics()
        let dropped = try #require(metrics["limpet_log_dropped_total"])
        #expect(dropped >= 20)
        try eventually("the next engine says that they are lost") {
            text += pipe.read()
            return text.contains(" \(Int(dropped)) lines of the log are lost")
        }
        #expect(try daemon.ctl.metrics()["limpet_access_log_dropped_total"] == Double(lost()))
        try daemon.stop()
    }
}

/// A line of the access log as JSON.
struct AccessDocument: Decodable {
    var id: String
    var message: String
    var client: String?
    var service: String
    var backend: String?
    var home: String?
    var away: String?
    var connectSeconds: Double?
    var retries: Int
    var durationSeconds: Double?
    var bytesIn: Int?
    var bytesOut: Int?
    var end: String?
    var by: String?
}

/// The lines of the access log that a daemon has written, which logs JSON.
func accessLines(_ daemon: Daemon) -> [AccessDocument] {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return daemon.process.stderrLines.filter { $0.contains("\"message\":\"connection ") }.compactMap {
        try? decoder.decode(AccessDocument.self, from: Data($0.utf8))
    }
}

/// A FIFO as standard error that somebody reads when told to.
final class UnreadLog {
    private let directory: String
    private let descriptor: Int32
    private var path: String { "\(directory)/log" }

    init() throws {
        directory = try temporaryDirectory()
        chmod(directory, 0o777)
        mkfifo("\(directory)/log", 0o666)
        descriptor = open("\(directory)/log", O_RDWR | O_NONBLOCK)
        chmod("\(directory)/log", 0o666)
    }

    deinit { close(descriptor) }

    var wrapper: [String] { ["sh", "-c", "exec \"$@\" 2>\"\(path)\"", "sh"] }

    /// Leaves no room in it.
    func fill() {
        let page = [UInt8](repeating: 10, count: 4096)
        while write(descriptor, page, page.count) > 0 {}
    }

    /// All that is in it.
    func read() -> String {
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        var text: [UInt8] = []
        while case let count = Glibc.read(descriptor, &bytes, bytes.count), count > 0 { text += bytes.prefix(count) }
        return String(decoding: text, as: UTF8.self)
    }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }
}
