import Testing

@testable import Health

@Suite struct AgentTests {
    private func reply(_ text: String) -> AgentReply? { AgentReply(Array(text.utf8)) }

    @Test func words() throws {
        #expect(reply("up")?.isUp == true)
        for word in ["down", "fail", "failed", "stopped", "DOWN", "down#out of memory"] {
            #expect(reply(word)?.isUp == false, "\(word)")
        }
        let all = try #require(reply("up ready,75%\tmaxconn:30 # \u{1b}x"))
        #expect(all.isUp == true && all.wish == .ready && all.percent == 75 && all.maxConnections == 30)
        #expect(all.note == "\" \\x1bx\"")
        #expect(reply("drain")?.wish == .drain && reply("drain")?.isUp == nil)
        #expect(reply("maint")?.wish == .maintenance)
        #expect(reply("0%")?.percent == 0)
    }

    @Test(arguments: [
        "", " ", "#", "upp", "up down?", "%", "-1%", "1.5%", "25601%", "maxconn:", "maxconn:x", "maxconn:99999999999",
        "HTTP/1.1", "\u{0}", "99999999999999999999%",
    ]) func noReply(text: String) {
        #expect(reply(text) == nil)
    }

    @Test func itHoldsUntilItSaysOtherwise() throws {
        var standing = AgentStanding()
        #expect(standing.word == 0)
        standing.take(try #require(reply("drain 50% maxconn:7")))
        standing.take(try #require(reply("up")))
        #expect(standing.wish == .drain && standing.percent == 50 && standing.maxConnections == 7)
        #expect(AgentStanding(word: standing.word) == standing)
        standing.take(try #require(reply("ready 100% maxconn:0")))
        #expect(standing == AgentStanding() && standing.word == 0)
    }

    @Test func everyStandingFitsIntoAWord() {
        for wish in [AgentReply.Wish.ready, .drain, .maintenance] {
            for percent in [0, 1, 100, 25_600] {
                for limit in [0, 1, 10_000_000] {
                    var standing = AgentStanding()
                    (standing.wish, standing.percent, standing.maxConnections) = (wish, percent, limit)
                    #expect(AgentStanding(word: standing.word) == standing)
                }
            }
        }
    }

    @Test func weights() {
        var standing = AgentStanding()
        #expect(standing.weight(7) == 7)
        standing.percent = 50
        #expect(standing.weight(1) == 1 && standing.weight(10) == 5 && standing.weight(256) == 128)
        standing.percent = 25_600
        #expect(standing.weight(2) == 256)
    }

    @Test func byteByByte() {
        var judge = AgentJudge(send: "name\n")
        #expect(judge.opening == Array("name\n".utf8))
        var result: CheckResult?
        for byte in "up 10%\r\nand more".utf8 where result == nil { result = judge.hear(CollectionOfOne(byte)) }
        #expect(result?.verdict == .passed && result?.agent?.percent == 10 && result?.text == "agent says \"up 10%\"")
        var ended = AgentJudge(send: nil)
        let nothing = ended.hear("down#why".utf8)
        #expect(nothing == nil)
        let end = ended.hearEnd()
        #expect(end.verdict == .failed && end.agent?.isUp == false)
    }
}
