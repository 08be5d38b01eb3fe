import Foundation
import Testing

/// What the pages show outside of their sections EXAMPLES, and for other programs than ours: see ``ExampleTests``.
@Suite(.ownThread, .fence)
struct PageExampleTests {
    /// Verbs stand where they are explained, too; what takes minutes there takes moments here.
    @Test func theVerbsInTheTextRun() throws {
        let scene = try Restartable(backends: 3)
        scene.health = "tcp"
        scene.limpetd = try Image(scene.directory).path
        scene.environment["LIMPET_UPGRADE_PATIENCE"] = "20000"
        let daemon = try scene.start()
        let texts = try PageExamples.pages.map(PageExamples.text)
        let commands =
            texts.flatMap(PageExamples.lines).filter { $0.hasPrefix("limpetctl ") }
            + texts.flatMap(PageExamples.words).filter { $0.hasPrefix("limpetctl ") && $0.contains(" --") }
        #expect(commands.count >= 8)
        for command in commands {
            let words = command.replacing(" 10m", with: " 1s").replacing(" 30m", with: " 10s").split(separator: " ")
            let outcome = try daemon.ctl.run(words.dropFirst().map(String.init))
            #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(command): \(outcome)")
        }
        try daemon.stop()
    }

    /// Settings that are written in a sentence: each has its place, and is taken.
    @Test func theSettingsInTheTextAreValid() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let texts = try PageExamples.pages.map(PageExamples.text)
        let settings = Set(
            texts.flatMap { PageExamples.lines($0) + PageExamples.words($0) }.filter {
                $0.contains(#/^[a-z][a-z0-9-]* = /#)
            })
        #expect(settings.count >= 6)
        for setting in settings.sorted() {
            let listen = setting.hasPrefix("listen = ") ? setting : "listen = \"127.0.0.1:8080\"\n\(setting)"
            let file =
                "[[service]]\nname = \"chat\"\n\(listen)\n"
                + "[[service.backend]]\nname = \"ws1\"\naddress = \"192.0.2.1:80\"\n"
            try file.write(toFile: "\(directory)/limpet.toml", atomically: false, encoding: .utf8)
            let outcome = try run([Programs.limpetd, "--check", "-c", "\(directory)/limpet.toml"])
            #expect(outcome.status == 0, "\(setting): \(outcome)")
        }
    }

    /// The README's quick start, but for the ports that it would take.
    @Test func theReadmesCommandsRun() throws {
        let text = try String(contentsOfFile: "\(PageExamples.root)/README.md", encoding: .utf8)
        let commands = text.replacing("\\\n", with: " ").split(separator: "\n").filter { $0.hasPrefix("    limpet") }
            .map { $0.replacing(#/ #.*/#, with: "").split(separator: " ").map(String.init) }
        let started = commands.filter { $0[0] == "limpetd" }
        #expect(started.count >= 1 && commands.count >= 8)
        for command in started {
            let outcome = try run([Programs.limpetd, "--check"] + command.dropFirst())
            #expect(outcome.status == 0, "\(command): \(outcome)")
        }
        let scene = try Restartable(backends: 3)
        let daemon = try scene.start()
        for command in commands where command[0] == "limpetctl" {
            let words = command.dropFirst().map { ["10m": "1s", "30m": "10s"][$0] ?? $0 }
            let outcome = try daemon.ctl.run(Array(words))
            #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(command): \(outcome)")
        }
        try daemon.stop()
    }

    /// Routes, settings of the kernel and rules of the packet filter, in a network that goes with the test.
    @Test(.enabled(if: isRoot, "only root can have a network of its own"))
    func whatIsSaidOfTheNetworkIsTaken() throws {
        let tools = ["ip", "nft", "sysctl", "openssl"]
        let texts = try PageExamples.pages.map(PageExamples.text)
        // What shows something, in a sentence.
        let shows = ["ip address", "ip link", "ip rule add fwmark"]
        let commands = texts.flatMap { text in
            PageExamples.lines(text) + PageExamples.displays(text).joined() + PageExamples.words(text)
        }.filter { line in tools.contains { line.hasPrefix("\($0) ") } && !shows.contains(line) }
        #expect(commands.count >= 9)
        let tables = texts.flatMap(PageExamples.displays).filter { $0.first?.hasPrefix("table inet ") == true }
        #expect(tables.count == 1)
        let rules = tables.joined().joined(separator: "\n")
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let interface = ["sh", "-c", "ip link add eth0 type dummy && ip link set eth0 up"]
            for step in [interface, ["nft", rules]] + commands.map({ ["sh", "-c", $0] }) {
                let outcome = try run(step)
                #expect(outcome.status == 0, "\(step): \(outcome)")
            }
        }.value()
    }

    @Test(.enabled(if: Promtool.path != nil, "promtool is not installed"))
    func prometheusTakesItsConfigurationAndItsRules() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let displays = try PageExamples.displays(PageExamples.section(of: "limpet-metrics.7"))
        let scrape = try #require(displays.first { $0[0] == "scrape_configs:" })
        let alerts = try #require(displays.first { $0[0].hasPrefix("- alert:") })
        let expression = try #require(displays.first { $0[0].hasPrefix("sum by") })
        let rules =
            ["groups:", "- name: limpet", "  rules:"] + alerts.map { "  \($0)" }
            + ["  - record: shown", "    expr: \(expression.joined(separator: " "))"]
        for (name, lines, verb) in [("scrape.yml", scrape, "config"), ("rules.yml", rules, "rules")] {
            let path = "\(directory)/\(name)"
            try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: false, encoding: .utf8)
            let outcome = try run([Promtool.path ?? "", "check", verb, path])
            #expect(outcome.status == 0, "\(outcome)")
        }
    }

    /// A socket that a service manager passes, tried by hand.
    @Test(
        .enabled(
            if: isRoot && FileManager.default.isExecutableFile(atPath: "/usr/bin/systemd-socket-activate"),
            "only root can have a network of its own, and systemd-socket-activate has to be there"))
    func theDaemonIsStartedBySystemdSocketActivate() throws {
        let line = try #require(
            PageExamples.lines(try PageExamples.text(of: "limpetd.8")).first {
                $0.hasPrefix("systemd-socket-activate ")
            })
        try Background("a network of its own") {
            try PrivateNetwork.enter()
            let directory = try temporaryDirectory()
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let words = line.split(separator: " ").map { $0 == "limpetd" ? Programs.limpetd : String($0) }
            // As the page says for root.
            let activated = try ChildProcess(
                words + ["--user", "root", "--state-directory", "\(directory)/state", "--control", "\(directory)/s"],
                environment: ["XDG_RUNTIME_DIR": directory, "HOME": directory])
            try eventually("it listens") { try run(["sh", "-c", "ss -Hltn | grep -q :8080"]).status == 0 }
            let client = try TCPSocket.connect(to: SocketAddress("127.0.0.1", 8080))
            try eventually("limpetd has taken the socket; \(activated.stderr)") {
                activated.stderr.contains("fd:web") && activated.stderr.contains("ready")
            }
            client.close()
            activated.signal(SIGTERM)
            #expect(try activated.wait() == .exit(0))
        }.value()
    }
}
