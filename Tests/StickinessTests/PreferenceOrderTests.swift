import Stickiness
import Testing

@Suite struct PreferenceOrderTests {
    static func members(_ count: Int) -> [Rendezvous.Member] {
        (0..<count).map { Rendezvous.Member(name: "b\($0)", weight: Double($0 % 4 + 1)) }
    }

    /// Seeds that make the number e of source key 0 the smallest and the largest there is. The smallest equals its own
    /// logarithm, the largest has an infinite one.
    static let smallest: UInt64 = 0
    static let largest: UInt64 = 0xcf9a_04af_fa6b_adc0

    @Test func emptyHasNoFirst() {
        let rendezvous = Rendezvous(key: .published, members: [])
        #expect(rendezvous.count == 0)
        #expect(rendezvous.first(of: 1) == nil)
        #expect(Array(rendezvous.preferenceOrder(of: 1)) == [])
    }

    @Test func endsAndStaysAtItsEnd() {
        var order = Rendezvous(key: .published, members: PreferenceOrderTests.members(3)).preferenceOrder(of: 7)
        #expect(Set([order.next(), order.next(), order.next()]) == [0, 1, 2])
        #expect(order.next() == nil)
        #expect(order.next() == nil)
    }

    @Test func copiesGoOnIndependently() {
        var order = Rendezvous(key: .published, members: PreferenceOrderTests.members(5)).preferenceOrder(of: 7)
        _ = order.next()
        let copy = Array(order)
        #expect(copy.count == 4)
        #expect(Array(order) == copy)
    }

    /// Pruning must not change an answer: compared with a plain sort by score.
    @Test func agreesWithASortByScore() {
        var random = Generator(seed: 3)
        for round in 0..<400 {
            let sourceKey = random.next()
            let weights = (0..<(round % 23 + 1)).map { _ in Double(random.next() % 256 + 1) / 4 }
            let seeds = weights.map { _ in random.next() }
            let entries = weights.indices.map { Rendezvous.Entry(seed: seeds[$0], weight: weights[$0], rank: $0) }
            let scores = weights.indices.map {
                Score.negativeLogOfComplement(Score.uniform(Score.mix64(sourceKey ^ seeds[$0]))) / weights[$0]
            }
            let sorted = weights.indices.sorted { scores[$0] < scores[$1] }
            #expect(Array(PreferenceOrder(entries: entries, sourceKey: sourceKey)) == sorted)

            var filtered = PreferenceOrder(entries: entries, sourceKey: sourceKey)
            var odd: [Int] = []
            while let next = filtered.next(where: { !$0.isMultiple(of: 2) }) { odd.append(next) }
            #expect(odd == sorted.filter { !$0.isMultiple(of: 2) })
        }
    }

    /// In every order of the list, also where pruning could take a tie for a loss.
    @Test(arguments: [smallest, largest, 12345])
    func rankDecidesBetweenEqualScores(_ seed: UInt64) {
        for ranks in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let entries = ranks.map { Rendezvous.Entry(seed: seed, weight: 2, rank: $0) }
            let order = PreferenceOrder(entries: entries, sourceKey: 0)
            #expect(order.map { ranks[$0] } == [0, 1, 2])
        }
    }

    @Test func infiniteScoreComesLast() {
        let seeds = [PreferenceOrderTests.largest, 5, PreferenceOrderTests.smallest]
        let entries = seeds.enumerated().map { Rendezvous.Entry(seed: $1, weight: 256, rank: $0) }
        #expect(Array(PreferenceOrder(entries: entries, sourceKey: 0)) == [2, 1, 0])
    }

    @Test func namesAreRankedByTheirBytes() {
        // Not by length, not by number, not by case folding. Equal names, which a configuration refuses, still all come.
        let names = ["b10", "b9", "B9", "b", "b9"]
        let rendezvous = Rendezvous(key: .published, members: names.map { Rendezvous.Member(name: $0) })
        for sourceKey in UInt64(0)..<200 {
            let order = Array(rendezvous.preferenceOrder(of: sourceKey))
            #expect(Set(order) == [0, 1, 2, 3, 4])
            let earlier = order.firstIndex(of: 1)
            let later = order.firstIndex(of: 4)
            #expect(later == earlier.map { $0 + 1 })
        }
    }

    @Test func filterSeesEachMemberAtMostOnceAndEndsWithNil() {
        let rendezvous = Rendezvous(key: .published, members: PreferenceOrderTests.members(20))
        var order = rendezvous.preferenceOrder(of: 99)
        var asked: [Int] = []
        #expect(
            order.next { member in
                asked.append(member)
                return false
            } == nil)
        #expect(asked.sorted() == Array(0..<20))
        // Nothing was handed out, so nothing has moved.
        #expect(order.next() == rendezvous.first(of: 99))
    }
}
