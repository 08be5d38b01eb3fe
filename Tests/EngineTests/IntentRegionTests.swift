import Backends
import CLayout
import Forwarding
import Linux
import Testing

@testable import Engine

@Suite struct IntentRegionTests {
    private func region() throws -> SharedRegion { try SharedRegion(workers: 1, records: 1, limit: 1) }

    @Test func whatIsSetIsThere() throws {
        let region = try region()
        #expect(region.operatorIntent(3).isEmpty)
        for entry in IntentFileTests.all {
            region.setOperatorIntent(entry.set, 3)
            var read = region.operatorIntent(3)
            // By way of two clocks.
            let closesAt = read.closesAt
            read.closesAt = entry.set.closesAt
            #expect(read == entry.set)
            #expect((closesAt == nil) == (entry.set.closesAt == nil))
            #expect(region.operatorIntent(2).isEmpty && region.operatorIntent(4).isEmpty)
        }
        region.setOperatorIntent(OperatorIntent(), 3)
        #expect(region.operatorIntent(3) == OperatorIntent())
    }

    @Test func aTimeThatHasPassedIsDue() throws {
        let region = try region()
        var set = IntentFileTests.all[0].set
        for past: UInt64 in [0, 1, Clock.wall() - 1] {
            set.closesAt = past
            region.setOperatorIntent(set, 0)
            #expect(try #require(region.closingTime(0)) <= Clock.now())
        }
        set.closesAt = Clock.wall() + 3_600_000_000_000
        region.setOperatorIntent(set, 0)
        let wait = try #require(region.closingTime(0)) - Clock.now()
        #expect(wait > 3_590_000_000_000 && wait <= 3_600_000_000_000)
        set.closesAt = .max
        region.setOperatorIntent(set, 0)
        #expect(try #require(region.closingTime(0)) > Clock.now())
        #expect(region.operatorIntent(0).closesAt != nil)
    }

    /// A writer that dies may leave a time behind that belongs to no intent any more.
    @Test func aTimeWithoutAnIntentIsNone() throws {
        let region = try region()
        region.setIntent(.drain, 0, since: 1, closingTime: 5)
        #expect(region.closingTime(0) == 5)
        limpet_store8(&region.backend(0).pointee.intent, Intent.ready.rawValue)
        #expect(region.closingTime(0) == nil)
        #expect(region.operatorIntent(0) == OperatorIntent())
    }

    @Test func anIntentTakesTheTimeOfTheOneBeforeAway() throws {
        let region = try region()
        region.setIntent(.drain, 0, since: 1, closingTime: 5)
        region.setIntent(.maintenance, 0, since: 2, closingTime: nil)
        #expect(region.closingTime(0) == nil)
        #expect(region.operatorIntent(0).intentSince == 2)
    }

    @Test func clocksAreToldByEachOther() {
        var clocks = ClockPair()
        clocks.bootNow = 1000
        clocks.wallNow = 5_000_000
        for (boot, wall): (UInt64, UInt64) in [(1000, 5_000_000), (1, 4_999_001), (2000, 5_001_000)] {
            #expect(clocks.wall(boot) == wall && clocks.boot(wall) == boot)
        }
        #expect(clocks.boot(0) == 0 && clocks.wall(.max) == .max)
    }
}
