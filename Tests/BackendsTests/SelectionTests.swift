import Backends
import Stickiness
import Testing

@Suite struct SelectionTests {
    static let rendezvous = Rendezvous(
        key: .published, members: (0..<8).map { Rendezvous.Member(name: "b\($0)", weight: Double($0 + 1)) })

    private func choose(_ sourceKey: UInt64, _ tier: (Int) -> Tier?) -> Int? {
        Selection.choose(SelectionTests.rendezvous.preferenceOrder(of: sourceKey), tier: tier)
    }

    @Test func nobodyToChooseFrom() {
        let empty = Rendezvous(key: .published, members: [])
        #expect(Selection.choose(empty.preferenceOrder(of: 1)) { _ in .up } == nil)
        #expect(choose(1) { _ in nil } == nil)
    }

    /// A better tier goes before any preference; within the best that there is, the preference decides.
    @Test func theFirstOfTheBestTier() throws {
        for sourceKey in UInt64(0)..<200 {
            let order = Array(SelectionTests.rendezvous.preferenceOrder(of: sourceKey))
            var tiers: [Int: Tier] = [:]
            for member in order {
                // Each of the three and none, in a mixture of its own for each client.
                tiers[member] = Tier(rawValue: UInt8((sourceKey / UInt64(member + 1)) % 4))
            }
            let best = Tier.allCases.first { tiers.values.contains($0) }
            #expect(choose(sourceKey) { tiers[$0] } == best.flatMap { best in order.first { tiers[$0] == best } })
        }
    }

    /// Who is not up is not asked while somebody is.
    @Test func theLowerTiersAreTheLastResort() {
        for sourceKey in UInt64(0)..<50 {
            let order = Array(SelectionTests.rendezvous.preferenceOrder(of: sourceKey))
            #expect(choose(sourceKey) { $0 == order[7] ? .up : .checking } == order[7])
            #expect(choose(sourceKey) { $0 == order[7] ? .checking : .down } == order[7])
            #expect(choose(sourceKey) { _ in .down } == order[0])
        }
    }

    /// Who is remembered goes before those that are as good, and before nobody else.
    @Test func whoIsRememberedGoesBeforeItsEquals() {
        let members = (0..<6).map { Rendezvous.Member(name: "b\($0)", isBackup: $0 >= 4) }
        let rendezvous = Rendezvous(key: .published, members: members)
        func choose(_ key: UInt64, _ remembered: Int?, _ tier: (Int) -> Tier?) -> Int? {
            Selection.choose(rendezvous.preferenceOrder(of: key), remembered: remembered, of: rendezvous, tier: tier)
        }
        for key in UInt64(0)..<50 {
            let order = Array(rendezvous.preferenceOrder(of: key))
            #expect(choose(key, nil) { _ in .up } == order[0])
            for remembered in 0..<4 { #expect(choose(key, remembered) { _ in .up } == remembered) }
            // A backup is left as soon as one is up that is none, and kept among backups.
            for backup in 4..<6 {
                #expect(choose(key, backup) { _ in .up } == order[0])
                #expect(choose(key, backup) { $0 < 4 ? nil : .up } == backup)
            }
            #expect(choose(key, order[3]) { $0 == order[3] ? nil : .up } == order[0])
            #expect(choose(key, order[3]) { $0 == order[3] ? .down : .up } == order[0])
            #expect(choose(key, order[3]) { _ in .down } == order[3])
            #expect(choose(key, order[3]) { $0 == order[3] ? .up : .checking } == order[3])
            #expect(choose(key, order[3]) { _ in nil } == nil)
        }
    }
}
