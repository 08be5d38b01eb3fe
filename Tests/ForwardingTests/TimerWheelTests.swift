import CLayout
import Testing

@testable import Forwarding

@Suite struct TimerWheelTests {
    private static let tick: UInt64 = 1 << 23

    /// Records of a test, given back when it ends.
    private func withRecords(_ count: Int, _ body: (UnsafeMutablePointer<limpet_record>) -> Void) {
        let records = UnsafeMutablePointer<limpet_record>.allocate(capacity: count)
        records.initialize(repeating: limpet_record(), count: count)
        body(records)
        records.deallocate()
    }

    @Test func nothingArmedMeansNoWaiting() {
        withRecords(1) { records in
            var wheel = TimerWheel(records: records, now: 1_000_000)
            #expect(wheel.wait(now: 1_000_000) == -1)
            #expect(wheel.takeDue(now: 1 << 60) == nil)
        }
    }

    @Test func aTimerNeverFiresEarly() {
        withRecords(1) { records in
            let start: UInt64 = 77 * Self.tick + 5
            var wheel = TimerWheel(records: records, now: start)
            let deadline = start + 20 * Self.tick
            wheel.arm(0, at: deadline, now: start)
            var now = start
            while wheel.takeDue(now: now) == nil {
                #expect(now < deadline + 2 * Self.tick)
                now += Self.tick / 3
            }
            #expect(now >= deadline)
        }
    }

    /// Nobody turned the wheel while nothing was armed.
    @Test func norAfterALongTimeWithoutTimers() {
        withRecords(1) { records in
            var wheel = TimerWheel(records: records, now: 0)
            let start = 100_000 * Self.tick
            wheel.arm(0, at: start + 20 * Self.tick, now: start)
            #expect(wheel.takeDue(now: start) == nil)
            #expect(wheel.wait(now: start) > 0)
            #expect(wheel.takeDue(now: start + 19 * Self.tick) == nil)
            #expect(wheel.takeDue(now: start + 22 * Self.tick) == 0)
        }
    }

    @Test func waitReachesTheDeadlineAndNotFarPastIt() {
        withRecords(1) { records in
            let start: UInt64 = 12_345 * Self.tick
            var wheel = TimerWheel(records: records, now: start)
            for ticks: UInt64 in [1, 7, 63, 64, 65, 4000] {
                wheel.arm(0, at: start + ticks * Self.tick, now: start)
                let milliseconds = wheel.wait(now: start)
                let woken = start + UInt64(milliseconds) * 1_000_000
                #expect(woken >= start + ticks * Self.tick)
                #expect(woken <= start + (ticks + 2) * Self.tick)
            }
        }
    }

    @Test func pastTheHorizonItFiresAtTheHorizon() {
        withRecords(1) { records in
            var wheel = TimerWheel(records: records, now: 0)
            wheel.arm(0, at: 1 << 50, now: 0)
            #expect(wheel.takeDue(now: 4000 * Self.tick) == nil)
            #expect(wheel.takeDue(now: 4096 * Self.tick) == 0)
        }
    }

    @Test func armingAgainMovesAndCancellingForgets() {
        withRecords(3) { records in
            var wheel = TimerWheel(records: records, now: 0)
            for slot in 0..<3 { wheel.arm(slot, at: 5 * Self.tick, now: 0) }
            wheel.arm(1, at: 50 * Self.tick, now: 0)
            wheel.cancel(2)
            wheel.cancel(2)
            #expect(wheel.takeDue(now: 10 * Self.tick) == 0)
            #expect(wheel.takeDue(now: 10 * Self.tick) == nil)
            #expect(wheel.takeDue(now: 60 * Self.tick) == 1)
            #expect(wheel.wait(now: 60 * Self.tick) == -1)
        }
    }

    @Test func aTimerThatIsArmedAgainWhileDueOnesAreTakenDoesNotStarveTheLoop() {
        withRecords(1) { records in
            var wheel = TimerWheel(records: records, now: 0)
            let now = 9 * Self.tick
            wheel.arm(0, at: 0, now: 0)
            #expect(wheel.takeDue(now: now) == 0)
            wheel.arm(0, at: 0, now: now)
            #expect(wheel.takeDue(now: now) == nil)
            #expect(wheel.takeDue(now: now + 2 * Self.tick) == 0)
        }
    }

    @Test func thousandsFireOnceEachInOrderOfTheirTicks() {
        let count = 3000
        withRecords(count) { records in
            var wheel = TimerWheel(records: records, now: 0)
            var state: UInt64 = 42
            var deadlines: [UInt64] = []
            for slot in 0..<count {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                deadlines.append((state >> 33) % (4000 * Self.tick))
                wheel.arm(slot, at: deadlines[slot], now: 0)
            }
            var fired = Set<Int>()
            var now: UInt64 = 0
            while now < 4100 * Self.tick {
                now += 13 * Self.tick
                while let slot = wheel.takeDue(now: now) {
                    #expect(deadlines[slot] <= now)
                    #expect(deadlines[slot] + 15 * Self.tick >= now)
                    #expect(fired.insert(slot).inserted)
                }
            }
            #expect(fired.count == count)
        }
    }
}
