import Stickiness
import Testing

/// Equal if and only if two instances answer alike.
@Suite struct MappingHashTests {
    typealias Member = Rendezvous.Member

    static let members = [Member(name: "ws1"), Member(name: "ws2", weight: 2), Member(name: "ws3", weight: 3)]

    static func hash(
        _ members: [Member] = members, key: HashKey = .published, mask: SourceMask = SourceMask(),
        input: HashInput = .source
    ) -> UInt64 {
        Rendezvous(key: key, members: members).mappingHash(mask: mask, input: input)
    }

    @Test func everythingThatChangesAnswersChangesIt() throws {
        let other = try #require(HashKey(hexadecimal: "fa79eb91963ced8d08ad2833f442e6f0"))
        var renamed = MappingHashTests.members
        renamed[0].name = "ws4"
        var swapped = MappingHashTests.members
        swapped[0].weight = 2
        swapped[1].weight = 1
        let hashes = [
            MappingHashTests.hash(), MappingHashTests.hash(key: other), MappingHashTests.hash(input: .sourcePort),
            MappingHashTests.hash(mask: SourceMask(ipv4: 24)), MappingHashTests.hash(mask: SourceMask(ipv6: 24)),
            MappingHashTests.hash(mask: SourceMask(ipv6: 128)), MappingHashTests.hash(renamed),
            MappingHashTests.hash(swapped), MappingHashTests.hash(Array(MappingHashTests.members.dropLast())),
            MappingHashTests.hash([]),
        ]
        #expect(Set(hashes).count == hashes.count)
    }

    @Test func namesDoNotRunIntoEachOther() {
        #expect(
            MappingHashTests.hash([Member(name: "ab"), Member(name: "c")])
                != MappingHashTests.hash([Member(name: "a"), Member(name: "bc")]))
    }

    @Test func whatChangesNoAnswerDoesNotChangeIt() {
        let members = MappingHashTests.members
        #expect(MappingHashTests.hash(members.reversed()) == MappingHashTests.hash())
        #expect(MappingHashTests.hash([members[1], members[2], members[0]]) == MappingHashTests.hash())
        let scaled = members.map { Member(name: $0.name, weight: $0.weight * 7) }
        #expect(MappingHashTests.hash(scaled) == MappingHashTests.hash())
    }

    /// Published so that a change of the fingerprint itself does not go unseen: instances of one fleet are compared by it.
    @Test func hasItsGoldenValue() {
        #expect(MappingHashTests.hash() == 0x1b44_b098_397d_00fe)
    }
}
