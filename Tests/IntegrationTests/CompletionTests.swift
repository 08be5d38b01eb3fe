import Foundation
import Testing

/// What the shells complete, with the names of the daemon that runs.
@Suite(.ownThread, .fence)
struct CompletionTests {
    private static func isInstalled(_ shell: String) -> Bool {
        FileManager.default.isExecutableFile(atPath: "/usr/bin/\(shell)")
    }

    /// A daemon, and a directory with limpetctl and its completions.
    private func scene(_ shell: String, _ body: (_ daemon: Daemon, _ directory: String) throws -> Void) throws {
        let scene = try Restartable()
        let daemon = try scene.start()
        try FileManager.default.createSymbolicLink(
            atPath: "\(daemon.directory)/limpetctl", withDestinationPath: Programs.limpetctl)
        let script = try run([Programs.limpetctl, "--generate-completion-script", shell])
        #expect(script.status == 0)
        try script.stdout.write(
            toFile: "\(daemon.directory)/_limpetctl", atomically: false, encoding: .utf8)
        try body(daemon, daemon.directory)
        try daemon.stop()
    }

    private func start(_ shell: [String], _ daemon: Daemon, on terminal: PseudoTerminal) throws -> ChildProcess {
        // With the terminal as its own, as it is used: closing our end ends it.
        try ChildProcess(
            ["/usr/bin/setsid", "-c", "-w"] + shell,
            environment: [
                "PATH": "\(daemon.directory):/usr/bin:/bin", "LIMPET_CONTROL": daemon.ctl.control, "TERM": "dumb",
                "HOME": daemon.directory, "PS1": "ready> ",
            ], terminal: terminal.theirs)
    }

    /// Types into a shell that has the completions, and waits for what it makes of it.
    private func expectCompletions(_ terminal: PseudoTerminal) throws {
        for (line, wanted) in [
            // As far as all of them have it in common, or to the end.
            ("limpetctl drain w\t", "limpetctl drain ws"), ("limpetctl close --backend chat/\t", "--backend chat/ws"),
            ("limpetctl connections --service c\t", "--service chat"),
            ("limpetctl connections --sort cl\t", "--sort client"), ("limpetctl undr\t", "limpetctl undrain"),
        ] {
            terminal.clear()
            terminal.type(line)
            let isDone = try becomes(within: .seconds(20)) { terminal.text.contains(wanted) }
            #expect(isDone, "\(line) becomes \(wanted): \(terminal.text)")
            // Another line.
            terminal.type("\u{15}")
        }
    }

    @Test(.enabled(if: isInstalled("bash"), "bash is missing")) func bash() throws {
        try scene("bash") { daemon, directory in
            let terminal = try PseudoTerminal()
            let shell = try start(["/usr/bin/bash", "--norc", "--noprofile", "-i"], daemon, on: terminal)
            terminal.type(". \(directory)/_limpetctl; bind 'set bell-style none'; echo begin\n")
            try eventually("it has read the completions: \(terminal.text)") {
                terminal.text.contains("\nbegin")
            }
            try expectCompletions(terminal)
            terminal.type("\u{15}exit\n")
            _ = try shell.wait()
        }
    }

    @Test(.enabled(if: isInstalled("zsh"), "zsh is missing")) func zsh() throws {
        try scene("zsh") { daemon, directory in
            let terminal = try PseudoTerminal()
            let shell = try start(["/usr/bin/zsh", "-f", "-i"], daemon, on: terminal)
            terminal.type("fpath=(\(directory) $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep; echo begin\n")
            try eventually("it has read the completions: \(terminal.text)") {
                terminal.text.contains("\nbegin")
            }
            try expectCompletions(terminal)
            terminal.type("\u{15}exit\n")
            _ = try shell.wait()
        }
    }

    @Test(.enabled(if: isInstalled("fish"), "fish is missing")) func fish() throws {
        try scene("fish") { daemon, directory in
            let terminal = try PseudoTerminal()
            let shell = try start(["/usr/bin/fish", "--no-config", "-i"], daemon, on: terminal)
            terminal.type("source \(directory)/_limpetctl; echo begin\n")
            try eventually("it has read the completions: \(terminal.text)") {
                terminal.text.contains("\nbegin")
            }
            try expectCompletions(terminal)
            terminal.type("\u{15}exit\n")
            _ = try shell.wait()
        }
    }

    /// Nothing is said where there is nothing to complete with.
    @Test func withoutADaemonThereIsNothing() throws {
        let outcome = try run(
            [Programs.limpetctl, "---completion", "drain", "--", "positional@0", "2", "0", "limpetctl", "drain", ""],
            environment: ["LIMPET_CONTROL": "/nonexistent/control.sock", "SAP_SHELL": "bash"])
        #expect(outcome.status == 0 && outcome.stdout.allSatisfy(\.isNewline) && outcome.stderr.isEmpty, "\(outcome)")
    }
}
