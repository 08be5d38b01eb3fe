import Backends
import Stickiness
import Testing

@Suite struct MovePlanTests {
    private static let names = ["ws1", "ws2", "ws3", "ws4"]

    private static func side(
        _ weights: [Double] = [1, 1, 1, 1], without: Set<Int> = [], limits: [Int: Int] = [:], loadFactor: Int? = nil
    ) -> MovePlan.Side {
        MovePlan.Side(
            rendezvous: Rendezvous(
                key: .published, members: zip(names, weights).map { Rendezvous.Member(name: $0, weight: $1) }),
            members: weights.indices.map {
                MovePlan.Member(
                    slot: $0 + 10, tier: without.contains($0) ? nil : .up, limit: limits[$0],
                    weight: Int(weights[$0] * 10))
            }, loadFactor: loadFactor)
    }

    /// Clients at home.
    private static func clients(_ count: Int, _ side: MovePlan.Side) -> [MovePlan.Connection] {
        (1...count).map { number in
            let key = UInt64(number) &* 0x9e37_79b9_7f4a_7c15
            return MovePlan.Connection(slot: side.rendezvous.first(of: key)! + 10, before: key, after: key)
        }
    }

    /// Each goes to its second choice, and nobody else moves.
    @Test func aDrainMovesItsOwnAlone() throws {
        let (before, after) = (MovePlanTests.side(), MovePlanTests.side(without: [0]))
        let all = MovePlanTests.clients(4000, before)
        let plan = MovePlan(all, from: before, to: after, emptied: [10])
        var expected: [Int: Int] = [:]
        for connection in all where connection.slot == 10 {
            var order = before.rendezvous.preferenceOrder(of: connection.before)
            _ = order.next()
            expected[order.next()! + 10, default: 0] += 1
        }
        let own = try #require(plan.outcomes[10])
        #expect(plan.connections == 4000 && plan.moving == own.connections && plan.homeless == 0)
        #expect(own.leaving == own.connections && own.arriving == 0 && own.after == 0)
        for slot in 11...13 {
            let outcome = try #require(plan.outcomes[slot])
            #expect(outcome.arriving == expected[slot] && outcome.leaving == 0 && outcome.passedOn == 0)
        }
        #expect(plan.outcomes.values.reduce(0) { $0 + $1.after } == 4000)
        let (skew, skewAfter) = (try #require(plan.skew), try #require(plan.skewAfter))
        #expect(skew >= 1 && skew < 1.15 && skewAfter >= 1 && skewAfter < 1.15)
    }

    /// A full heir passes on, and where all are full nobody takes them.
    @Test func limitsArePassedOnAndThenNobodyIsLeft() throws {
        let before = MovePlanTests.side()
        let all = MovePlanTests.clients(400, before)
        let counts = Dictionary(grouping: all, by: \.slot).mapValues(\.count)
        let room = [1: counts[11]! + 5, 2: counts[12]! + 7, 3: counts[13]! + 9]
        let plan = MovePlan(
            all, from: before, to: MovePlanTests.side(without: [0], limits: room), emptied: [10])
        #expect(plan.moving == counts[10]! && plan.homeless == plan.moving - 21)
        for (index, limit) in room { #expect(plan.outcomes[index + 10]?.after == limit) }
        #expect((11...13).reduce(0) { $0 + plan.outcomes[$1]!.passedOn } >= plan.homeless)
        let free = MovePlan(
            all, from: before, to: MovePlanTests.side(without: [0], limits: [1: counts[11]!]), emptied: [10])
        #expect(free.homeless == 0 && free.outcomes[11]?.arriving == 0 && free.outcomes[11]!.passedOn > 0)
    }

    @Test func theLastOneLeavesThemNowhere() {
        let before = MovePlanTests.side(without: [1, 2, 3])
        let all = (1...10).map { MovePlan.Connection(slot: 10, before: UInt64($0), after: UInt64($0)) }
        let plan = MovePlan(all, from: before, to: MovePlanTests.side(without: [0, 1, 2, 3]), emptied: [10])
        #expect(plan.moving == 10 && plan.homeless == 10 && plan.skewAfter == nil)
        #expect(plan.outcomes[10]?.passedOn == 0)
    }

    /// A weight moves clients to this backend, or from it, alone; and those who are not at home for another reason stay.
    @Test func aWeightMovesToItOrFromIt() {
        let before = MovePlanTests.side()
        var all = MovePlanTests.clients(4000, before)
        let up = MovePlan(all, from: before, to: MovePlanTests.side([4, 1, 1, 1]), emptied: nil)
        #expect(up.outcomes[10]!.leaving == 0 && up.outcomes[10]!.arriving == up.moving)
        #expect((11...13).allSatisfy { up.outcomes[$0]!.arriving == 0 && up.outcomes[$0]!.leaving > 0 })
        // 1/4 to 4/7 of all.
        #expect(up.moving > 1100 && up.moving < 1500)
        let down = MovePlan(all, from: MovePlanTests.side([4, 1, 1, 1]), to: before, emptied: nil)
        #expect(down.outcomes[10]!.arriving == 0)
        // All of them sit on ws2: whoever's choice does not change is not moved by the weight.
        for index in all.indices { all[index].slot = 11 }
        let stuck = MovePlan(all, from: before, to: MovePlanTests.side([4, 1, 1, 1]), emptied: nil)
        #expect(stuck.moving == up.moving && stuck.outcomes[11]!.leaving == up.moving)
        #expect(MovePlan(all, from: before, to: before, emptied: nil).moving == 0)
    }

    @Test func theLoadBoundIsKept() {
        let before = MovePlanTests.side()
        let all = MovePlanTests.clients(1000, before)
        let plan = MovePlan(
            all, from: before, to: MovePlanTests.side(without: [0], loadFactor: 101), emptied: [10])
        #expect(plan.homeless == 0)
        #expect((11...13).allSatisfy { plan.outcomes[$0]!.after <= 338 }, "\(plan.outcomes)")
    }

    /// Whoever is remembered stays where it is, until that takes nobody.
    @Test func whoIsRememberedDoesNotMove() throws {
        let (before, after) = (MovePlanTests.side(), MovePlanTests.side([1, 1, 1, 4]))
        let all = MovePlanTests.clients(1000, before)
        let forgotten = MovePlan(all, from: before, to: after, emptied: nil)
        #expect(forgotten.moving > 100)
        let remembered = all.map { connection in
            var connection = connection
            connection.remembered = connection.slot
            return connection
        }
        #expect(MovePlan(remembered, from: before, to: after, emptied: nil).moving == 0)
        let drained = MovePlan(remembered, from: before, to: MovePlanTests.side(without: [0]), emptied: [10])
        #expect(drained.moving == drained.outcomes[10]?.leaving && drained.homeless == 0 && drained.moving > 0)
        // Those whose clients have gone elsewhere since go there.
        let elsewhere = all.map { connection in
            var connection = connection
            connection.remembered = 12
            return connection
        }
        let gone = MovePlan(elsewhere, from: before, to: MovePlanTests.side(without: [0]), emptied: [10])
        #expect(gone.outcomes[12]?.arriving == gone.moving && gone.moving > 0)
    }
}
