import Testing

@testable import Continuity

@Suite struct CanaryAnswerTests {
    private let answer = CanaryAnswer(
        version: "0.2.0", layout: 2, reads: [1, 2], restores: [1, 2], calls: ["read", "write"], refusal: nil)

    private let text = """
        limpet-canary 1
        version 0.2.0
        layout 2
        reads 1 2
        restores 1 2
        calls read write
        configuration ok
        end

        """

    @Test func itIsWrittenAsDocumented() throws {
        #expect(answer.text == text)
        #expect(try CanaryAnswer(parsing: text) == answer)
    }

    @Test func aRefusalIsOneLine() throws {
        var refused = answer
        refused.refusal = "limpet.toml:3: no such key\nlimpet.toml:4: worse\u{1B}[31m"
        let read = try CanaryAnswer(parsing: refused.text)
        #expect(read.refusal == "limpet.toml:3: no such key limpet.toml:4: worse [31m")
        #expect(refused.text.split(separator: "\n").count == 8)
    }

    @Test func whatComesBeforeAndLinesThatAreNotKnownArePassedOver() throws {
        #expect(try CanaryAnswer(parsing: "warning: something\n\n" + text) == answer)
        #expect(try CanaryAnswer(parsing: text.replacing("layout 2\n", with: "layout 2\nfuture yes\n")) == answer)
        #expect(try CanaryAnswer(parsing: text + "and more\n") == answer)
    }

    @Test func aBuildMayHaveNoWayBackAtAll() throws {
        let read = try CanaryAnswer(parsing: text.replacing("restores 1 2", with: "restores "))
        #expect(read.restores.isEmpty)
    }

    /// As builds had it that knew no sandbox.
    @Test func aBuildMaySayNothingOfItsCalls() throws {
        #expect(try CanaryAnswer(parsing: text.replacing("calls read write\n", with: "")).calls.isEmpty)
    }

    @Test func anotherFormatIsSaidToBeOne() {
        #expect(throws: CanaryAnswer.Problem.format("2")) {
            try CanaryAnswer(parsing: text.replacing("limpet-canary 1", with: "limpet-canary 2"))
        }
    }

    @Test(arguments: [
        "", "\n", "hello\n", "limpet-canary 1\n", "limpet-canary 1\nend\n",
        "version 0.2.0\nlayout 2\nreads 1 2\nrestores 1 2\nconfiguration ok\nend\n",
    ])
    func whatIsNoAnswerIsNone(text: String) {
        #expect(throws: CanaryAnswer.Problem.unreadable) { try CanaryAnswer(parsing: text) }
    }

    @Test(arguments: [
        ("end\n", ""), ("version 0.2.0\n", ""), ("version 0.2.0", "version "), ("0.2.0", "0.2.0 or so"),
        ("0.2.0", "0.2.0\u{1B}[31m"), ("0.2.0", String(repeating: "9", count: 32)), ("layout 2", "layout two"),
        ("layout 2", "layout -2"), ("reads 1 2", "reads 1,2"), ("reads 1 2\n", ""), ("restores 1 2\n", ""),
        ("configuration ok", "configuration okay"), ("configuration ok\n", ""), ("layout 2", "layout 2\nlayout 3"),
    ])
    func whatLacksSomethingIsNone(part: String, other: String) {
        #expect(text.contains(part))
        #expect(throws: CanaryAnswer.Problem.unreadable) {
            try CanaryAnswer(parsing: text.replacing(part, with: other))
        }
    }

    @Test func theDecision() throws {
        try UpgradeDecision.judge(answer, layout: 2, needsWayBack: true)
        try UpgradeDecision.judge(answer, layout: 1, needsWayBack: true)
        #expect(refusal(answer, layout: 3).contains("it reads 1, 2; restart limpetd"))

        var oneWay = answer
        oneWay.restores = [2]
        try UpgradeDecision.judge(oneWay, layout: 1, needsWayBack: false)
        try UpgradeDecision.judge(oneWay, layout: 2, needsWayBack: true)
        #expect(refusal(oneWay, layout: 1).contains("no way back to layout 1; with --no-rollback"))

        var choosy = answer
        choosy.refusal = "workers: too many"
        #expect(
            refusal(choosy, layout: 2)
                == "the active configuration is invalid under version 0.2.0: workers: too many")
    }

    @Test func callsThatAreDenied() throws {
        try UpgradeDecision.judge(answer, layout: 2, needsWayBack: true) { $0 == "mount" }
        let refusal = #expect(throws: UpgradeRefusal.self) {
            try UpgradeDecision.judge(answer, layout: 2, needsWayBack: true) { $0 == "write" }
        }
        #expect(refusal?.description.hasSuffix("lives: write; restart limpetd to change over") == true)
    }

    private func refusal(_ answer: CanaryAnswer, layout: UInt32) -> String {
        do throws(UpgradeRefusal) {
            try UpgradeDecision.judge(answer, layout: layout, needsWayBack: true)
            return ""
        } catch {
            return error.description
        }
    }
}
