import Backends
import Foundation
import Testing

@testable import Engine

/// The text of the state file, both ways.
@Suite struct IntentFileTests {
    static let all: [NamedIntent] = {
        var drain = OperatorIntent()
        drain.intent = .drain
        drain.intentSince = 1_700_000_000_017_000_000
        drain.closesAt = 1_700_000_600_000_000_000
        var both = OperatorIntent()
        both.intent = .maintenance
        both.intentSince = 1_700_000_000_000_000_000
        both.weight = OperatorWeight(value: 256, base: 1, since: 1_600_000_000_000_000_000)
        var weight = OperatorIntent()
        weight.weight = OperatorWeight(value: 1, base: 256, since: 0)
        return [
            NamedIntent(service: "chat", backend: "ws1", set: drain),
            NamedIntent(service: "chat", backend: "WS.1_-", set: both),
            NamedIntent(service: "a", backend: String(repeating: "z", count: 64), set: weight),
        ]
    }()

    @Test func whatIsWrittenIsRead() throws {
        #expect(try IntentFile.read(IntentFile.text(of: IntentFileTests.all)) == IntentFileTests.all)
        #expect(try IntentFile.read(IntentFile.text(of: [])) == [])
        let empty = NamedIntent(service: "chat", backend: "ws9", set: OperatorIntent())
        #expect(try IntentFile.read(IntentFile.text(of: [empty] + IntentFileTests.all)) == IntentFileTests.all)
    }

    @Test func oneLineForEachBackendThatPeopleCanRead() {
        #expect(
            String(decoding: IntentFile.text(of: Array(IntentFileTests.all.prefix(2))), as: UTF8.self) == """
                {"format":1,"backends":[
                {"service":"chat","backend":"ws1","intent":"drain","intent_since":"2023-11-14T22:13:20.017Z",\
                "closes_at":"2023-11-14T22:23:20.000Z"},
                {"service":"chat","backend":"WS.1_-","intent":"maintenance","intent_since":"2023-11-14T22:13:20.000Z",\
                "weight":256,"weight_configured":1,"weight_since":"2020-09-13T12:26:40.000Z"}
                ]}

                """)
    }

    /// All that one daemon can have fits with room to spare.
    @Test func theLargestFileIsBelowTheLimit() throws {
        let name = String(repeating: "n", count: 59)
        let most = (0..<16384).map {
            var set = IntentFileTests.all[1].set
            set.closesAt = 1_700_000_600_000_000_000
            return NamedIntent(service: name + "12345", backend: name + String(10000 + $0), set: set)
        }
        let text = IntentFile.text(of: most)
        #expect(text.count < IntentFile.limit * 3 / 4)
        #expect(try IntentFile.read(text).count == 16384)
    }

    @Test func cutShortAnywhereItIsRefused() throws {
        let text = IntentFile.text(of: IntentFileTests.all)
        // All but the newline at its end.
        for count in 0..<text.count - 1 {
            #expect(throws: IntentFileError.self, "\(count)") { try IntentFile.read(Array(text.prefix(count))) }
        }
    }

    @Test(arguments: [
        ("", "is not JSON, or was cut short"), ("\0\0\0\0\0\0\0\0", "is not JSON, or was cut short"),
        ("[]", "has a wrong type at its top"), ("{}", "lacks format"), ("{\"format\":1}", "lacks backends"),
        ("{\"format\":1,\"backends\":[]} {}", "is not JSON, or was cut short"),
        ("{\"format\":\"1\",\"backends\":[]}", "has a wrong type at format"),
        ("{\"format\":2,\"backends\":{}}", "is of format 2; this version of limpetd reads format 1"),
        ("{\"format\":0,\"backends\":[]}", "is of format 0; this version of limpetd reads format 1"),
        ("{\"format\":1,\"backends\":[],\"x\":1}", "has a field that this version of limpetd does not know: \"x\""),
        ("{\"format\":1,\"backends\":[7]}", "has a wrong type at backends[0]"),
    ])
    func whatIsNoneOfOursIsRefused(text: String, reason: String) {
        #expect(refusal(text) == reason)
    }

    @Test(arguments: [
        (#""service":"chat""#, #""service":7"#, "has a wrong type at backends[0].service"),
        (#""service":"chat","#, "", "lacks backends[0].service"),
        (#""service":"chat""#, #""service":"ch/at""#, "is wrong at backends[0].service: it is not a name"),
        (#""backend":"ws1""#, #""backend":"""#, "is wrong at backends[0].backend: it is not a name"),
        (#""drain""#, #""ready""#, #"is wrong at backends[0].intent: "ready" is not drain or maintenance"#),
        (#""drain""#, #""drian""#, #"is wrong at backends[0].intent: "drian" is not drain or maintenance"#),
        (#""drain""#, "null", "has a wrong type at backends[0].intent"),
        (#""intent":"drain","#, "", "is wrong at backends[0].intent_since: it stands without an intent"),
        (#","intent_since":"2023-11-14T22:13:20.017Z""#, "", "lacks backends[0].intent_since"),
        (
            "2023-11-14T22:13:20.017Z", "yesterday",
            "is wrong at backends[0].intent_since: not a UTC time: yesterday"
        ),
        (
            "2023-11-14T22:13:20.017Z", "2023\u{7f}\u{9b}2J",
            "is wrong at backends[0].intent_since: not a UTC time: 2023??2J"
        ),
        (#""weight":3"#, #""weight":0"#, "is wrong at backends[0].weight: 0 is not from 1 to 256"),
        (#""weight":3"#, #""weight":257"#, "is wrong at backends[0].weight: 257 is not from 1 to 256"),
        (#""weight":3,"#, "", "is wrong at backends[0].weight_configured: it stands without a weight"),
        (
            #""weight_configured":1"#, #""weight_configured":-1"#,
            "is wrong at backends[0].weight_configured: -1 is not from 1 to 256"
        ),
        (#","weight_since":"2020-09-13T12:26:40.000Z""#, "", "lacks backends[0].weight_since"),
        (
            #""weight":3"#, #""wieght":3"#,
            #"has a field that this version of limpetd does not know: "wieght""#
        ),
    ])
    func anEntryThatIsWrongIsRefusedWithItsPlace(part: String, wrong: String, reason: String) throws {
        var set = IntentFileTests.all[0].set
        set.weight = OperatorWeight(value: 3, base: 1, since: 1_600_000_000_000_000_000)
        let good = String(
            decoding: IntentFile.text(of: [NamedIntent(service: "chat", backend: "ws1", set: set)]), as: UTF8.self)
        try #require(refusal(good) == nil && good.contains(part))
        #expect(refusal(good.replacingOccurrences(of: part, with: wrong)) == reason)
    }

    @Test func aNameThatComesTwiceIsRefused() {
        let text = IntentFile.text(of: [IntentFileTests.all[0], IntentFileTests.all[1], IntentFileTests.all[0]])
        #expect(refusal(String(decoding: text, as: UTF8.self)) == "names chat/ws1 twice")
    }

    @Test func whatIsTooLargeIsRefused() {
        let text = IntentFile.text(of: []) + [UInt8](repeating: UInt8(ascii: " "), count: IntentFile.limit)
        #expect(refusal(String(decoding: text, as: UTF8.self)) == "is larger than 8 MiB")
    }

    /// Whatever bits turn: it is read as something that it may say, or refused; never a crash.
    @Test func turnedBitsDoNoHarm() {
        let text = IntentFile.text(of: IntentFileTests.all)
        for position in text.indices {
            for bit in 0..<8 {
                var turned = text
                turned[position] ^= 1 << UInt8(bit)
                guard let read = try? IntentFile.read(turned) else { continue }
                #expect(read.allSatisfy { Name.isValid($0.service) && Name.isValid($0.backend) && !$0.set.isEmpty })
            }
        }
    }

    private func refusal(_ text: String) -> String? {
        do throws(IntentFileError) {
            _ = try IntentFile.read(Array(text.utf8))
            return nil
        } catch {
            return error.description
        }
    }
}
