import Foundation
import Linux
import NIOCore
import NIOPosix
import Testing

@testable import Control

/// What clients of the HTTP port may cost, on a Unix socket: to the server it makes no difference.
@Suite struct WebServerTests {
    /// The server with its board, on a loop of its own.
    private final class Running: Sendable {
        let directory: String
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server: NIOLoopBound<WebServer>
        let board: NIOLoopBound<StatusBoard>
        let plane = FakePlane()
        private let socket: ControlSocket

        init(_ limits: WebLimits, isLocal: Bool) throws {
            directory = try makeTemporaryDirectory()
            socket = try ControlSocket.prepare(path: directory + "/web.sock", owner: nil)
            let (loop, plane) = (group.next(), plane)
            let board = try loop.submit {
                NIOLoopBound(StatusBoard(eventLoop: loop, plane: plane, version: "9.8.7"), eventLoop: loop)
            }.wait()
            self.board = board
            server = try loop.submit {
                NIOLoopBound(
                    WebServer(
                        eventLoop: loop, plane: plane, version: "9.8.7", board: board.value, isLocal: isLocal,
                        limits: limits), eventLoop: loop)
            }.wait()
            let (server, descriptor) = (server, socket.descriptor)
            try loop.flatSubmit { server.value.start(on: descriptor) }.wait()
        }

        func answerable(to hosts: [String]) throws {
            let server = server
            try group.next().submit { server.value.page.hosts = hosts }.wait()
        }

        func servePage(_ isServed: Bool) throws {
            let (server, board) = (server, board)
            try group.next().submit {
                var options = StatusPageOptions()
                options.isServed = isServed
                server.value.page = options
                if isServed { board.value.begin() } else { board.value.end() }
            }.wait()
        }

        func client() throws -> RawClient { try RawClient(directory + "/web.sock") }

        func stop() throws {
            let (server, board) = (server, board)
            try group.next().flatSubmit {
                board.value.end()
                return server.value.stop()
            }.wait()
            try group.syncShutdownGracefully()
            socket.close()
            try? FileManager.default.removeItem(atPath: directory)
        }
    }

    private func run(
        isLocal: Bool = false, _ change: (inout WebLimits) -> Void = { _ in }, _ body: (Running) throws -> Void
    ) throws {
        var limits = WebLimits()
        change(&limits)
        let running = try Running(limits, isLocal: isLocal)
        do {
            try body(running)
        } catch {
            try running.stop()
            throw error
        }
        try running.stop()
    }

    private static let question = "GET /live HTTP/1.1\r\nHost: x\r\n\r\n"

    /// Asks on a conversation that goes on.
    private func ask(_ client: RawClient) throws {
        try client.send(Self.question)
        var answer = ""
        while !answer.hasSuffix("live\n") {
            let part = try client.readSome()
            try #require(!part.isEmpty, "the conversation has ended after \(answer)")
            answer += String(decoding: part, as: UTF8.self)
        }
    }

    @Test func aRequestThatDoesNotComeIsNotWaitedFor() throws {
        try run {
            $0.requestTime = .milliseconds(100)
        } _: { running in
            let client = try running.client()
            try client.send("GET /live HT")
            #expect(try client.readSome().isEmpty)
            client.close()
        }
    }

    @Test func whoHasBeenSilentForLongestMakesRoom() throws {
        try run {
            $0.clients = 2
        } _: { running in
            let (first, second) = (try running.client(), try running.client())
            try ask(first)
            try ask(second)
            try ask(first)
            let third = try running.client()
            try ask(third)
            #expect(try second.readSome().isEmpty)
            try ask(first)
            for client in [first, second, third] { client.close() }
        }
    }

    @Test func pagesLeaveRoomForWhoReadsMetrics() throws {
        try run { running in
            try running.servePage(true)
            let pages = try (0..<WebRoutes.mostPages).map { _ in
                let page = try running.client()
                try page.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                #expect(String(decoding: try page.readSome(), as: UTF8.self).hasPrefix("HTTP/1.1 200"))
                return page
            }
            let further = try running.client()
            try further.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(String(decoding: try further.readSome(), as: UTF8.self).hasPrefix("HTTP/1.1 503"))
            try ask(further)

            // And they go when the page does.
            try running.servePage(false)
            for page in pages {
                while try !page.readSome().isEmpty {}
                page.close()
            }
            further.close()
        }
    }

    @Test func requestsMayFollowEachOtherAtOnce() throws {
        try run { running in
            let client = try running.client()
            try client.send(String(repeating: Self.question, count: 50) + "GET / HTTP/1.0\r\n\r\n")
            let all = try client.readToEnd()
            #expect(all.components(separatedBy: "HTTP/1.1 200 OK").count == 51)
            #expect(all.contains("HTTP/1.0 404"))
            client.close()
        }
    }

    /// The one who asks and does not read: its answers are made as it takes them, others have their turn, and it is cut off
    /// although it goes on asking.
    @Test(arguments: [("/metrics", 10_000), ("/live", 1_000_000)])
    func whoAsksAndDoesNotReadIsCutOff(path: String, requests: Int) throws {
        try run {
            $0.answerTime = .seconds(2)
        } _: { running in
            running.plane.with { $0.metrics = String(repeating: "x", count: 64 * 1024) }
            let greedy = try running.client()
            let asking = Thread {
                let some = String(repeating: "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n", count: 100)
                for _ in 0..<requests / 100 {
                    // It has been cut off, or all was taken.
                    guard (try? greedy.send(some)) != nil else { return }
                }
            }
            asking.start()
            greedy.waitForAnswer()
            let other = try running.client()
            try ask(other)
            #expect(greedy.waitForHangUp())
            while !asking.isFinished { usleep(1000) }
            try ask(other)
            // What the kernel keeps for it, and one more.
            #expect(running.plane.with { $0.scrapes } < 64)
            for client in [greedy, other] { client.close() }
        }
    }

    /// A page of another site could point its own name at 127.0.0.1.
    @Test func onALoopbackAddressMetricsAreForThoseWhoMeanThisMachine() throws {
        try run(isLocal: true) { running in
            func status(_ request: String) throws -> Int? {
                let client = try running.client()
                defer { client.close() }
                try client.send(request + "Connection: close\r\n\r\n")
                return RawResponse(try client.readToEnd())?.status
            }
            let question = "GET /metrics HTTP/1.1\r\nHost: "
            for host in ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example", ""] {
                #expect(try status(question + host + "\r\n") == 421, "\(host)")
            }
            #expect(try status("GET http://evil.example/metrics HTTP/1.1\r\nHost: evil.example\r\n") == 421)
            #expect(running.plane.with { $0.scrapes } == 0)
            for host in ["127.0.0.1:9464", "[::1]:9464", "localhost:9464", "192.0.2.7"] {
                #expect(try status(question + host + "\r\n") == 200, "\(host)")
            }
            try running.answerable(to: ["lb1.example.org"])
            #expect(try status(question + "lb1.example.org:9464\r\n") == 200)
            // No browser asks like this; and this says nothing that is worth it.
            #expect(try status("GET /metrics HTTP/1.0\r\n") == 200)
            #expect(try status("GET /ready HTTP/1.1\r\nHost: evil.example\r\n") == 200)
            // Two hosts, or none, are not HTTP.
            #expect(try status("GET /live HTTP/1.1\r\n") == 400)
            #expect(try status("GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n") == 400)
        }
        // Elsewhere names are how the port is asked for.
        try run { running in
            let client = try running.client()
            try client.send("GET /metrics HTTP/1.1\r\nHost: lb1.example.org\r\nConnection: close\r\n\r\n")
            #expect(RawResponse(try client.readToEnd())?.status == 200)
            client.close()
        }
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
    func onlyGetAndHeadAreAnswered(method: String) throws {
        try run { running in
            let client = try running.client()
            let target = method == "CONNECT" ? "localhost:80" : "/metrics"
            try client.send("\(method) \(target) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let response = try #require(RawResponse(try client.readToEnd()))
            #expect(response.status == 405 && response.headers["allow"] == "GET, HEAD")
            client.close()
        }
    }

    /// What follows belongs to the other protocol, says the parser: it would pile up in memory.
    @Test(arguments: ["Connection: upgrade\r\nUpgrade: websocket", "Upgrade: h2c\r\nConnection: upgrade"])
    func whoeverAsksForAnotherProtocolIsAnsweredAndThatIsAll(fields: String) throws {
        try run { running in
            let client = try running.client()
            try client.send("GET /live HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n")
            let response = try #require(RawResponse(try client.readToEnd()))
            #expect(response.status == 200 && response.headers["connection"] == "close")
            client.close()
        }
    }

    /// Who asks and does not read holds its place no longer than others need to wait.
    @Test func whoDoesNotReadMakesRoomWhereOthersWait() throws {
        try run {
            $0.clients = 1
            $0.hurriedTime = .milliseconds(50)
        } _: { running in
            running.plane.with { $0.metrics = String(repeating: "x", count: 4 * 1024 * 1024) }
            let deaf = try running.client()
            try deaf.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            deaf.waitForAnswer()
            // At first there is no room.
            var isServed = false
            while !isServed {
                let other = try running.client()
                try? other.send(Self.question)
                isServed = try other.readSome().count > 0
                other.close()
            }
            #expect(deaf.waitForHangUp())
            deaf.close()
        }
    }

    @Test func aLargeAnswerComesWholeAndTheNextAfterIt() throws {
        try run { running in
            let text = String(repeating: "0123456789abcdef", count: 256 * 1024)
            running.plane.with { $0.metrics = text }
            let client = try running.client()
            let question = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
            try client.send(
                question + question + "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n" + "GET / HTTP/1.0\r\n\r\n")
            let parts = try client.readToEnd().components(separatedBy: "\r\n\r\n")
            try #require(parts.count == 5)
            #expect(parts[1].hasPrefix(text) && parts[2].hasPrefix(text))
            #expect(parts[1].count - text.count == parts[2].count - text.count)
            #expect(parts[3].hasPrefix("HTTP/1.0 404"))
            client.close()
        }
    }
}
