import Foundation
import Testing

/// The kinds of events that are told of rarely: limits, listeners, the log, the end.
@Suite(.ownThread, .fence)
struct EventKindTests {
    private struct Event: Decodable, CustomStringConvertible {
        var event: String
        var service: String?
        var listener: String?
        var old: String?
        var new: String?
        var cause: String?
        var count: Int?
        var uid: UInt32?

        var description: String {
            ([event, service, listener, old, new, cause] + [count.map { "\($0)" }, uid.map { "uid \($0)" }])
                .map { $0 ?? "-" }.joined(separator: " ")
        }
    }

    @Test func limitsListenersTheLogAndTheEnd() throws {
        let server = try BackendServer(.greet("b1"))
        let reloadable = try Reloadable([server], service: ["max-connections-per-client = 1"])
        let daemon = reloadable.daemon
        let address = "\(daemon.address)"
        let follower = try ChildProcess([
            Programs.limpetctl, "--control", daemon.ctl.control, "events", "--json", "--since", "start",
        ])
        /// The events of a kind, as a follower has them.
        func told(_ kind: String) throws -> [String] {
            try follower.stdoutLines.map { try Ctl.decode(Event.self, $0) }.filter { $0.event == kind }.map {
                $0.description
            }
        }
        func expect(_ kind: String, _ events: String...) throws {
            try eventually("\(kind) is told of: \(events)") { try told(kind).count >= events.count }
            #expect(try told(kind) == events)
        }

        let client = try reloadable.client(from: "127.0.6.1")
        let refused = try daemon.connect(from: "127.0.6.1")
        #expect(try refused.receiveToEnd().end == .reset)
        try expect("limit", "limit chat - - max-connections-per-client a client was reset 1 -")

        let by = "uid \(getuid())"
        try daemon.ctl.expect("pause", address)
        try daemon.ctl.expect("pause", address, "--refuse")
        try daemon.ctl.expect("resume", address)
        try expect(
            "listener", "listener chat \(address) - paused - - \(by)", "listener chat \(address) - refusing - - \(by)",
            "listener chat \(address) - resumed - - \(by)")

        try daemon.ctl.expect("log", "debug")
        try daemon.ctl.expect("log", "debug")
        try expect("log", "log - - info debug - - \(by)")

        try daemon.ctl.expect("shutdown", "--drain", "1h", "--force")
        try expect("shutdown", "shutdown - - - begun 0s of delay, 3600s to drain 1 \(by)")
        client.close()
        try daemon.ended()
        _ = try follower.wait()
    }
}
