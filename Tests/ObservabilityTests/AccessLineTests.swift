import Logging
import Testing

@testable import Observability

@Suite struct AccessLineTests {
    private static func line(end: AccessLine.End?) -> AccessLine {
        AccessLine(
            time: 1_763_898_142_017_999_999, id: 0xbeef, client: "203.0.113.7:50412", peer: "[2001:db8::1]:7",
            listener: "192.0.2.1:443", service: "chat", backend: "ws2", home: "ws1", away: "draining", connect: 412,
            retries: 1, end: end)
    }

    private func text(_ line: AccessLine, _ format: StandardErrorLog.Format) -> String {
        var writer = AccessLineWriter(LogSettings(level: .critical, format: format))
        return String(decoding: writer.bytes(line), as: UTF8.self)
    }

    private static let end = AccessLine.End(
        duration: 86_400_250_113_999, bytesIn: 51200, bytesOut: .max, reason: "client-fin", by: "client")

    @Test func anEndForPeople() {
        #expect(
            text(AccessLineTests.line(end: AccessLineTests.end), .text)
                == "2025-11-23T11:42:22.017Z info connection ended id=beef client=203.0.113.7:50412"
                + " peer=[2001:db8::1]:7 listener=192.0.2.1:443 service=chat backend=ws2 home=ws1 away=draining"
                + " connect_seconds=0.000412 retries=1 duration_seconds=86400.250113 bytes_in=51200"
                + " bytes_out=18446744073709551615 end=client-fin by=client\n")
    }

    @Test func anEndForPrograms() {
        #expect(
            text(AccessLineTests.line(end: AccessLineTests.end), .json)
                == #"{"time":"2025-11-23T11:42:22.017Z","level":"info","message":"connection ended","id":"beef","#
                + #""client":"203.0.113.7:50412","peer":"[2001:db8::1]:7","listener":"192.0.2.1:443","#
                + #""service":"chat","backend":"ws2","home":"ws1","away":"draining","connect_seconds":0.000412,"#
                + #""retries":1,"duration_seconds":86400.250113,"bytes_in":51200,"bytes_out":18446744073709551615,"#
                + #""end":"client-fin","by":"client"}"# + "\n")
    }

    @Test func aStartHasNoEnd() {
        #expect(text(AccessLineTests.line(end: nil), .text).hasSuffix(" connect_seconds=0.000412 retries=1\n"))
        #expect(text(AccessLineTests.line(end: nil), .json).hasSuffix(#""retries":1}"# + "\n"))
    }

    @Test func whatThereIsNotIsSaidToBeNot() {
        var line = AccessLineTests.line(end: nil)
        (line.client, line.peer, line.backend, line.home, line.away, line.connect) = (nil, nil, nil, nil, nil, nil)
        #expect(
            text(line, .text).hasSuffix(
                "client=- peer=- listener=192.0.2.1:443 service=chat backend=- home=- away=- connect_seconds=-"
                    + " retries=1\n"))
        #expect(text(line, .json).contains(#""backend":null,"home":null,"away":null,"connect_seconds":null,"#))
    }

    /// One writer, over the turn of a second and a change of the form.
    @Test func linesDoNotMix() {
        let settings = LogSettings(level: .info, format: .text)
        var writer = AccessLineWriter(settings)
        var line = AccessLineTests.line(end: nil)
        for (time, start) in [(999_999_999, "1970-01-01T00:00:00.999Z"), (1_000_000_000, "1970-01-01T00:00:01.000Z")] {
            line.time = UInt64(time)
            #expect(String(decoding: writer.bytes(line), as: UTF8.self).hasPrefix(start + " info connection started"))
        }
        settings.set(level: .info, format: .json)
        #expect(writer.bytes(line).first == UInt8(ascii: "{"))
    }
}
