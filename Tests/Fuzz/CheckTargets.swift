import Configuration

@testable import Health

/// What servers answer to checks: the first byte says of which kind, the rest is the answer. However it is cut, the verdict is the
/// same, and what is told of it can be shown to people.
func checkAnswers(_ input: UnsafeRawBufferPointer) {
    guard let kind = input.first else { return }
    let said = Array(input.dropFirst())
    var http = HTTPCheck()
    http.path = "/"
    var expect = ExpectCheck()
    switch kind % 7 {
    case 0: judge(HTTPJudge(http, target: "192.0.2.1:80"), said)
    case 1:
        http.body = "is well"
        judge(HTTPJudge(http, target: "192.0.2.1:80"), said)
    case 2:
        expect.wanted = .text("aab")
        judge(ExpectJudge(expect), said)
    case 3:
        expect.wanted = .pattern(try! Pattern("^[0-9]+ (a|bc)*d$"))
        judge(ExpectJudge(expect), said)
    case 4: judge(TLSJudge(), said)
    default: judge(AgentJudge(send: nil), said)
    }
}

private func judge(_ judge: some Judge, _ said: [UInt8]) {
    let whole = verdict(judge, said, piece: .max)
    let slow = verdict(judge, said, piece: 1)
    let odd = verdict(judge, said, piece: 3)
    check(whole.verdict == slow.verdict && slow.verdict == odd.verdict, "\(whole) \(slow) \(odd)")
    check(whole.agent == slow.agent && slow.agent == odd.agent, "\(whole) \(slow) \(odd)")
    for result in [whole, slow, odd] { checkLine(result.text, limit: 512) }
    guard let agent = whole.agent else { return }
    checkLine(agent.note, limit: 512)
    var standing = AgentStanding()
    standing.take(agent)
    check(AgentStanding(word: standing.word) == standing, "\(standing) is another in its word")
    for weight in [1, 256] { check((1...256).contains(standing.weight(weight)), "\(standing)") }
}

/// As a check listens: no more than so many bytes, and no longer than it takes.
private func verdict(_ judge: some Judge, _ said: [UInt8], piece: Int) -> CheckResult {
    var judge = judge
    var rest = said[...]
    var heard = 0
    while !rest.isEmpty {
        let part = rest.prefix(min(piece, (judge.limit ?? .max) - heard))
        rest = rest.dropFirst(part.count)
        heard += part.count
        if let result = judge.hear(part) { return result }
        if let limit = judge.limit, heard >= limit { return judge.hearTooMuch() }
    }
    return judge.hearEnd()
}
