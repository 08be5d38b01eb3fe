import Foundation
import Testing

/// `limpet-checker`: clients and backends on both sides of a daemon that keep account of every byte.
final class Checker: Sendable {
    /// What came of it; the names are those of the line that it prints.
    struct Report: Decodable, Sendable {
        var verdict: String
        var connections: Int
        var messages: Int
        var bytesUp: Int
        var bytesDown: Int
        var faults: Int
        var worstGapUs: Int
    }

    /// What the checker puts on the daemon.
    struct Load: Sendable {
        var talk = 20
        var bulk = 2
        var slow = 6
        /// New connections per second.
        var churn = 100
        var rate = 500
        /// Bytes per second and direction of a bulk connection.
        var bulkRate = 2 << 20
        var proxy = "none"
        /// What clients begin with, as a proxy before the daemon would.
        var header = "none"
        var seed: UInt64 = 1
        /// Whether the backends are Unix sockets, and the listeners.
        var isUnix = false
        var comesByUnix = false
    }

    let process: ChildProcess
    let backends: [SocketAddress]
    private let commands: Int32
    /// Of the backends that are Unix sockets.
    let directory: String

    init(_ load: Load = Load(), backends count: Int = 2) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw SocketFailure(call: "pipe", code: errno) }
        commands = ends[1]
        var command = [Programs.checker, "--proxy", load.proxy, "--header", load.header, "--seed", String(load.seed)]
        for (option, value) in [
            ("talk", load.talk), ("bulk", load.bulk), ("slow", load.slow), ("churn", load.churn), ("rate", load.rate),
            ("bulk-rate", load.bulkRate),
        ] {
            command += ["--\(option)", String(value)]
        }
        directory = try temporaryDirectory()
        for number in 1...count {
            command += ["--listen", load.isUnix ? "unix:\(directory)/b\(number).sock" : "127.0.0.1:0"]
        }
        process = try ChildProcess(command, input: ends[0])
        close(ends[0])
        let process = process
        try eventually("the checker listens: \(process.stderr)") { process.stdout.contains("\n") }
        backends = Checker.lines(process)[0].split(separator: " ").dropFirst().compactMap { SocketAddress(String($0)) }
        try #require(backends.count == count)
    }

    deinit {
        close(commands)
        try? FileManager.default.removeItem(atPath: directory)
    }

    private static func lines(_ process: ChildProcess) -> [Substring] { process.stdout.split(separator: "\n") }

    private func tell(_ command: String) {
        let line = Array((command + "\n").utf8)
        _ = write(commands, line, line.count)
    }

    /// Starts the clients, and waits until each connection that stays has carried something.
    func start(on listeners: [SocketAddress]) throws {
        tell("target " + listeners.map(\.description).joined(separator: " "))
        try eventually("every connection works: \(process.stderr)") { process.stdout.contains("\nready\n") }
    }

    /// Where new connections go from now on.
    func aim(at listeners: [SocketAddress]) { tell("target " + listeners.map(\.description).joined(separator: " ")) }

    /// Brings everything to its end, and judges.
    func finish() throws -> Report {
        tell("stop")
        let ending = try process.wait(within: .seconds(120))
        guard let line = Checker.lines(process).last, line.hasPrefix("{") else {
            throw Failed(description: "the checker ended (\(ending)) without a verdict: \(process.stderr)")
        }
        return try Ctl.decode(Report.self, String(line))
    }

    /// The same, where everything has to have been right.
    @discardableResult
    func expectEverythingRight(sourceLocation: SourceLocation = #_sourceLocation) throws -> Report {
        let report = try finish()
        #expect(
            report.verdict == "pass", "\(process.stdout.suffix(1200))\n\(process.stderr)",
            sourceLocation: sourceLocation)
        #expect(report.bytesUp > 0 && report.bytesDown > 0, sourceLocation: sourceLocation)
        return report
    }

    struct Failed: Error, CustomStringConvertible {
        var description: String
    }
}
