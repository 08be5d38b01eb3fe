import Backends
import Testing

@Suite struct ShedderTests {
    static let second: UInt64 = 1_000_000_000

    static func candidates(_ count: Int) -> [Shedder.Candidate] {
        (0..<count).map {
            Shedder.Candidate(
                position: $0, id: UInt64($0 + 1), opened: UInt64($0 * 7919 % 1000), active: UInt64($0 * 104_729 % 1000))
        }
    }

    /// Each is closed once, never more in a second than the rate says and one, however irregularly it is driven.
    @Test(arguments: [1.0, 7, 100, 2500]) func theRateHolds(_ rate: Double) {
        var shedder = Shedder(ShedderTests.candidates(400), order: .random, rate: rate, now: 0)
        var now: UInt64 = 0
        var closed: [(id: UInt64, at: UInt64)] = []
        var steps: [UInt64] = [3, 90, 100, 110, 4000, 50]
        while shedder.left > 0 {
            // A step of 4 s is a machine that slept: it is no reason to close all at once.
            now += steps[0] * 1_000_000
            steps.append(steps.removeFirst())
            closed += shedder.step(now: now) { _ in 0 }.map { ($0.id, now) }
        }
        #expect(Set(closed.map(\.id)).count == 400)
        #expect(closed.count == 400)
        for (index, one) in closed.enumerated() {
            let within = closed[index...].prefix { $0.at < one.at + ShedderTests.second }.count
            #expect(within <= 2 * Int(rate) + 1)
        }
        let span = Double(closed[399].at) / 1e9
        #expect(span >= 398 / rate - 1)
    }

    @Test func whoHasBeenSilentOrThereForLongestGoesFirst() {
        for order in [Shedder.Order.idle, .oldest] {
            var shedder = Shedder(ShedderTests.candidates(100), order: order, rate: 1000, now: 0)
            var closed: [Shedder.Candidate] = []
            while shedder.left > 0 {
                closed += shedder.step(now: ShedderTests.second + UInt64(closed.count)) { _ in 0 }
            }
            let keys = closed.map { order == .idle ? $0.active : $0.opened }
            #expect(keys == keys.sorted())
        }
    }

    /// Who talks is waited for, without holding up the others; in the end it is closed all the same.
    @Test func aQuietMomentIsWaitedFor() {
        var shedder = Shedder(ShedderTests.candidates(20), order: .random, rate: 100, now: 0)
        var closed: [UInt64: UInt64] = [:]
        var now: UInt64 = 0
        while shedder.left > 0, now < 60 * ShedderTests.second {
            now += ShedderTests.second / 10
            for candidate in shedder.step(
                now: now,
                active: { candidate in
                    switch candidate.id {
                    case 1: now
                    // It talks for two seconds.
                    case 2: min(now, 2 * ShedderTests.second)
                    default: 0
                    }
                })
            {
                #expect(closed[candidate.id] == nil)
                closed[candidate.id] = now
            }
        }
        #expect(closed.count == 20)
        #expect(closed.filter { $0.key > 2 }.values.max() ?? .max < ShedderTests.second)
        let late = closed[2] ?? 0
        #expect(late >= 2 * ShedderTests.second + Shedder.quiet && late < 3 * ShedderTests.second)
        #expect((closed[1] ?? 0) >= 10 * ShedderTests.second && (closed[1] ?? .max) < 11 * ShedderTests.second)
    }

    @Test func whatIsGoneCostsNothing() {
        var shedder = Shedder(ShedderTests.candidates(1000), order: .random, rate: 1, now: 0)
        #expect(shedder.step(now: 1) { _ in nil }.isEmpty)
        #expect(shedder.left == 0)
    }

    @Test func withoutPatienceNobodyIsWaitedFor() {
        var shedder = Shedder(ShedderTests.candidates(10), order: .random, rate: 1000, patience: 0, now: 0)
        #expect(shedder.step(now: ShedderTests.second) { _ in ShedderTests.second }.count == 10)
    }

    /// Of n the last goes after n/rate seconds, the first after one of these parts, and none before.
    @Test func withoutAHeadStartTheTimeIsUsedUp() {
        var shedder = Shedder(ShedderTests.candidates(10), order: .random, rate: 2, atOnce: 0, now: 0)
        var closed: [UInt64] = []
        for step in 1...60 {
            let now = UInt64(step) * ShedderTests.second / 10
            closed += shedder.step(now: now) { _ in 0 }.map { _ in now }
        }
        #expect(closed.count == 10)
        #expect(
            closed.first ?? 0 >= ShedderTests.second / 2 && closed.last ?? 0 >= 5 * ShedderTests.second - 100_000_000)
    }

    /// A pause is not made up for, and who talks loses nothing of the patience with it.
    @Test func aPauseCostsNobodyAnything() {
        var shedder = Shedder(ShedderTests.candidates(100), order: .random, rate: 10, now: 0)
        var now = ShedderTests.second
        // All of them talk.
        #expect(shedder.step(now: now) { _ in now }.isEmpty)
        now += 3600 * ShedderTests.second
        shedder.pause(now: now)
        #expect(shedder.left == 100)
        now += ShedderTests.second / 10
        #expect(shedder.step(now: now) { _ in now }.isEmpty)
        #expect(shedder.step(now: now) { _ in 0 }.count <= 2)
    }
}
