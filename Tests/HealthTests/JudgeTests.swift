import Configuration
import Testing

@testable import Health

/// What servers say, whole and byte by byte: the verdict is the same.
@Suite struct JudgeTests {
    private func verdict(_ judge: some Judge, _ said: String, ends: Bool = true) -> String? {
        var whole = judge
        var result = whole.hear(said.utf8)
        if result == nil, ends { result = whole.hearEnd() }
        var slow = judge
        var later: CheckResult?
        for byte in said.utf8 where later == nil { later = slow.hear(CollectionOfOne(byte)) }
        if later == nil, ends { later = slow.hearEnd() }
        #expect(later?.verdict == result?.verdict)
        return result.map { "\($0.verdict): \($0.text)" }
    }

    private func http(_ status: String = "200-399", body: String? = nil) -> HTTPJudge {
        var check = HTTPCheck()
        check.path = "/health"
        check.status = StatusList(status)!
        check.body = body
        return HTTPJudge(check, target: "192.0.2.1:80")
    }

    @Test func theRequest() {
        var check = HTTPCheck()
        check.method = "HEAD"
        check.path = "/x"
        check.host = "example.org"
        #expect(
            String(decoding: HTTPJudge(check, target: "h").opening, as: UTF8.self)
                == "HEAD /x HTTP/1.1\r\nHost: example.org\r\nUser-Agent: limpetd\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\n\r\n", "passed: HTTP 200"),
        ("HTTP/1.0 200\r\n", "passed: HTTP 200"),
        ("HTTP/1.1 100 Continue\r\nx: y\r\n\r\nHTTP/1.1 204 None\r\n", "passed: HTTP 204"),
        ("HTTP/1.1 503 Busy\r\n", "failed: HTTP 503, wanted 200-399"),
        ("", "failed: closed the connection without an answer"),
        ("SSH-2.0-OpenSSH\r\n", "failed: no HTTP answer: it sent \"SSH-2.0-OpenSSH\\r\\n\""),
        ("HTTP/1.1 20x OK\r\n", "failed: no HTTP answer: it sent \"HTTP/1.1 20x OK\\r\\n\""),
        ("HTTP/1.1 2000 OK\r\n", "failed: no HTTP answer: it sent \"HTTP/1.1 2000 OK\\r\\n\""),
        ("\u{1b}[2J\u{7}", "failed: no HTTP answer: it sent \"\\x1b[2J\\x07\""),
        ("HTTP/1.1 200", "failed: no HTTP answer: it sent \"HTTP/1.1 200\""),
    ]) func status(said: String, expected: String) {
        #expect(verdict(http(), said)?.prefix(expected.utf8.count) == expected.prefix(expected.utf8.count))
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\n\r\nall is well", "passed: HTTP 200"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nall is well", "failed: HTTP 200, but its body lacks \"is well\""),
        ("HTTP/1.1 200 OK\r\nis well: x\r\n\r\n", "failed: HTTP 200, but its body lacks \"is well\""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5;x=y\r\n well\r\n0\r\n\r\n",
            "passed: HTTP 200"
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n\r\nis well",
            "failed: HTTP 200, but its body lacks \"is well\""
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\n", "failed: HTTP 200, but a broken body"),
        ("HTTP/1.1 500 No\r\n\r\nall is well", "failed: HTTP 500, wanted 200-399"),
        // A length that is none, and the least number there is: what is taken off it must not end the engine.
        ("HTTP/1.1 200 OK\r\nContent-Length: -9223372036854775808\r\n\r\nall", "failed: HTTP 200, but a broken body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nall", "failed: HTTP 200, but a broken body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nall is well", "failed: HTTP 200, but a broken body"),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nall is well", "failed: HTTP 200, but a broken body"),
    ]) func body(said: String, expected: String) {
        #expect(verdict(http(body: "is well"), said) == expected)
    }

    @Test func undecidedWhileMoreMayCome() {
        #expect(verdict(http(), "HTTP/1.1 2", ends: false) == nil)
        #expect(verdict(http(body: "x"), "HTTP/1.1 200 OK\r\n\r\nabc", ends: false) == nil)
    }

    @Test func expectText() {
        var check = ExpectCheck()
        check.send = "PING\r\n"
        check.wanted = .text("+PONG")
        let judge = ExpectJudge(check)
        #expect(judge.opening == Array("PING\r\n".utf8))
        #expect(verdict(judge, "+PONG\r\n") == "passed: sent what was expected")
        #expect(verdict(judge, "++PONG", ends: false) == "passed: sent what was expected")
        #expect(verdict(judge, "-NOAUTH\r\n") == "failed: sent \"-NOAUTH\\r\\n\", wanted \"+PONG\"")
        #expect(verdict(judge, "") == "failed: closed the connection without a word")
    }

    @Test func expectPattern() throws {
        var check = ExpectCheck()
        check.wanted = .pattern(try Pattern("^220 .*ESMTP"))
        #expect(verdict(ExpectJudge(check), "220 mail ESMTP") == "passed: sent what was expected")
        #expect(
            verdict(ExpectJudge(check), "554 no") == "failed: sent \"554 no\", wanted a match of \"^220 .*ESMTP\"")
        check.wanted = .pattern(try Pattern("ok$"))
        #expect(verdict(ExpectJudge(check), "ok", ends: false) == nil)
        #expect(verdict(ExpectJudge(check), "all ok") == "passed: sent what was expected")
        #expect(verdict(ExpectJudge(check), "ok no")?.hasPrefix("failed") == true)
    }

    @Test func tls() {
        func verdict(_ bytes: [UInt8]) -> CheckResult {
            var judge = TLSJudge()
            return judge.hear(bytes) ?? judge.hearEnd()
        }
        #expect(verdict([0x16, 3, 3, 0, 80, 2, 0, 0]).verdict == .passed)
        #expect(verdict([0x15, 3, 1, 0, 2, 2, 40]).verdict == .passed)
        #expect(verdict([0x16, 3, 3, 0, 80, 1]).verdict == .failed)
        #expect(verdict(Array("HTTP/1.1 400".utf8)).text == "does not speak TLS: it sent \"HTTP/1.1 400\"")
        #expect(verdict([]).text == "closed the connection without a word")
        #expect(verdict([0x16, 3]).verdict == .failed)
        let hello = TLSJudge.clientHello
        #expect(Int(hello[3]) << 8 | Int(hello[4]) == hello.count - 5)
        #expect(Int(hello[7]) << 8 | Int(hello[8]) == hello.count - 9)
    }

    @Test func whatIsShownObeysNobody() {
        #expect("\(Excerpt(Array("a\"b\\\r\n\t\u{1b}\u{7f}é".utf8)))" == #""a\"b\\\r\n\t\x1b\x7f\xc3\xa9""#)
        #expect("\(Excerpt(Array(repeating: 65, count: 1000)))" == "\"" + String(repeating: "A", count: 40) + "\"...")
    }
}
