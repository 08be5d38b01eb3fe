import Foundation
import Testing

/// Flags and files, good and bad.
@Suite(.ownThread, .fence)
struct StartTests {
    private static let good = ["--listen", "127.0.0.1:0", "--backend", "b1=127.0.0.1:9"]

    private func start(_ arguments: [String]) throws -> Outcome {
        var setup = Daemon.Setup()
        setup.listen = []
        setup.arguments = arguments
        return try Daemon.refuses(setup)
    }

    private func start(file: String, _ arguments: [String] = []) throws -> Outcome {
        var setup = Daemon.Setup()
        setup.file = file
        setup.arguments = arguments
        return try Daemon.refuses(setup)
    }

    static let badFlagLists: [[String]] = [
        ["--no-such-flag"],
        ["--backend", "127.0.0.1:9"],
        ["--listen", "127.0.0.1:0"],
        ["--listen", "127.0.0.1", "--backend", "127.0.0.1:9"],
        ["--listen", "127.0.0.1:65536", "--backend", "127.0.0.1:9"],
        ["--listen", "localhost:80", "--backend", "127.0.0.1:9"],
        ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0"],
        ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9,weight=0"],
        ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9,weight=257"],
        ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9,wieght=2"],
        ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9,max-connections=0"],
        ["--listen", "127.0.0.1:0", "--backend", "a b=127.0.0.1:9"],
        ["--listen", "127.0.0.1:0", "--backend", "x=127.0.0.1:9", "--backend", "x=127.0.0.1:10"],
        good + ["--listen", "127.0.0.1:4711", "--listen", "127.0.0.1:4711"],
        good + ["--connect-timeout", "3"],
        good + ["--connect-timeout", "-1s"],
        good + ["--connect-attempts", "0"],
        good + ["--idle-timeout", "soon"],
        good + ["--ipv4-prefix", "33"],
        good + ["--ipv6-prefix", "129"],
        good + ["--hash-on", "weather"],
        good + ["--max-connections", "0"],
        good + ["--workers", "0"],
        good + ["--log-level", "loud"],
        good + ["--log-format", "xml"],
        good + ["surplus"],
    ]

    @Test(arguments: badFlagLists)
    func badFlags(_ arguments: [String]) throws {
        let outcome = try start(arguments)
        #expect(outcome.ending == .exit(2), "\(outcome)")
        #expect(outcome.stderr.contains("limpetd"), "\(outcome)")
        #expect(outcome.stdout == "")
        // The message names the option, or the word in it that is wrong.
        let words = arguments.flatMap { [$0] + $0.split { "=,".contains($0) }.map(String.init) }
        #expect(words.contains { outcome.stderr.contains($0) } || arguments.count < 3, "\(outcome)")
    }

    static let service = """
        [[service]]
        name = "chat"
        listen = ["127.0.0.1:0"]


        """
    static let backend = """
        [[service.backend]]
        name = "ws1"
        address = "127.0.0.1:9"

        """

    @Test func anUnknownKeyIsNamedWithItsPlaceAndAGuess() throws {
        let outcome = try start(file: Self.service + Self.backend + "wieght = 3\n")
        #expect(outcome.ending == .exit(7), "\(outcome)")
        let expected = #"limpet.toml: service "chat": backend "ws1": unknown key "wieght" (did you mean "weight"?)"#
        #expect(outcome.stderr.contains(expected), "\(outcome)")
    }

    /// A file, and a word that the message has to contain.
    static let badFileTexts: [(String, String)] = [
        (service + backend + "weight = 0\n", "weight"),
        (service + backend + "weight = \"three\"\n", "weight"),
        (service + backend + backend, "ws1"),
        (service, "backend"),
        (service + "[[service.backend]]\nname = \"ws1\"\naddress = \"127.0.0.1:99999\"\n", "99999"),
        (service + "[[service.backend]]\nname = \"ws1\"\n", "address"),
        (service + backend + service + backend, "chat"),
        ("speed = 3\n" + service + backend, "speed"),
        (service + "connect-timeout = \"3 parsecs\"\n" + backend, "3 parsecs"),
        (service + backend + "[[service]\n", "line 8"),
        ("", "service"),
    ]

    @Test(arguments: badFileTexts)
    func badFiles(_ file: String, _ word: String) throws {
        for arguments in [[], ["--check"]] {
            let outcome = try start(file: file, arguments)
            #expect(outcome.ending == .exit(7), "\(outcome)")
            #expect(outcome.stderr.contains("limpet.toml: "), "\(outcome)")
            #expect(outcome.stderr.contains(word), "\(outcome)")
        }
    }

    @Test func twoServicesOnOneAddressAreRefused() throws {
        let services = ["chat", "game"].map {
            "[[service]]\nname = \"\($0)\"\nlisten = [\"127.0.0.1:4711\"]\n" + Self.backend
        }
        let outcome = try start(file: services.joined())
        #expect(outcome.ending == .exit(7), "\(outcome)")
        #expect(outcome.stderr.contains("127.0.0.1:4711") && outcome.stderr.contains("chat"), "\(outcome)")
    }

    @Test func aFileThatIsNotThereIsNamed() throws {
        let outcome = try start(["-c", "/nonexistent/limpet.toml"])
        #expect(outcome.ending == .exit(7), "\(outcome)")
        #expect(outcome.stderr.contains("/nonexistent/limpet.toml"), "\(outcome)")
    }

    /// --check says what would be, and touches nothing: the port is taken, and no file appears.
    @Test func checkPrintsTheEffectiveConfigurationAndStartsNothing() throws {
        let taken = try Listener()
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let outcome = try run(
            [
                Programs.limpetd, "--check", "--control", "\(directory)/control.sock", "--state-directory",
                "\(directory)/state",
            ]
                + [
                    "--listen", "\(taken.address)", "--backend", "ws1=127.0.0.1:9,weight=3", "--connect-timeout",
                    "1500ms",
                ])
        #expect(outcome.ending == .exit(0), "\(outcome)")
        for part in ["\(taken.address)", "ws1", "127.0.0.1:9", "weight = 3", "1500ms"] {
            #expect(outcome.stdout.contains(part), "\(part) is not in \(outcome)")
        }
        #expect((outcome.stdout + outcome.stderr).contains("connections at most"), "\(outcome)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
    }

    @Test(.enabled(if: isRoot)) func checkWarnsOfAUserThatDoesNotExist() throws {
        let outcome = try run([Programs.limpetd, "--check", "--user", "no-such-user"] + Self.good)
        #expect(outcome.ending == .exit(0), "\(outcome)")
        #expect(
            outcome.stderr.contains("warning: it would not start: user \"no-such-user\" does not exist"), "\(outcome)")
    }

    /// What --check prints is a configuration that means the same.
    @Test func whatCheckPrintsCanBeUsed() throws {
        let backend = try BackendServer(.greet("ws1"))
        let printed = try run(
            [Programs.limpetd, "--check", "--listen", "127.0.0.1:0", "--backend", "ws1=\(backend.address),weight=7"]
                + ["--ipv4-prefix", "24", "--idle-timeout", "10m", "--workers", "1"])
        #expect(printed.ending == .exit(0), "\(printed)")
        let text = printed.stdout
        var setup = Daemon.Setup()
        setup.file = text
        let daemon = try Daemon(setup)
        #expect(try daemon.connect().receiveLine().hasPrefix("ws1 "))
        #expect(try daemon.ctl.backend("ws1").weight == 7)
        #expect(try daemon.ctl.locate("127.9.8.7").key == "127.9.8.0/24")
        #expect(try daemon.ctl.expect("config").contains("weight = 7"))
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func aFileMayHoldManyServices() throws {
        let (chat, game) = (try BackendServer(.greet("c1")), try BackendServer(.greet("g1")))
        var setup = Daemon.Setup()
        setup.file = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:0"]
            [[service.backend]]
            name = "n1"
            address = "\(chat.address)"

            [[service]]
            name = "game"
            listen = ["127.0.0.1:0"]
            [[service.backend]]
            name = "n1"
            address = "\(game.address)"
            """
        let daemon = try Daemon(setup)
        #expect(try daemon.ctl.status().services.map(\.name) == ["chat", "game"])
        #expect(try TCPSocket.connect(to: daemon.listeners[0]).receiveLine().hasPrefix("c1 "))
        #expect(try TCPSocket.connect(to: daemon.listeners[1]).receiveLine().hasPrefix("g1 "))
        // A bare name that two services have is no answer; the full name is.
        let bare = try daemon.ctl.run("drain", "n1", "--force")
        #expect(bare.status == 2 && bare.stderr.contains("chat/n1") && bare.stderr.contains("game/n1"), "\(bare)")
        try daemon.ctl.expect("drain", "chat/n1", "--force")
        let rows = try daemon.ctl.backends()
        #expect(rows.map { "\($0.service)/\($0.name) \($0.intent)" } == ["chat/n1 drain", "game/n1 ready"])
        #expect(try TCPSocket.connect(to: daemon.listeners[0]).receiveToEnd() == ([], .reset))
        try daemon.waitUntilIdle()
        try daemon.stop()
    }

    @Test func versionAndHelpGoToStandardOutput() throws {
        for program in [Programs.limpetd, Programs.limpetctl] {
            let version = try run([program, "--version"])
            #expect(version.ending == .exit(0) && version.stdout.contains(".") && version.stderr == "", "\(version)")
            let help = try run([program, "--help"])
            #expect(help.ending == .exit(0) && help.stdout.contains("--control"), "\(help)")
        }
    }

    @Test func logLinesMayBeJSON() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address], "--log-format", "json")
        try daemon.stop()
        #expect(!daemon.process.stderrLines.isEmpty)
        for line in daemon.process.stderrLines {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["level"] is String && object?["message"] is String && object?["time"] is String, "\(line)")
        }
    }

    @Test func theLogLevelIsKept() throws {
        let backend = try BackendServer(.echo)
        let daemon = try Daemon([backend.address], "--log-level", "error")
        try daemon.stop()
        #expect(daemon.log == "")
    }
}
