import Control
import Foundation
import Linux
import NIOCore
import NIOPosix
import Testing

/// The real server on a real Unix socket, with a fake plane behind it.
final class TestDaemon: Sendable {
    let plane: FakePlane
    let directory: String
    var path: String { directory + "/control.sock" }
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let server: NIOLoopBound<ControlServer>

    init(
        _ plane: FakePlane = FakePlane(), access: AccessPolicy = AccessPolicy(user: getuid(), group: getgid()),
        limits: ControlLimits = ControlLimits()
    ) throws {
        self.plane = plane
        directory = try makeTemporaryDirectory()
        let socket = try ControlSocket.prepare(path: directory + "/control.sock", owner: nil)
        let loop = group.next()
        server = try loop.submit {
            NIOLoopBound(
                ControlServer(eventLoop: loop, plane: plane, version: "9.8.7", access: access, limits: limits),
                eventLoop: loop)
        }.wait()
        let server = server
        try loop.flatSubmit { server.value.start(on: socket) }.wait()
    }

    func stop() throws {
        let server = server
        try group.next().flatSubmit { server.value.stop(grace: .milliseconds(200)) }.wait()
        try group.syncShutdownGracefully()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Runs `body` against a daemon that is stopped afterwards.
    static func run(
        _ plane: FakePlane = FakePlane(), access: AccessPolicy = AccessPolicy(user: getuid(), group: getgid()),
        limits: ControlLimits = ControlLimits(), _ body: (TestDaemon) throws -> Void
    ) throws {
        let daemon = try TestDaemon(plane, access: access, limits: limits)
        do {
            try body(daemon)
        } catch {
            try daemon.stop()
            throw error
        }
        try daemon.stop()
    }

    /// Tells an event, as the engine does.
    func post(_ event: ControlEvent) throws {
        let plane = plane
        try group.next().submit { plane.events.post(event) }.wait()
    }

    /// One request, on a conversation of its own.
    func ask(_ method: String, _ target: String, body: String? = nil) throws -> RawResponse {
        let client = try RawClient(path)
        defer { client.close() }
        var text = "\(method) \(target) HTTP/1.1\r\nHost: limpet\r\nConnection: close\r\n"
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        try client.send(text + "\r\n" + (body ?? ""))
        return try #require(RawResponse(client.readToEnd()))
    }
}

func makeTemporaryDirectory() throws -> String {
    var template = Array("/tmp/limpet-test-XXXXXX\0".utf8CString)
    guard mkdtemp(&template) != nil else { throw Errno.last }
    let path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // A child that runs as another user has to find the socket.
    chmod(path, 0o755)
    return path
}

/// A client that knows bytes and nothing of HTTP. Reads wait, at most a minute.
final class RawClient: Sendable {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = try UnixSocket.open().get()
        if let error = UnixSocket.connect(descriptor, path: path) { throw error }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func send(_ text: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 { throw Errno.last }
            rest = rest.dropFirst(count)
        }
    }

    /// What the next read brings; empty at the end.
    func readSome() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        if count < 0 {
            let error = Errno.last
            if error == .connectionReset { return [] }
            throw error
        }
        return Array(bytes.prefix(count))
    }

    /// Waits until there is something to read, and leaves it there.
    func waitForAnswer() {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, 60_000) < 0 && errno == EINTR {}
    }

    /// Waits until the other side has closed, without reading what it has sent.
    /// - Returns: false: it has not, within a minute.
    @discardableResult func waitForHangUp() -> Bool {
        var entry = pollfd(fd: descriptor, events: 0, revents: 0)
        while poll(&entry, 1, 60_000) < 0 && errno == EINTR {}
        return entry.revents & Int16(POLLHUP) != 0
    }

    func readToEnd() throws -> String {
        var all: [UInt8] = []
        while true {
            let some = try readSome()
            if some.isEmpty { return String(decoding: all, as: UTF8.self) }
            all += some
        }
    }

    func close() { Descriptor.close(descriptor) }
}

/// A response as it came over the wire.
struct RawResponse {
    let status: Int
    let headers: [String: String]
    let body: String

    init?(_ text: String) {
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let lines = text[..<end.lowerBound].components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count > 1, let status = Int(words[1]) else { return nil }
        self.status = status
        headers = Dictionary(
            lines.dropFirst().compactMap { line in
                line.firstIndex(of: ":").map {
                    (line[..<$0].lowercased(), line[line.index(after: $0)...].trimmingCharacters(in: .whitespaces))
                }
            }, uniquingKeysWith: { first, _ in first })
        let rest = text[end.upperBound...]
        body = headers["transfer-encoding"] == "chunked" ? RawResponse.unchunked(rest) : String(rest)
    }

    var json: [String: Any] {
        (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any] ?? [:]
    }

    var error: [String: Any] { json["error"] as? [String: Any] ?? [:] }

    /// Objects of a stream.
    var lines: [[String: Any]] {
        body.split(separator: "\n").compactMap {
            (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
        }
    }

    private static func unchunked(_ text: Substring) -> String {
        var bytes = Array(text.utf8)[...]
        var result: [UInt8] = []
        while let end = bytes.firstIndex(of: 13),
            let size = Int(String(decoding: bytes[..<end], as: UTF8.self), radix: 16),
            size > 0
        {
            let start = end + 2
            result += bytes[start..<min(start + size, bytes.endIndex)]
            bytes = bytes.dropFirst(start - bytes.startIndex + size + 2)
        }
        return String(decoding: result, as: UTF8.self)
    }
}
