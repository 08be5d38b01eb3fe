import Backends
import Stickiness
import Testing

@Suite struct SelectionTests {
    static let rendezvous = Rendezvous(
        key: .published, members: (0..<8).map { Rendezvous.Member(name: "b\($0)", weight: Double($0 + 1)) })

    @Test func nobodyToChooseFrom() {
        let empty = Rendezvous(key: .published, members: [])
        #expect(Selection.choose(empty.preferenceOrder(of: 1)) { _ in nil } == nil)
    }

    @Test func nobodyEligible() {
        for sourceKey in UInt64(0)..<50 {
            let selection = Selection.choose(SelectionTests.rendezvous.preferenceOrder(of: sourceKey)) { _ in .down }
            #expect(selection?.chosen == nil)
            #expect(selection?.home == SelectionTests.rendezvous.first(of: sourceKey))
            #expect(selection?.reason == .down)
        }
    }

    @Test func homeWhereItMay() {
        for sourceKey in UInt64(0)..<50 {
            let home = SelectionTests.rendezvous.first(of: sourceKey)
            let selection = Selection.choose(SelectionTests.rendezvous.preferenceOrder(of: sourceKey)) {
                $0 == home ? nil : .maintenance
            }
            #expect(selection?.home == home)
            #expect(selection?.chosen == home)
            #expect(selection?.reason == .home)
        }
    }

    /// With each first part of the preference order unusable: the next one, and the reason of the home alone.
    @Test func theBestThatMay() throws {
        for sourceKey in UInt64(0)..<50 {
            let order = Array(SelectionTests.rendezvous.preferenceOrder(of: sourceKey))
            for passed in 1..<order.count {
                let unusable = order[..<passed]
                let selection = try #require(
                    Selection.choose(SelectionTests.rendezvous.preferenceOrder(of: sourceKey)) {
                        $0 == order[0] ? .full : unusable.contains($0) ? .drain : nil
                    })
                #expect(selection.home == order[0])
                #expect(selection.chosen == order[passed])
                #expect(selection.reason == .full)
            }
        }
    }
}
