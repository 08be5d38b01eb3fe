import Addressing
import Configuration
import Names
import Testing

@testable import Engine

/// What of an answer is taken, kept and said.
@Suite("Facts about names") struct NameFactsTests {
    private let name = HostName("ws1.example.net")!
    private let four = (1...3).map { IPAddress(v4: 0xc000_0200 + $0) }
    private let six = [IPAddress("2001:db8::1")!]

    private func expect(_ found: String, _ expected: String) { #expect(found == expected) }

    /// What is wrong, and how many are left out.
    private func took(_ facts: inout NameFacts, _ answer: NameAnswer, _ question: NameQuestion) -> String {
        let (failure, leftOut) = facts.take(answer, to: question)
        return "\(failure ?? "none"), \(leftOut)"
    }

    private func failure(_ answer: NameAnswer, _ question: NameQuestion) -> String? {
        var facts = NameFacts()
        return facts.take(answer, to: question).failure
    }

    @Test func `One family is kept beside the others of the same name`() throws {
        var facts = NameFacts()
        for family in NameFamily.allCases {
            let question = NameQuestion.addresses(HostQuestion(name, family))
            let answer = NameAnswer(
                v4: family == .ipv6 ? .nothing(.noRecords) : .found(four, ttl: 1),
                v6: family == .ipv4 ? .nothing(.noRecords) : .found(six, ttl: 1))
            expect(took(&facts, answer, question), "none, 0")
        }
        #expect(facts.addresses[HostQuestion(name)] == four + six)
        #expect(facts.addresses[HostQuestion(name, .ipv4)] == four)
        #expect(facts.addresses[HostQuestion(name, .ipv6)] == six)
        #expect(NameFacts(facts.kept) == facts)
        #expect(facts.kept.map(\.family) == ["ipv4", "ipv6", nil])
        // A family that nobody knows here is not taken for another.
        #expect(NameFacts([KeptName(kind: .addresses, name: "a", family: "x", records: ["192.0.2.1"])]) == NameFacts())
    }

    @Test func `An IPv4 address among those of IPv6 is none of theirs`() {
        var facts = NameFacts()
        let question = NameQuestion.addresses(HostQuestion(name, .ipv6))
        expect(took(&facts, NameAnswer(v6: .found(four, ttl: 1)), question), "the name has no IPv6 addresses, 0")
        #expect(facts == NameFacts())
        expect(took(&facts, NameAnswer(v6: .found(four + six, ttl: 1)), question), "none, 0")
        #expect(facts.records(question) == ["2001:db8::1"])
    }

    @Test func `What is wrong with one family is said of it alone`() {
        let question = NameQuestion.addresses(HostQuestion(name, .ipv4))
        #expect(failure(NameAnswer(), question) == "the name has no IPv4 addresses")
        #expect(failure(NameAnswer(v4: .nothing(.noName)), question) == "there is no such name (NXDOMAIN)")
        #expect(failure(NameAnswer(failed: "silence"), question) == "silence")
    }

    @Test func `Records that are left out are counted and said`() {
        var facts = NameFacts()
        let question = NameQuestion.addresses(HostQuestion(name))
        let (low, high) = ((0..<600).map { IPAddress(v4: $0 + 1) }, (0..<600).map { IPAddress(v6High: 1, low: $0) })
        // Each family is within the bound, and both together are not.
        let both = NameAnswer(v4: .found(low, ttl: 1), v6: .found(high, ttl: 1))
        expect(took(&facts, both, question), "none, 200")
        #expect(facts.omission(question, leftOut: 200) == "1200 records, the lowest 1000 are used")
        let some = NameAnswer(v4: .found(four, ttl: 1), leftOut: 2)
        expect(took(&facts, some, question), "none, 2")
        #expect(
            facts.omission(question, leftOut: 2) == "5 records, 2 left out: no server can be at such a place")
        #expect(facts.omission(question, leftOut: 0) == nil)
        #expect(facts.omission(.services(name), leftOut: 2) == nil)
    }
}
