import Control
import Foundation
import NIOCore
import Testing

/// Requests that two programs might read differently, or that ask for more than a request. Each is refused, ends its
/// conversation, and changes nothing.
@Suite struct ForgedRequestTests {
    private static let body = #"{"backend":"ws1"}"#
    private static let post = "POST /v1/drain HTTP/1.1\r\nHost: l\r\n"

    /// What follows each would be taken for a request of its own, were the one before understood otherwise.
    static let forged = [
        // Two lengths, or a length and chunks.
        "\(post)Content-Length: 17\r\nContent-Length: 5\r\n\r\n\(body)",
        "\(post)Content-Length: 17\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n\(body)\r\n0\r\n\r\n",
        "\(post)Transfer-Encoding: chunked\r\nContent-Length: 17\r\n\r\n11\r\n\(body)\r\n0\r\n\r\n",
        "\(post)Content-Length: 17, 17\r\n\r\n\(body)", "\(post)Content-Length: +17\r\n\r\n\(body)",
        "\(post)Content-Length: 0x11\r\n\r\n\(body)", "\(post)Content-Length: -1\r\n\r\n\(body)",
        "\(post)Content-Length: 99999999999999999999999\r\n\r\n\(body)",
        // Codings that are not understood, or not the last.
        "\(post)Transfer-Encoding: chunked, identity\r\n\r\n11\r\n\(body)\r\n0\r\n\r\n",
        "\(post)Transfer-Encoding: xchunked\r\n\r\n11\r\n\(body)\r\n0\r\n\r\n",
        "\(post)Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\(body)\r\n0\r\n\r\n",
        "\(post)Transfer-Encoding: chunked\r\n\r\n-1\r\n\(body)\r\n0\r\n\r\n",
        "\(post)Transfer-Encoding: chunked\r\n\r\n11 x\r\n\(body)\r\n0\r\n\r\n",
        // Fields that end elsewhere than they seem to.
        "\(post)Content-Length : 17\r\n\r\n\(body)", "\(post) Content-Length: 17\r\n\r\n\(body)",
        "\(post)Content-Length: 17\u{0}\r\n\r\n\(body)", "\(post)X\u{0}: y\r\nContent-Length: 17\r\n\r\n\(body)",
        "\(post)X: a\rContent-Length: 17\r\n\r\n\(body)", "\(post): y\r\nContent-Length: 17\r\n\r\n\(body)",
        // Whom it is for.
        "POST /v1/drain HTTP/1.1\r\nContent-Length: 17\r\n\r\n\(body)",
        "\(post)Host: m\r\nContent-Length: 17\r\n\r\n\(body)",
        // Not a request, or not of this protocol.
        "POST /v1/drain HTTP/2.0\r\nHost: l\r\nContent-Length: 17\r\n\r\n\(body)",
        "POST /v1/drain HTTP/1.1 x\r\nHost: l\r\nContent-Length: 17\r\n\r\n\(body)",
        "post /v1/drain HTTP/1.1\r\nHost: l\r\nContent-Length: 17\r\n\r\n\(body)",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}",
    ]

    @Test(arguments: forged.indices) func `What can be read in two ways is read in none`(index: Int) throws {
        try TestDaemon.run { (daemon) throws in
            let client = try RawClient(daemon.path)
            let after = "GET /v1/version HTTP/1.1\r\nHost: l\r\n\r\n"
            try? client.send(Self.forged[index] + after)
            let text = try client.readToEnd()
            client.close()
            #expect(RawResponse(text)?.status == 400, "\(Self.forged[index].debugDescription): \(text)")
            #expect(RawResponse(text)?.headers["connection"] == "close")
            #expect(text.components(separatedBy: "Limpet-Time: ").count == 2, "one answer, and the end: \(text)")
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            #expect(try daemon.ask("GET", "/v1/version").status == 200)
        }
    }

    /// What follows belongs to the other protocol, says the parser: it would pile up.
    @Test(arguments: [
        "GET /v1/version HTTP/1.1\r\nHost: l\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /v1/version HTTP/1.1\r\nHost: l\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
    ])
    func `Whoever asks for another protocol is answered, and that is all`(request: String) throws {
        try TestDaemon.run { (daemon) throws in
            let client = try RawClient(daemon.path)
            try client.send(request)
            let text = try client.readToEnd()
            client.close()
            let response = try #require(RawResponse(text))
            #expect([200, 400, 404, 405].contains(response.status) && response.headers["connection"] == "close")
        }
    }

    @Test func `A request that goes on and on is cut off, in whatever part`() throws {
        try TestDaemon.run { (daemon) throws in
            for (beginning, more) in [
                ("GET /", "x"), ("GET /v1/version HTTP/1.1\r\nHost: l\r\nX: ", "y"), ("G", "E"),
                ("GET /v1/version HTTP/1.1\r\nHost: l\r\n", "X: y\r\n"),
                ("POST /v1/drain HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
                (
                    "POST /v1/drain HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"
                ),
            ] {
                let client = try RawClient(daemon.path)
                try client.send(beginning)
                // 16 MiB, of which it takes a small part.
                let part = String(repeating: more, count: 64 * 1024 / more.utf8.count)
                let isTaken = (0..<256).allSatisfy { _ in (try? client.send(part)) != nil }
                #expect(!isTaken, "\(beginning)")
                client.close()
            }
            #expect(daemon.plane.with { $0.changes }.isEmpty)
            #expect(try daemon.ask("GET", "/v1/version").status == 200)
        }
    }
}
