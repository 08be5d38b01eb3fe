import Foundation
import Testing

/// A copy of limpetd, to upgrade from or to. Copies of debug builds can be told to be another version, or to fail, by
/// words behind their last byte (test_image.h).
struct Image {
    let path: String

    /// - Parameter words: such as `version=0.1.1`.
    init(_ directory: String, _ name: String = "limpetd", of program: String = Programs.limpetd, _ words: String...)
        throws
    {
        path = "\(directory)/\(name)"
        try write(program, words)
    }

    /// Puts another in its place, as a package does: the running one stays what it is.
    func replace(of program: String = Programs.limpetd, _ words: String...) throws { try write(program, words) }

    /// By another process: a child that some other test starts here would hold the file open for writing, and nobody can
    /// execute it as long.
    private func write(_ program: String, _ words: [String]) throws {
        let script = """
            set -e; cp "$0" "$1.new"; test -z "$2" || printf '\\nLIMPET-TEST-IMAGE %s\\n' "$2" >> "$1.new"
            chmod 755 "$1.new"; mv -f "$1.new" "$1"
            """
        let outcome = try run(["/bin/sh", "-c", script, program, path, words.joined(separator: " ")])
        if outcome.status != 0 { throw SocketFailure(call: "copy limpetd: \(outcome.stderr)", code: EIO) }
    }
}

/// A daemon of one service and one backend whose executable is its own, and can be replaced.
final class UpgradeLane {
    let directory: String
    let listener: Listener
    let image: Image
    let daemon: Daemon

    /// - Parameters:
    ///   - program: of which its executable is a copy.
    ///   - words: what the executable that it starts from says of itself.
    ///   - isPatient: whether an upgrade may take its time: for tests that are not about that, on a machine that has
    ///     others to run.
    init(
        of program: String = Programs.limpetd, _ words: String..., isPatient: Bool = true,
        environment: [String: String] = [:],
        adjust: (inout Daemon.Setup) throws -> Void = { _ in }
    ) throws {
        directory = try temporaryDirectory()
        listener = try Listener()
        image = try Image(directory, of: program, words.joined(separator: " "))
        var setup = Daemon.Setup()
        setup.backends = [Daemon.Backend(name: "b1", address: listener.address)]
        setup.limpetd = image.path
        setup.environment = environment
        if isPatient { setup.environment["LIMPET_UPGRADE_PATIENCE"] = "20000" }
        try adjust(&setup)
        daemon = try Daemon(setup)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Another executable, beside its own.
    func other(_ words: String...) throws -> String {
        try Image(directory, "other", words.joined(separator: " ")).path
    }

    func talk() throws -> Talk {
        let client = try daemon.connect()
        return Talk(Pair(client: client, backend: try listener.accept()))
    }

    /// Upgrades, which has to succeed.
    @discardableResult
    func upgrade(_ arguments: String...) throws -> UpgradeDocument {
        try daemon.ctl.json(UpgradeDocument.self, ["upgrade"] + arguments)
    }

    /// Upgrades, which has to fail.
    /// - Returns: what was said, after the name of the program.
    func refusal(_ arguments: String..., within limit: Duration = patience) throws -> String {
        let outcome = try daemon.ctl.run(["upgrade"] + arguments, within: limit)
        if outcome.status != 1 || !outcome.stdout.isEmpty { throw Ctl.Failed(arguments: arguments, outcome: outcome) }
        let prefix = "limpetctl: "
        return outcome.stderr.hasPrefix(prefix) ? String(outcome.stderr.dropFirst(prefix.count).dropLast()) : ""
    }

    /// Waits until no connection is left, then ends the daemon by whoever is its keeper now.
    func finish() throws {
        try daemon.waitUntilIdle()
        kill(try daemon.ctl.status().pid, SIGTERM)
        try eventually("all of it has ended; limpetd said: \(daemon.log)") { daemon.process.group.isEmpty }
        daemon.expectNothingRefused()
    }
}
