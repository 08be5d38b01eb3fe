import Backends
import Stickiness
import Testing

@Suite struct SlowStartTests {
    @Test func theWayGoesUpAndEnds() {
        let way = (0...2000).map { SlowStart.tenths(elapsed: UInt64($0), of: 1000) }
        #expect(way == way.sorted())
        #expect(way[0] == 1 && way[999] == 9 && way[1000] == 10 && way[2000] == 10)
        #expect(Set(way) == Set(1...10))
        #expect(SlowStart.tenths(elapsed: .max, of: 1) == 10)
        #expect(SlowStart.tenths(elapsed: .max - 1, of: .max) <= 10)
    }

    /// Whatever the weights: on the way each client moves at most once, and only to the backend that starts; in the end
    /// everybody is where they would be without it.
    @Test(arguments: 0..<12) func eachClientMovesAtMostOnce(_ seed: Int) {
        let count = 2 + seed % 9
        let weights = (0..<count).map { Double(($0 * 37 + seed * 11) % 256 + 1) }
        let started = seed % count
        let mapping = { (tenths: Int) in
            Rendezvous(
                key: .published,
                members: weights.indices.map {
                    Rendezvous.Member(
                        name: "b\($0)",
                        weight: $0 == started ? weights[$0] * Double(tenths) / Double(SlowStart.full) : weights[$0])
                })
        }
        let way = (1...SlowStart.full).map(mapping)
        let end = Rendezvous(
            key: .published, members: weights.indices.map { Rendezvous.Member(name: "b\($0)", weight: weights[$0]) })
        var atStart = 0
        for client in UInt64(0)..<2000 {
            let key = client &* 0x9e37_79b9_7f4a_7c15
            let homes = way.map { $0.first(of: key) }
            let moves = zip(homes, homes.dropFirst()).filter { $0 != $1 }
            #expect(moves.count <= 1)
            #expect(moves.allSatisfy { $0.1 == started })
            #expect(homes.last == end.first(of: key))
            if homes[0] == started { atStart += 1 }
        }
        let others = weights.reduce(0, +) - weights[started]
        let share = weights[started] / 10 / (others + weights[started] / 10)
        #expect(abs(Double(atStart) / 2000 - share) < 0.05)
    }
}
