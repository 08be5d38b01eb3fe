import Addressing
import Testing

@testable import Stickiness

/// How many clients a change of the members moves: computed, against tried.
@Suite struct MovedShareTests {
    private typealias Member = Rendezvous.Member

    private static let three = [Member(name: "a"), Member(name: "b"), Member(name: "c")]

    /// What becomes of 100,000 clients.
    private func tried(
        _ old: [Rendezvous.Member], _ new: [Rendezvous.Member], _ oldKey: HashKey = .published,
        _ newKey: HashKey = .published
    ) -> Double {
        let (before, after) = (Rendezvous(key: oldKey, members: old), Rendezvous(key: newKey, members: new))
        let keyers = [oldKey, newKey].map { SourceKeyer(key: $0, mask: SourceMask(), input: .source) }
        var moved = 0
        for number in 0..<UInt32(100_000) {
            let address = IPAddress(v4: 0x0a00_0000 + number)
            let one = before.first(of: keyers[0].key(for: address, port: 0)).map { old[$0].name }
            let other = after.first(of: keyers[1].key(for: address, port: 0)).map { new[$0].name }
            if one != other { moved += 1 }
        }
        return Double(moved) / 100_000
    }

    @Test(
        "as many as move",
        arguments: [
            (three, three + [Member(name: "d")]),
            (three, [three[0], three[2]]),
            (three, [Member(name: "a", weight: 2), three[1], three[2]]),
            (three, [Member(name: "a", weight: 5), three[1], Member(name: "d", weight: 3)]),
            (
                [Member(name: "a", weight: 1), Member(name: "b", weight: 2), Member(name: "c", weight: 256)],
                [Member(name: "a", weight: 7), Member(name: "b", weight: 1), Member(name: "d", weight: 100)]
            ),
            (three, [Member(name: "x"), Member(name: "y")]),
            (three, [Member(name: "a")]),
        ] as [([Member], [Member])])
    func agrees(old: [Rendezvous.Member], new: [Rendezvous.Member]) {
        let share = Rendezvous.movedShare(from: old, to: new, sameHash: true)
        #expect(abs(share - tried(old, new)) < 0.006)
    }

    @Test func textbookCases() {
        let share = { (old: [Rendezvous.Member], new: [Rendezvous.Member]) in
            Rendezvous.movedShare(from: old, to: new, sameHash: true)
        }
        let four = MovedShareTests.three + [Member(name: "d")]
        #expect(abs(share(MovedShareTests.three, four) - 0.25) < 1e-12)
        #expect(abs(share(four, MovedShareTests.three) - 0.25) < 1e-12)
        #expect(share(four, four.reversed()) == 0)
        // A common factor changes no answer.
        #expect(share(four, four.map { Member(name: $0.name, weight: 8) }) < 1e-12)
        #expect(share(four, []) == 1 && share([], four) == 1 && share([], []) == 0)
    }

    @Test func anotherKeyDealsAnew() throws {
        let other = try #require(HashKey(hexadecimal: "00112233445566778899aabbccddeeff"))
        let share = Rendezvous.movedShare(from: MovedShareTests.three, to: MovedShareTests.three, sameHash: false)
        #expect(abs(share - 2.0 / 3) < 1e-12)
        #expect(abs(share - tried(MovedShareTests.three, MovedShareTests.three, .published, other)) < 0.006)
    }

    @Test func manyMembersAreNoWork() {
        let many = (0..<16384).map { Member(name: "b\($0)", weight: Double($0 % 256 + 1)) }
        let share = Rendezvous.movedShare(from: many, to: many + [Member(name: "new", weight: 1)], sameHash: true)
        #expect(share > 0 && share < 1e-5)
    }
}
