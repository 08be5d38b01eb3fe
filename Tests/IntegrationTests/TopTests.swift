import Foundation
import Testing

/// `limpetctl top`, and what asks on a terminal.
@Suite(.ownThread, .fence)
struct TopTests {
    /// What gives a terminal back.
    private static let farewell = "\u{1B}[?25h\u{1B}[?1049l"

    private func start(_ daemon: Daemon, _ terminal: PseudoTerminal, _ arguments: String...) throws -> ChildProcess {
        try ChildProcess(
            [Programs.limpetctl, "--control", daemon.ctl.control] + arguments,
            environment: ["TERM": "xterm", "NO_COLOR": "1"], terminal: terminal.theirs)
    }

    @Test func itShowsEachViewAndGoesWhenItIsTold() throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Daemon([server.address])
        let client = try daemon.connect(from: "127.9.9.9")
        _ = try client.receiveLine()
        let terminal = try PseudoTerminal()
        let mode = terminal.mode
        let top = try start(daemon, terminal, "top")
        try eventually("it shows the backends: \(terminal.text)") {
            terminal.text.contains("default/b1") && terminal.text.contains("1 connection of at most")
        }
        #expect(terminal.text.hasPrefix("\u{1B}[?1049h") && terminal.mode != mode)
        terminal.type("c")
        try eventually("it shows the connections") { terminal.text.contains("127.9.9.9:") }
        terminal.type("l")
        try eventually("it shows the listeners") { terminal.text.contains("ACCEPTS/S") }
        // An arrow is no key of its.
        terminal.type("\u{1B}[A")
        terminal.type("s")
        try eventually("it sorts by something else") { terminal.text.contains("s by connections") }
        terminal.type(" ")
        try eventually("it stands still") { terminal.text.contains("space go on") }
        terminal.clear()
        terminal.type(" ")
        try eventually("it goes on") { terminal.text.contains("space stop") }
        terminal.type("q")
        #expect(try top.wait() == .exit(0))
        #expect(terminal.text.hasSuffix(Self.farewell) && terminal.mode == mode)
        client.close()
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGSEGV, SIGABRT])
    func theTerminalIsGivenBack(_ signal: Int32) throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Daemon([server.address])
        let terminal = try PseudoTerminal()
        let mode = terminal.mode
        let top = try start(daemon, terminal, "top")
        try eventually("it shows something") { terminal.text.contains("default/b1") }
        // Stopped in between it gives it back, too, and takes it again.
        terminal.clear()
        top.signal(SIGTSTP)
        try eventually("it is given back") { terminal.text.contains(Self.farewell) && terminal.mode == mode }
        top.signal(SIGCONT)
        try eventually("it is taken again") { terminal.text.contains("default/b1") && terminal.mode != mode }
        top.signal(signal)
        #expect(try top.wait() == .signal(signal))
        #expect(terminal.text.hasSuffix(Self.farewell) && terminal.mode == mode)
        try daemon.stop()
    }

    @Test func theTerminalIsGivenBackWhenTheDaemonGoes() throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Daemon([server.address])
        let terminal = try PseudoTerminal()
        let mode = terminal.mode
        let top = try start(daemon, terminal, "top")
        try eventually("it shows something") { terminal.text.contains("default/b1") }
        // An engine's death is none of its business.
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("another engine answers") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        terminal.clear()
        try eventually("it shows what the next engine says") { terminal.text.contains("default/b1") }
        try daemon.stop()
        #expect(try top.wait() == .exit(3))
        let text = terminal.text
        #expect(text.contains(Self.farewell) && terminal.mode == mode)
        #expect(text.split(separator: "\u{1B}").last?.contains("limpetd is not running") == true, "\(text)")
    }

    @Test func withoutATerminalItPrintsOnce() throws {
        let server = try BackendServer(.greet("b1"))
        let daemon = try Daemon([server.address])
        let text = try daemon.ctl.expect("top", "--json")
        struct Document: Decodable {
            var intervalSeconds: Double
            var descriptors: Int
            var descriptorLimit: Int
            var workers: [Worker]
            var backends: [Backend]
            struct Worker: Decodable { var busy: Double }
            struct Backend: Decodable { var connectsPerSecond: Double }
        }
        let document = try Ctl.decode(Document.self, text)
        #expect(document.intervalSeconds > 0.1 && document.workers.count == 2)
        #expect(document.descriptors > 5 && document.descriptors < document.descriptorLimit)
        let plain = try daemon.ctl.expect("--plain", "top").split(separator: "\n")
        #expect(plain.map { $0.prefix { $0 != "\t" } } == ["daemon", "worker", "worker", "backend", "listener"])
        try daemon.stop()
    }

    @Test func closingManyAsksOnATerminal() throws {
        let lane = try Lane()
        let pairs = try (0..<2).map { _ in try lane.open() }
        for answer in ["n", "y"] {
            let terminal = try PseudoTerminal()
            let close = try start(lane.daemon, terminal, "close", "--backend", "b1")
            try eventually("it asks") { terminal.text.contains("2 connections would be closed. Go on? [y/N]") }
            terminal.type("\(answer)\n")
            #expect(try close.wait() == .exit(answer == "y" ? 0 : 1))
            if answer == "n" { #expect(pairs.allSatisfy { $0.client.isQuiet }) }
        }
        for pair in pairs {
            #expect(try pair.client.receiveToEnd() == ([], .fin))
            pair.close()
        }
        try lane.finish()
    }

    @Test func theLevelOfTheLogLastsUntilTheNextReload() throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        let ctl = daemon.ctl
        #expect(try ctl.run("log", "verbose").status == 2)
        #expect(try ctl.expect("log") == "info, as configured\n")
        #expect(try ctl.expect("log", "error") == "error, configured info\n")
        let engine = try daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("another engine answers") { (try? daemon.enginePID).map { $0 != engine } ?? false }
        #expect(try ctl.expect("log") == "error, configured info\n")
        #expect(daemon.logLines(containing: "serving again").isEmpty)
        try ctl.expect("reload")
        #expect(try ctl.expect("log", "--plain") == "info\tinfo\n")
        try ctl.expect("drain", "ws1")
        try eventually("notices are logged again") { !daemon.logLines(containing: "control: drain").isEmpty }
        try daemon.stop()
    }
}
