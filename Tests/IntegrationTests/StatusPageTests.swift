import Foundation
import Testing

/// The status page, as far as it can be judged without a browser.
@Suite(.ownThread, .fence)
struct StatusPageTests {
    private func start(_ server: BackendServer, _ settings: String...) throws -> Reloadable {
        try Reloadable([server], settings: ["metrics = \"127.0.0.1:0\""] + settings)
    }

    @Test func isOffByDefault() throws {
        let server = try BackendServer(.echo)
        let reloadable = try start(server)
        let web = try WebClient(reloadable.daemon)
        #expect(try web.get("/").status == 404)
        #expect(try web.get("/events").status == 404)
        reloadable.settings.append("status-page = true")
        try reloadable.reload()
        #expect(try web.get("/").status == 200)
        reloadable.settings.removeLast()
        try reloadable.reload()
        #expect(try web.get("/").status == 404)
        try reloadable.daemon.stop()
    }

    /// Nobody else's page can have a browser read it, and nothing comes from anywhere else.
    @Test func isClosedToOthers() throws {
        let server = try BackendServer(.echo)
        let reloadable = try start(server, "status-page = true", "status-page-hosts = [\"status.example.org\"]")
        let web = try WebClient(reloadable.daemon)
        for path in ["/", "/events"] {
            for host in ["Host: evil.example", "Host: status.example.org.evil.example:80", "X: y"] {
                #expect(try web.ask("GET \(path) HTTP/1.1\r\nConnection: close\r\n\(host)\r\n\r\n").status >= 400)
            }
            #expect(
                try web.ask(
                    "GET \(path) HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"
                ).status >= 400)
        }
        let page = try web.ask("GET / HTTP/1.1\r\nConnection: close\r\nHost: status.example.org\r\n\r\n")
        #expect(page.status == 200 && page.headers["content-type"] == "text/html; charset=utf-8")
        let policy = try #require(page.headers["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'nonce-") && !policy.contains("unsafe"))
        let nonce = try #require(try #/script-src 'nonce-([0-9a-f]+)'/#.firstMatch(in: policy)?.output.1)
        #expect(page.body.contains("<script nonce=\"\(nonce)\">") && page.body.contains("<style nonce=\"\(nonce)\">"))
        #expect(try web.get("/").headers["content-security-policy"] != policy)
        let addresses = page.body.matches(of: #/(?:https?:)?\/\/[a-z][^\s"]*/#).map { String($0.output) }
        #expect(addresses.allSatisfy { $0 == "http://www.w3.org/2000/svg" }, "\(addresses)")
        #expect(page.body.matches(of: #/(src|href)="([^"]*)"/#).allSatisfy { "/#d".contains($0.output.2.first!) })
        #expect(page.headers["access-control-allow-origin"] == nil)
        try reloadable.daemon.stop()
    }

    /// What the page is told, over a change and a drain; and no client's address unless it is to be shown.
    @Test func tellsWhatHappens() throws {
        let server = try BackendServer(.greet("b1"))
        let other = try BackendServer(.greet("b2"))
        let reloadable = try Reloadable(
            [server, other], settings: ["metrics = \"127.0.0.1:0\"", "status-page = true"])
        let web = try WebClient(reloadable.daemon)
        let stream = try TCPSocket.connect(to: web.address)
        try stream.send("GET /events HTTP/1.1\r\nHost: \(web.address)\r\n\r\n")
        var told = Told(stream)
        let first = try told.update { _ in true }
        #expect(first.status.connections == 0 && first.services.map(\.name) == ["chat"])
        #expect(told.all.contains("event: history\ndata: {"))
        #expect(told.all.hasPrefix("HTTP/1.1 200 OK") && told.all.contains("text/event-stream"))

        let source = try #require(
            try (0..<200).map { clientHost($0) }.first { try reloadable.ctl.locate($0).chosen == "b1" })
        let client = try reloadable.client(from: source)
        try reloadable.ctl.expect("drain", "b1")
        let drained = try told.update { $0.services[0].backends[0].state == "draining" }
        #expect(drained.services[0].backends[0].connections == 1 && !drained.services[0].panic)
        #expect(!told.all.contains(source) && drained.clients == nil)

        reloadable.settings.append("status-page-clients = true")
        try reloadable.reload()
        let shown = try told.update { !($0.clients ?? []).isEmpty }
        #expect(shown.clients?.map(\.client) == [source] && shown.clients?.first?.connections == 1)
        client.close()
        stream.close()
        try reloadable.daemon.stop()
    }
}

/// What a status page was told so far.
private struct Told {
    struct Update: Decodable {
        struct Status: Decodable { var connections: Int }
        struct Backend: Decodable {
            var name: String
            var state: String
            var connections: Int
        }
        struct Service: Decodable {
            var name: String
            var panic: Bool
            var backends: [Backend]
        }
        struct Client: Decodable {
            var client: String
            var connections: Int
        }
        var status: Status
        var services: [Service]
        var clients: [Client]?
    }

    private let socket: TCPSocket
    private(set) var all = ""
    private var seen = 0

    init(_ socket: TCPSocket) { self.socket = socket }

    /// The next update that is as wanted.
    mutating func update(_ isWanted: (Update) throws -> Bool) throws -> Update {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < patience {
            let lines = all.components(separatedBy: "\n\n").dropLast()
            for message in lines.dropFirst(seen) {
                seen += 1
                guard let mark = message.range(of: "event: update\ndata: ") else { continue }
                // The chunks of HTTP begin before an event and end after it.
                let text = message[mark.upperBound...].prefix { $0 != "\n" && $0 != "\r" && $0 != "\r\n" }
                let update = try Ctl.decode(Update.self, String(text))
                if try isWanted(update) { return update }
            }
            all += String(decoding: try socket.receive(), as: UTF8.self)
        }
        throw Missing()
    }

    struct Missing: Error {}
}
