import Foundation
import Testing

/// `limpet-echo demo`, which `make demo` runs: it must hold on the real daemon, fail where it has to, and leave nothing.
@Suite("The demonstration", .serialized)
struct DemonstrationTests {
    @Test("A daemon that forgets its clients makes it fail")
    func unsticky() throws {
        let stage = try Stage()
        let forgetful = try stage.script("exec \(Programs.limpetd) \"$@\" --hash-on source-port")
        let show = try stage.start(limpetd: forgetful)
        #expect(try show.wait() == .exit(1))
        #expect(show.stderr.contains("this should have been true and is not: "), "\(show.stderr)")
        #expect(show.stderr.contains("What limpetd logged:"), "\(show.stderr)")
        try stage.expectNothingLeft()
    }

    @Test("A daemon that does not start makes it fail")
    func noDaemon() throws {
        let stage = try Stage()
        let show = try stage.start(limpetd: "/bin/false")
        #expect(try show.wait() == .exit(1))
        #expect(show.stderr.contains("limpetd did not start: it exited with 1"), "\(show.stderr)")
        try stage.expectNothingLeft()
    }

    @Test("On the real daemon it succeeds")
    func play() throws {
        let stage = try Stage()
        let show = try stage.start()
        #expect(try show.wait(within: .seconds(60)) == .exit(0), "\(show.stdout)\n\(show.stderr)")
        #expect(show.stderr == "")
        #expect(show.stdout.contains("ok  72 of 72 connections met the same server again"), "\(show.stdout)")
        #expect(show.stdout.contains("ok  0 of the other "), "\(show.stdout)")
        #expect(show.stdout.contains("All of it held"), "\(show.stdout)")
        try stage.expectNothingLeft()
    }

    @Test("Cut short by a signal it leaves nothing either", arguments: [SIGINT, SIGTERM])
    func interrupted(signal: Int32) throws {
        let stage = try Stage()
        let show = try stage.start()
        try eventually("the demonstration has begun") { show.stdout.contains("1. The clients connect") }
        show.signal(signal)
        #expect(try show.wait() == .exit(128 + signal), "\(show.stdout)\n\(show.stderr)")
        try stage.expectNothingLeft()
    }

    @Test("Left to play with, it serves until Ctrl-C")
    func stay() throws {
        let stage = try Stage()
        let show = try stage.start(["--stay"])
        try eventually("it says what to try") { show.stdout.contains("/v1/backends") }
        let words = show.stdout.split(whereSeparator: \.isWhitespace)
        let control = try #require(words.first { $0.hasPrefix("LIMPET_CONTROL=") }).dropFirst(15)
        let rows = try Ctl(control: String(control)).connections()
        #expect(rows.count == 24)
        #expect(Set(rows.map(\.backend)) == ["ws1", "ws2", "ws3"])
        // The show, three servers, keeper and engine: were they not seen here, their absence would mean nothing either.
        #expect(stage.processes.count == 6)
        show.signal(SIGINT)
        #expect(try show.wait() == .exit(0), "\(show.stderr)")
        try stage.expectNothingLeft()
    }

    @Test("Usage errors exit 2")
    func usage() throws {
        #expect(try run([Stage.limpetEcho, "demo"]).status == 2)
        #expect(try run([Stage.limpetEcho, "serve", "--no-such-flag"]).status == 2)
    }
}

/// A place of its own for a demonstration, so that what it leaves can be seen.
private final class Stage {
    /// Built beside the daemon.
    static let limpetEcho = URL(fileURLWithPath: Programs.limpetd)
        .deletingLastPathComponent().appendingPathComponent("limpet-echo").path

    private let directory: String
    /// The demonstration's $TMPDIR.
    private let temporary: String

    init() throws {
        directory = try temporaryDirectory()
        temporary = directory + "/tmp"
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func start(_ more: [String] = [], limpetd: String = Programs.limpetd) throws -> ChildProcess {
        try ChildProcess(
            [Self.limpetEcho, "demo", "--limpetd", limpetd, "--limpetctl", Programs.limpetctl] + more,
            environment: ["TMPDIR": temporary], directory: directory)
    }

    /// An executable script.
    func script(_ text: String) throws -> String {
        let path = directory + "/script"
        try "#!/bin/sh\n\(text)\n".write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o755)
        return path
    }

    /// Processes that were started with this $TMPDIR.
    var processes: [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { pid in
            let variables = FileManager.default.contents(atPath: "/proc/\(pid)/environ") ?? Data()
            return variables.split(separator: 0).contains(Data("TMPDIR=\(temporary)".utf8))
        }
    }

    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(processes == [], sourceLocation: sourceLocation)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: temporary) == [], sourceLocation: sourceLocation)
    }
}
