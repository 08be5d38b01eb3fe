import Backends
import Health
import Testing

/// A state that expectations can change.
private final class Subject {
    private var state: HealthState

    init(_ state: HealthState) { self.state = state }

    var health: Health { state.health }
    var isInDoubt: Bool { state.isInDoubt }
    func note(passed: Bool) -> Bool { state.note(passed: passed) }
    func mark() -> Bool { state.mark() }
    func wait(using generator: inout Generator) -> UInt64 { state.wait(using: &generator) }
}

@Suite struct HealthStateTests {
    static let rules = HealthState.Rules(
        interval: 2000, fastInterval: 500, downInterval: 4000, rise: 2, fall: 3)

    private func state(_ health: Health) -> Subject { Subject(HealthState(health, rules: Self.rules)) }

    @Test func oneLostCheckChangesNothing() {
        let state = state(.up)
        for _ in 0..<20 {
            #expect(!state.note(passed: false))
            #expect(!state.note(passed: false))
            #expect(state.isInDoubt)
            #expect(!state.note(passed: true))
            #expect(state.health == .up && !state.isInDoubt)
        }
    }

    @Test func downAfterFallUpAfterRise() {
        let state = state(.up)
        #expect([false, false, false].map { state.note(passed: $0) } == [false, false, true])
        #expect(state.health == .down && !state.isInDoubt)
        #expect([true, false, true, true].map { state.note(passed: $0) } == [false, false, false, true])
        #expect(state.health == .up)
    }

    @Test func aNewOneIsUpAfterItsFirstPassAndDownAfterFall() {
        var fresh = state(.checking)
        #expect(fresh.note(passed: true) && fresh.health == .up)
        fresh = state(.checking)
        #expect([false, false, false].map { fresh.note(passed: $0) } == [false, false, true])
        #expect(fresh.health == .down)
    }

    @Test func aMarkTakesItDownAtOnceAndIsChecked() {
        let state = state(.up)
        #expect(state.mark() && state.health == .down && state.isInDoubt)
        #expect(!state.mark())
        // Its check finds the same: from then on it is an ordinary one.
        #expect(!state.note(passed: false))
        #expect(!state.isInDoubt)
        #expect([true, true].map { state.note(passed: $0) } == [false, true])
    }

    /// Whatever comes: the health follows from the last results alone, as written down here once more.
    @Test(arguments: 0..<50) func anyHistory(seed: Int) {
        var generator = Generator(seed: UInt64(seed))
        let rules = HealthState.Rules(
            interval: 2000, fastInterval: 500, downInterval: 4000, rise: .random(in: 1...5, using: &generator),
            fall: .random(in: 1...5, using: &generator))
        let state = Subject(HealthState(.checking, rules: rules))
        var history: [Bool] = []
        var expected = Health.checking
        for _ in 0..<500 {
            if Int.random(in: 0..<20, using: &generator) == 0 {
                #expect(state.mark() == (expected != .down))
                // One that is down already has not been told anything.
                if expected != .down { history = [] }
                expected = .down
            } else {
                let passed = Bool.random(using: &generator)
                history.append(passed)
                let former = expected
                if expected == .checking, passed {
                    expected = .up
                } else if expected != .down, history.count >= rules.fall,
                    history.suffix(rules.fall).allSatisfy({ !$0 })
                {
                    expected = .down
                } else if expected == .down, history.count >= rules.rise, history.suffix(rules.rise).allSatisfy({ $0 })
                {
                    expected = .up
                }
                if expected != former { history = [] }
                #expect(state.note(passed: passed) == (expected != former))
            }
            #expect(state.health == expected)
            let wait = state.wait(using: &generator)
            #expect((450...4400).contains(wait))
            if state.isInDoubt { #expect(wait <= 550) }
        }
    }

    /// A thousand backends whose checks begin together do not beat as one.
    @Test func spread() {
        var generator = Generator(seed: 1)
        let second: UInt64 = 1_000_000_000
        let rules = HealthState.Rules(
            interval: 2 * second, fastInterval: second / 2, downInterval: 4 * second, rise: 2, fall: 3)
        var starts: [UInt64] = []
        for _ in 0..<1000 {
            let state = Subject(HealthState(.checking, rules: rules))
            var time = HealthState.firstWait(of: 1000, interval: rules.interval, using: &generator)
            for _ in 0..<3 {
                starts.append(time)
                _ = state.note(passed: true)
                time += state.wait(using: &generator)
            }
        }
        var perTenth: [UInt64: Int] = [:]
        for start in starts { perTenth[start / (second / 10), default: 0] += 1 }
        // The first round takes a second, so a tenth of it in each tenth; never much more than that at once.
        #expect(perTenth.values.max()! < 200, "\(perTenth)")
        let alone = HealthState.firstWait(of: 1, interval: rules.interval, using: &generator)
        #expect(alone == 0)
    }
}
