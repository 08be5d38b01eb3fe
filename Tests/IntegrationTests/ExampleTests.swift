import Foundation
import Testing

/// What the pages show as examples works as it stands there.
@Suite(.ownThread, .fence)
struct ExampleTests {
    /// A command of a page, and what it prints according to it.
    struct Example: CustomStringConvertible {
        var command: String
        var output: [String] = []
        var description: String { command }
    }

    /// The commands of the section EXAMPLES: in displays, behind `$` or `#`, or alone in one.
    static func examples(_ page: String) throws -> [Example] {
        var found: [Example] = []
        for lines in PageExamples.displays(try PageExamples.section(of: page)) {
            // What is for other programs than a shell.
            guard lines.count == 1 && lines[0].hasPrefix("limpet") || lines[0].contains(#/^[$#] /#) else { continue }
            var isContinued = false
            for line in lines {
                if isContinued {
                    found[found.count - 1].command += "\n" + line
                } else if line.hasPrefix("$ ") || line.hasPrefix("# ") {
                    found.append(Example(command: String(line.dropFirst(2))))
                } else if lines.count == 1 {
                    found.append(Example(command: line))
                } else {
                    found[found.count - 1].output.append(line)
                }
                isContinued = found.last?.output.isEmpty == true && (line.hasSuffix("\\") || line.hasSuffix("|"))
            }
        }
        return found
    }

    /// What a page says is printed, where it does not depend on the moment: lines without a number or an ellipsis.
    private static func lasting(_ lines: [String]) -> [String] {
        lines.filter { !$0.isEmpty && !$0.contains("...") && !$0.contains("→") && !$0.contains(" connection") }
            .map(squeezed).filter { !$0.contains(/\b\d/) }
    }

    private static func squeezed(_ line: String) -> String {
        line.split(separator: " ").joined(separator: " ")
    }

    /// What takes days on the page takes moments here.
    private static let hurry: [(String, String)] = [
        (" 1d", " 1ms"), ("older=1d", "older=1ms"), (" 2d", " 1ms"), ("172800", "0.001"), (" 10m", " 1s"),
        (" 20m", " 10s"), (" 5m", " 1s"),
    ]

    @Test(arguments: ["limpetctl.8", "limpet-control.7", "limpet-metrics.7"]) func theyWorkAsTheyStand(page: String)
        throws
    {
        let scene = try Restartable(backends: 4)
        scene.weights["ws4"] = 10
        scene.health = "tcp"
        scene.limpetd = try Image(scene.directory).path
        scene.environment["LIMPET_UPGRADE_PATIENCE"] = "20000"
        let daemon = try scene.start()
        let tools = "\(daemon.directory)/bin"
        try FileManager.default.createDirectory(atPath: tools, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: "\(tools)/limpetctl", withDestinationPath: Programs.limpetctl)
        // What the operator has for the work in between.
        try FileManager.default.createSymbolicLink(atPath: "\(tools)/upgrade-ws1", withDestinationPath: "/bin/true")
        let regulars = try Regulars(3, of: "ws1", at: daemon)
        // What there is to reload.
        scene.weights["ws3"] = 2
        try scene.edit(daemon)
        let examples = try Self.examples(page)
        #expect(examples.count >= (page == "limpet-metrics.7" ? 1 : 7))
        for example in examples {
            try regulars.gather()
            let command = Self.hurry.reduce(example.command) { $0.replacing($1.0, with: $1.1) }
                .replacing("/run/limpet/control.sock", with: daemon.ctl.control)
            let outcome = try run(
                ["/bin/bash", "-o", "pipefail", "-c", "PATH=\(tools):$PATH; \(command)"],
                environment: ["LIMPET_CONTROL": daemon.ctl.control])
            #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(example): \(outcome)")
            #expect(!outcome.stdout.contains("\"error\":{"), "\(example): \(outcome.stdout)")
            let printed = outcome.stdout.split(separator: "\n").map { Self.squeezed(String($0)) }
            for line in Self.lasting(example.output) {
                #expect(printed.contains(line), "\(example) prints no \(line): \(outcome.stdout)")
            }
            if example.command.hasPrefix("limpetctl connections") {
                #expect(printed.count == 1 + regulars.number, "\(example): \(outcome.stdout)")
            }
        }
        regulars.leave()
        if examples.last?.command.hasPrefix("limpetctl shutdown") == true {
            try daemon.ended()
        } else {
            try daemon.stop()
        }
    }

    /// They are not let go further than a check: they would want their ports and users.
    @Test func theDaemonTakesTheCommandLinesOfItsPage() throws {
        let text = try PageExamples.section(of: "limpetd.8").replacing("\\e\n", with: " ")
        let commands = text.split(separator: "\n").map { $0.hasPrefix(".Dl ") ? $0.dropFirst(4) : $0 }
            .filter { $0.hasPrefix("limpetd ") }
        #expect(commands.count >= 4)
        for command in commands {
            let words = command.replacing(/-c \S+/, with: "-c \(PageExamples.root)/etc/limpet.toml").split(
                separator: " ")
            let outcome = try run([Programs.limpetd, "--check"] + words.dropFirst().map(String.init))
            #expect(outcome.status == 0, "\(command): \(outcome)")
        }
    }

    @Test func theFilesOfTheConfigurationsPageAreValid() throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let key = "\(directory)/hash.key"
        try "00112233445566778899aabbccddeeff\n".write(toFile: key, atomically: false, encoding: .utf8)
        chmod(key, 0o600)
        let files = try PageExamples.section(of: "limpet.toml.5").components(
            separatedBy: ".Bd -literal -offset indent\n"
        )
        .dropFirst().map { $0.components(separatedBy: "\n.Ed")[0].replacing("\\e", with: "\\") }
        #expect(files.count >= 3)
        for file in files {
            let path = "\(directory)/limpet.toml"
            // How many descriptors there are is the machine's affair.
            try file.replacing("/etc/limpet/hash.key", with: key).replacing("= 200000", with: "= 200")
                .write(toFile: path, atomically: false, encoding: .utf8)
            let outcome = try run([Programs.limpetd, "--check", "-c", path])
            #expect(outcome.status == 0, "\(outcome): \(file)")
        }
    }
}
