import Control
import Foundation
import Testing

/// Errors that are cheap to provoke are explained in the page of the program, in the words that it uses.
@Suite("DIAGNOSTICS")
struct DiagnosticsTests {
    private static let service = "[[service]]\nname = \"chat\"\nlisten = \"127.0.0.1:80\"\n"
    private static let backend = "[[service.backend]]\nname = \"ws1\"\naddress = \"127.0.0.1:81\"\n"
    private static let flags = ["--listen", "127.0.0.1:0", "--backend", "127.0.0.1:9", "--workers", "2"]

    static let daemonErrors: [[String]] = [
        [],
        ["--listen", "127.0.0.1:0", "-c", "limpet.toml"],
        ["--listen", "127.0.0.1:0"],
        ["--listen", "127.0.0.1:0", "--backend", "ws=10.0.0.1:80,wieght=2"],
        flags + ["--user", "no-such-user"],
        ["--listen", "127.0.0.1:9464", "--backend", "127.0.0.1:9", "--metrics", "127.0.0.1:9464"],
        flags + ["--metrics", "192.0.2.1:9464", "--state-directory", "DIRECTORY"],
        flags + ["--control", "/dev/null", "--state-directory", "DIRECTORY"],
        flags + ["--control", "DIRECTORY/missing/run/control.sock", "--state-directory", "DIRECTORY"],
        flags + ["--control", "DIRECTORY/control.sock", "--state-directory", "DIRECTORY"],
        flags + ["--state-directory", "/dev/null/state"],
        flags + ["--listen", "192.0.2.1:8080", "--state-directory", "DIRECTORY"],
        flags + ["--check", "--max-connections", "10000000"],
        flags + ["--listen", "fd:web", "--state-directory", "DIRECTORY"],
        flags + ["--listen", "0.0.0.0:0,device=limpet-none", "--state-directory", "DIRECTORY"],
    ]

    @Test("limpetd(8)", arguments: daemonErrors)
    func daemon(arguments: [String]) throws {
        try inDirectory { directory in
            let live = try ControlSocket.prepare(path: directory + "/control.sock", owner: nil)
            defer { live.close() }
            var arguments = arguments.map { $0.replacingOccurrences(of: "DIRECTORY", with: directory) }
            if arguments.contains("--workers") {
                if !arguments.contains("--control") { arguments += ["--control", directory + "/free.sock"] }
                if getuid() == 0, !arguments.contains("--user") { arguments += ["--user", "root"] }
            }
            let outcome = try Program.run(Program.path(of: "limpetd"), arguments)
            try expect(outcome, in: "limpetd.8")
        }
    }

    @Test("limpetd(8): no room for a connection")
    func descriptors() throws {
        let limpetd = try Program.path(of: "limpetd")
        let command = ["-c", "ulimit -n 100; exec \"$0\" \"$@\"", limpetd, "--check"]
        try expect(try Program.run("/bin/sh", command + Self.flags), in: "limpetd.8")
    }

    static let files: [String] = [
        service + backend + "wieght = 1\n",
        service + "workers = 1\n" + backend,
        "workers = 0\n" + service + backend,
        service + "[[service.backend]]\nname = \"ws1\"\n",
        service + backend + service + backend,
        service.replacingOccurrences(of: "\"127.0.0.1:80\"", with: "[\"0.0.0.0:80\", \"127.0.0.1:80\"]") + backend,
        service + backend.replacingOccurrences(of: ":81", with: ":80"),
        service, "status-page-hosts = [\"a b\"]\n" + service + backend,
        "name = ws1\n",
        "name = \"\\u0000\"\n", "[[[service]]]\n",
        String(repeating: "#", count: 1_100_000),
        "hash-key-file = \"limpet.toml\"\n" + service + backend,
        service + "health = \"htp:/\"\n" + backend, service + "health = { type = \"http\" }\n" + backend,
        service + "health = { type = \"expect\" }\n" + backend, service + "health = { type = \"agent\" }\n" + backend,
        service + "health = { path = \"/\" }\n" + backend,
        service + "health = { type = \"expect\", expect-regex = \"a(\" }\n" + backend,
        service + "health = { type = \"http\", path = \"/\", expect-status = \"20\" }\n" + backend,
        service + backend.replacingOccurrences(of: "127.0.0.1:81", with: "unix:run/app.sock"),
        service + "health = { port = 1 }\n"
            + backend.replacingOccurrences(of: "127.0.0.1:81", with: "unix:/run/app.sock"),
        service + "health = { fast-interval = \"3s\" }\n" + backend,
        service + "source = \"192.0.2.17/28\"\n" + backend, service + "source = \"0.0.0.0\"\n" + backend,
        service + "source = [\"10.0.0.0/26\", \"10.1.0.1\"]\n" + backend,
        service + "source = \"192.0.2.1\"\ntransparent = true\n" + backend,
        service.replacingOccurrences(
            of: "\"127.0.0.1:80\"", with: "{ address = \"0.0.0.0:80\", v6only = false }") + backend,
        service.replacingOccurrences(
            of: "\"127.0.0.1:80\"",
            with: "[" + (1...2000).map { "\"192.0.2.1:\($0)\"" }.joined(separator: ", ") + "]") + backend,
    ]

    @Test("limpet.toml(5)", arguments: files)
    func file(text: String) throws {
        try inDirectory { directory in
            let path = directory + "/limpet.toml"
            let text = text.replacingOccurrences(of: "\"limpet.toml\"", with: "\"\(path)\"")
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            try expect(try Program.run(Program.path(of: "limpetd"), ["-c", path]), in: "limpet.toml.5")
        }
    }

    @Test(
        "limpet.toml(5): what cannot be read", arguments: ["/nonexistent/limpet.toml", "/dev/null/limpet.toml", "/dev"])
    func unreadable(path: String) throws {
        let outcome = try Program.run(Program.path(of: "limpetd"), ["-c", path])
        try expect(
            (outcome.status, outcome.output.replacingOccurrences(of: path, with: "limpet.toml")), in: "limpet.toml.5")
    }

    static let questions: [[String]] = [
        ["status"], ["statsu"], ["--jsno", "status"], ["status", "--jsno"], ["where"], ["connections", "--older", "5"],
        ["close"], ["close", "1a2f", "--idle", "2d"], ["close", "ws1"], ["--json", "--plain", "status"],
        ["drain", "ws1", "--rate", "5/s", "--over", "5s"], ["drain", "ws1", "--grace", "5s"],
        ["drain", "ws1", "--order", "idle"], ["drain", "ws1", "--timeout", "5s"], ["disable", "ws1", "--over", "5s"],
        ["ready", "--watch"], ["version", "--watch"], ["events", "--watch"], ["connections", "--limit", "0"],
    ]

    @Test("limpetctl(8)", arguments: questions)
    func control(arguments: [String]) throws {
        let nowhere = ["--control", "/nonexistent/control.sock"]
        try expect(try Program.run(Program.path(of: "limpetctl"), nowhere + arguments), in: "limpetctl.8")
    }

    @Test("limpetctl(8): a daemon that does not answer")
    func silence() throws {
        try inDirectory { directory in
            let socket = try ControlSocket.prepare(path: directory + "/control.sock", owner: nil)
            defer { socket.close() }
            let arguments = ["--control", directory + "/control.sock", "--plain", "top"]
            try expect(try Program.run(Program.path(of: "limpetctl"), arguments), in: "limpetctl.8")
        }
    }

    /// In this order: the last but one begins the daemon's end.
    static let requests: [[String]] = [
        ["check", "free"], ["check", "dead"], ["drain", "chat/free", "--over", "50ms", "--force"],
        ["connections", "--client", "example.org"], ["close", "ff"], ["disable", "free"], ["enable", "nobody"],
        ["where", "192.0.2.1"], ["pause", "192.0.2.1:80"], ["plan", "close", "free"], ["wait", "free", "down"],
        ["weight", "free", "0"], ["events", "--since", "noon"], ["shutdown"], ["reload"],
    ]

    /// Starts a program, which leads a process group of its own, and prints its process id. It inherits nothing: descriptors
    /// that belong to another test, held open by a daemon, would keep that test waiting for their end.
    private static let start = #"""
        set -m
        (for fd in /proc/self/fd/*; do fd=${fd##*/}; test "$fd" -le 2 || eval "exec $fd>&-"; done; exec "$0" "$@") \
            < /dev/null > /dev/null 2>&1 & echo $!
        """#

    @Test("limpetctl(8): what a daemon that runs refuses")
    func refusals() throws {
        try inDirectory { directory in
            let file = """
                shutdown-delay = "60s"
                [[service]]
                name = "chat"
                listen = "127.0.0.1:0"
                health = "off"
                backend = [{ name = "free", address = "127.0.0.1:9" }]
                [[service]]
                name = "mqtt"
                listen = "127.0.0.1:0"
                backend = [{ name = "dead", address = "127.0.0.1:9" }]
                """
            try file.write(toFile: directory + "/limpet.toml", atomically: false, encoding: .utf8)
            let socket = directory + "/control.sock"
            let command =
                try [
                    "-c", Self.start, Program.path(of: "limpetd"), "-c", directory + "/limpet.toml", "--control",
                    socket,
                    "--state-directory", directory + "/state",
                ] + (getuid() == 0 ? ["--user", "root"] : [])
            let started = try Program.run("/bin/bash", command).output
            let daemon = try #require(pid_t(started.trimmingCharacters(in: .whitespacesAndNewlines)))
            // With its engine.
            defer { kill(-daemon, SIGKILL) }
            let limpetctl = try Program.path(of: "limpetctl")
            while try Program.run(limpetctl, ["--control", socket, "ready", "-q"]).status != 0 {
                try #require(kill(daemon, 0) == 0, "limpetd has ended")
                usleep(20_000)
            }
            for request in Self.requests {
                // What was found is told on standard output, and is no error.
                let command = ["-c", "exec \"$0\" \"$@\" > /dev/null", limpetctl, "--control", socket] + request
                let outcome = try Program.run("/bin/sh", command)
                if request == ["shutdown"] { continue }
                try expect(outcome, in: "limpetctl.8")
            }
        }
    }

    /// - Parameter outcome: of a run that has to fail, with a message for each error on a line.
    private func expect(_ outcome: (status: Int32, output: String), in page: String) throws {
        #expect(outcome.status != 0)
        // What names a file and leaves the rest open would fit anything.
        let explained = try Pages.read(page).items(in: "DIAGNOSTICS").map(\.pattern).filter { $0.contains(/[a-z]{2}/) }
        let lines = outcome.output.split(separator: "\n").map(String.init)
        // What precedes the reason, such as the warning that it stays root, is no error.
        let errors = lines.filter { !$0.contains(" warning ") && !$0.contains(" info ") && !$0.hasPrefix("warning: ") }
        #expect(!errors.isEmpty)
        for error in errors {
            #expect(
                explained.contains { error.range(of: $0, options: .regularExpression) != nil },
                "\(page) does not explain: \(error)")
        }
    }

    private func inDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "limpet-\(UUID().uuidString.prefix(8))"
        ).path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }
}

extension ManualPage.Item {
    /// The margin as a regular expression: names, numbers, paths, errors of the system and placeholders stand for any, and
    /// `...` for any rest.
    fileprivate var pattern: String {
        let text = head.flatMap(\.words).joined(separator: " ").replacingOccurrences(of: "\\(dq", with: "\"")
            .replacing(/[A-Z][a-z]+( [a-z]+)* \(E[A-Z]+\)/, with: "...")
        return text.split(separator: " ").map { word in
            if word == "..." { return ".*" }
            let stands = word.contains { $0.isNumber || "/\"'".contains($0) } || word.contains(/[A-Z]{2}/)
            return stands ? "\\S+" : NSRegularExpression.escapedPattern(for: String(word))
        }.joined(separator: " ").replacingOccurrences(of: " .*", with: ".*")
    }
}
