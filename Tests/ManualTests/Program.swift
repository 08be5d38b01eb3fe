import Foundation

/// Programs that the tests run.
enum Program {
    struct Missing: Error, CustomStringConvertible {
        var description: String
    }

    /// One of ours: in `$LIMPET_BIN_DIR`, else beside the test bundle.
    static func path(of name: String) throws -> String {
        var places = [ProcessInfo.processInfo.environment["LIMPET_BIN_DIR"]].compactMap { $0 }
        places += (CommandLine.arguments + ["/proc/self/exe", Bundle.main.bundlePath + "/x"]).map {
            URL(fileURLWithPath: $0).resolvingSymlinksInPath().deletingLastPathComponent().path
        }
        guard let path = places.map({ "\($0)/\(name)" }).first(where: FileManager.default.isExecutableFile(atPath:))
        else { throw Missing(description: "\(name) is in none of \(places): build it first, or set LIMPET_BIN_DIR") }
        return path
    }

    /// One of the system's, by $PATH; nil where it is not installed.
    static func installed(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first(where: FileManager.default.isExecutableFile(atPath:))
    }

    /// Runs a program to its end; stdout and stderr come together.
    static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
