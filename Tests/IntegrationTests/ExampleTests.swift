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
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("man/\(page)").path
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let section = try #require(text.components(separatedBy: ".Sh EXAMPLES\n").last)
            .components(separatedBy: "\n.Sh ")[0]
        var found: [Example] = []
        for display in section.components(separatedBy: ".Bd -literal").dropFirst() {
            let lines = display.components(separatedBy: "\n.Ed")[0].components(separatedBy: "\n").dropFirst()
            var isContinued = false
            for line in lines {
                let line = line.replacing("\\e", with: "\\").replacing("\\(->", with: "→").replacing("\\&", with: "")
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

    @Test(arguments: ["limpetctl.8", "limpet-control.7"]) func theyWorkAsTheyStand(page: String) throws {
        let scene = try Restartable(backends: 4)
        scene.weights["ws4"] = 10
        let daemon = try scene.start()
        let tools = "\(daemon.directory)/bin"
        try FileManager.default.createDirectory(atPath: tools, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: "\(tools)/limpetctl", withDestinationPath: Programs.limpetctl)
        // What the operator has for the work in between.
        try FileManager.default.createSymbolicLink(atPath: "\(tools)/upgrade-ws1", withDestinationPath: "/bin/true")
        let clients = try (0..<3).map { try daemon.connect(from: "127.8.0.\($0 + 1)") }
        for client in clients { _ = try client.receiveLine() }
        // Those of ws1 are about to go, as a drain that waits for them wants it.
        for client in clients { client.close() }
        try daemon.waitUntilIdle()
        let examples = try Self.examples(page)
        #expect(examples.count >= 7)
        for example in examples {
            let command = example.command.replacing("/run/limpet/control.sock", with: daemon.ctl.control)
            let outcome = try run(
                ["/bin/bash", "-o", "pipefail", "-c", "PATH=\(tools):$PATH; \(command)"],
                environment: ["LIMPET_CONTROL": daemon.ctl.control])
            #expect(outcome.status == 0 && outcome.stderr.isEmpty, "\(example): \(outcome)")
            #expect(!outcome.stdout.contains("\"error\":{"), "\(example): \(outcome.stdout)")
            let printed = outcome.stdout.split(separator: "\n").map { Self.squeezed(String($0)) }
            for line in Self.lasting(example.output) {
                #expect(printed.contains(line), "\(example) prints no \(line): \(outcome.stdout)")
            }
        }
        try daemon.stop()
    }
}
