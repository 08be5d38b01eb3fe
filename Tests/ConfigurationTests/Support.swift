import Foundation

@testable import Configuration

/// The lines that a text is refused with, or those of its warnings after `accepted`.
func complaints(_ text: String, source: String = "limpet.toml") -> [String] {
    do throws(ConfigurationFailure) {
        return ["accepted"] + (try ConfigurationLoader.parse(text, source: source)).warnings
    } catch {
        return error.description.split(separator: "\n").map(String.init)
    }
}

/// The lines that flags are refused with.
func complaints(_ flags: FlagValues, path: String? = nil) -> [String] {
    do throws(ConfigurationFailure) {
        return ["accepted"] + (try ConfigurationLoader.load(path: path, flags: flags)).warnings
    } catch {
        return error.description.split(separator: "\n").map(String.init)
    }
}

/// Something that is refused, and the line that says so, in parts where it is long.
struct Refusal<Input: Sendable>: Sendable {
    var input: Input
    var line: String

    init(_ input: Input, _ parts: String...) {
        self.input = input
        line = parts.joined()
    }
}

/// One service with one backend; `daemon`, `service` and `backend` are lines to add to each part.
func document(daemon: String = "", service: String = "", backend: String = "") -> String {
    """
    \(daemon)
    [[service]]
    name = "chat"
    listen = "127.0.0.1:8080"
    \(service)
    [[service.backend]]
    name = "ws1"
    address = "10.0.0.1:80"
    \(backend)
    """
}

/// A directory that lasts as long as `body`.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("limpet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try body(directory.path)
}

/// Writes a file with these permission bits, whatever the umask.
@discardableResult
func write(_ bytes: Data, to path: String, mode: Int = 0o600) throws -> String {
    try bytes.write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
}

/// The top of the source tree.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
