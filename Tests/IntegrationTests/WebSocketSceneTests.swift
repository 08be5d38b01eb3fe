import Foundation
import Testing

/// The main job as one scene, played by WebSocket programs that were written elsewhere (Tests/Scenes): a scene checks each
/// of its statements and exits 0 only if all hold.
@Suite("WebSocket scenes", .serialized)
struct WebSocketSceneTests {
    /// A scene has 60 clients, each of which connects nine times; it gives up by itself after three minutes.
    private static let patience = Duration.seconds(240)

    private static let scenes = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Scenes").path

    @Test("A scene whose daemon forgets its clients fails", .enabled(if: Tool.python != nil, Tool.pythonMissing))
    func control() throws {
        let outcome = try websocketsScene(flags: ["--hash-on", "source-port"])
        #expect(outcome.status == 1, "\(outcome)")
        #expect(outcome.stderr.contains("not true: "), "\(outcome)")
    }

    @Test("A scene without a daemon fails", .enabled(if: Tool.python != nil, Tool.pythonMissing))
    func noDaemon() throws {
        let outcome = try websocketsScene(limpetd: "/bin/false")
        #expect(outcome.status == 1, "\(outcome)")
        #expect(outcome.stderr.contains("not true: limpetd starts"), "\(outcome)")
    }

    @Test("Python's websockets, servers and clients", .enabled(if: Tool.python != nil, Tool.pythonMissing))
    func pythonWebSockets() throws {
        let outcome = try websocketsScene()
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.contains("ok: the idle WebSocket is still open and still echoes"), "\(outcome)")
    }

    @Test("kill -9, an upgrade and a reload", .enabled(if: Tool.python != nil, Tool.pythonMissing))
    func continuity() throws {
        let outcome = try run(
            [
                try #require(Tool.python), "\(Self.scenes)/continuity_scene.py", "--limpetd", Programs.limpetd,
                "--limpetctl", Programs.limpetctl,
            ], within: Self.patience)
        #expect(outcome.status == 0, "\(outcome)")
        for event in ["kill -9", "an upgrade", "a reload"] {
            #expect(outcome.stdout.contains("ok: after \(event) the WebSocket echoes"), "\(outcome)")
        }
    }

    @Test("A drain under clients that connect again", .enabled(if: Tool.python != nil, Tool.pythonMissing))
    func drain() throws {
        let outcome = try run(
            [
                try #require(Tool.python), "\(Self.scenes)/drain_scene.py", "--limpetd", Programs.limpetd,
                "--limpetctl",
                Programs.limpetctl, "--clients", "200", "--over", "5", "--deadline", "20",
            ], within: Self.patience)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.contains("ok: and nobody else has moved"), "\(outcome)")
    }

    @Test("Node's own WebSocket client", .enabled(if: Tool.node != nil, "node is not installed"))
    func nodeWebSocket() throws {
        let outcome = try run(
            [
                try #require(Tool.node), "--experimental-websocket", "\(Self.scenes)/node_scene.mjs",
                Programs.limpetd, Programs.limpetctl, Tool.limpetEcho,
            ], within: Self.patience)
        if outcome.status == 77 {
            try Test.cancel("\(outcome.stderr)")
        }
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.contains("ok: the idle WebSocket is still open and still echoes"), "\(outcome)")
    }

    @Test("The echo server of the demonstration", .enabled(if: Tool.python != nil, Tool.pythonMissing))
    func echoServer() throws {
        let python = try #require(Tool.python)
        let outcome = try run([python, "\(Self.scenes)/echo_scene.py", Tool.limpetEcho], within: Self.patience)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.stdout.contains("ok: SIGTERM ends it, open connections or not"), "\(outcome)")
    }

    private func websocketsScene(limpetd: String = Programs.limpetd, flags: [String] = []) throws -> Outcome {
        let scene = [
            try #require(Tool.python), "\(Self.scenes)/websockets_scene.py",
            "--limpetd", limpetd, "--limpetctl", Programs.limpetctl, "--",
        ]
        return try run(scene + flags, within: Self.patience)
    }
}

/// Programs beside limpetd and limpetctl that the scenes need.
enum Tool {
    /// The interpreter of an environment that has `websockets`.
    static let python = ProcessInfo.processInfo.environment["LIMPET_PYTHON"]
    static let pythonMissing: Comment = "LIMPET_PYTHON names no Python with the package websockets; make check does"

    static let node = search("node")

    /// Built beside the daemon.
    static let limpetEcho = URL(fileURLWithPath: Programs.limpetd)
        .deletingLastPathComponent().appendingPathComponent("limpet-echo").path

    private static func search(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
