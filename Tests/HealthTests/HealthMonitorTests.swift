import Addressing
import Backends
import Configuration
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Health

/// The monitor with checks that the test plays, on a loop of its own.
@Suite struct HealthMonitorTests {
    /// What the checks find, and what the monitor made of it. Locked: the test looks from outside.
    private final class Stage: Sendable {
        struct State: Sendable {
            var passes: Set<Int> = []
            var isHindered = false
            var checks: [Int: Int] = [:]
            var underWay = 0
            var mostUnderWay = 0
            var changes: [String] = []
            var hindrances = 0
            /// Checks end when the test says so.
            var isHeld = false
            var held: [@Sendable () -> Void] = []
        }

        let state = Mutex(State())
        private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var loop: any EventLoop { group.next() }
        private let monitor: NIOLoopBound<HealthMonitor>

        init() throws {
            nonisolated(unsafe) var stage: Stage?
            let loop = group.next()
            monitor = try loop.submit {
                NIOLoopBound(
                    HealthMonitor(
                        eventLoop: loop, probe: { stage!.probe(Int($0.address.endpoint!.port), loop) },
                        changed: { slot, health, cause in
                            stage!.state.withLock { $0.changes.append("\(slot) \(health.word) \(cause)") }
                        }, hindered: { _, _ in stage!.state.withLock { $0.hindrances += 1 } }, told: { _, _, _ in }),
                    eventLoop: loop)
            }.wait()
            stage = self
        }

        private func probe(_ slot: Int, _ loop: any EventLoop) -> EventLoopFuture<CheckResult> {
            let promise = loop.makePromise(of: CheckResult.self)
            let isHeld = state.withLock { state in
                state.checks[slot, default: 0] += 1
                state.underWay += 1
                state.mostUnderWay = max(state.mostUnderWay, state.underWay)
                if state.isHeld { state.held.append { loop.execute { self.end(slot, promise) } } }
                return state.isHeld
            }
            if !isHeld { loop.execute { self.end(slot, promise) } }
            return promise.futureResult
        }

        private func end(_ slot: Int, _ promise: EventLoopPromise<CheckResult>) {
            let result = state.withLock { state in
                state.underWay -= 1
                if state.isHindered { return CheckResult(.impossible, "no descriptor") }
                return state.passes.contains(slot) ? CheckResult(.passed, "fine") : CheckResult(.failed, "bad")
            }
            promise.succeed(result)
        }

        func on<Result: Sendable>(_ body: @escaping @Sendable (HealthMonitor) -> Result) throws -> Result {
            let monitor = monitor
            return try loop.submit { body(monitor.value) }.wait()
        }

        /// Makes a check now.
        func check(_ slot: Int) async throws -> CheckResult {
            let monitor = monitor
            return try await loop.flatSubmit { monitor.value.check(slot)! }.get()
        }

        func watch(_ slots: some Sequence<Int>, health: Health = .checking, interval: Duration = .milliseconds(10))
            throws
        {
            let watched = slots.map { slot in
                var check = HealthCheck()
                check.interval = interval
                check.fastInterval = interval
                check.downInterval = interval
                return HealthMonitor.Watched(
                    slot: slot,
                    target: CheckTarget(
                        check: check,
                        address: .endpoint(Endpoint(address: IPAddress(v4: 0x7f00_0001), port: UInt16(slot))),
                        preamble: []),
                    health: health, isPaused: false)
            }
            try on { $0.watch(watched) }
        }

        func eventually(_ condition: (State) -> Bool) async throws {
            while !state.withLock({ condition($0) }) { try await Task.sleep(for: .milliseconds(2)) }
        }

        func stop() throws {
            try on { $0.watch([]) }
            try group.syncShutdownGracefully()
        }
    }

    @Test(.timeLimit(.minutes(1))) func upDownAndForgotten() async throws {
        let stage = try Stage()
        stage.state.withLock { $0.passes = [1] }
        try stage.watch([1, 2])
        try await stage.eventually { $0.changes.count >= 2 }
        #expect(Set(stage.state.withLock { $0.changes }) == ["1 up fine", "2 down bad"])
        stage.state.withLock { $0.passes = [2] }
        try await stage.eventually { $0.changes.count >= 4 }
        #expect(Set(stage.state.withLock { $0.changes.suffix(2) }) == ["1 down bad", "2 up fine"])
        try stage.watch([2])
        let isKnown = try stage.on { ($0.isWatched(1), $0.report(2)?.last?.text) }
        #expect(!isKnown.0 && isKnown.1 == "fine")
        try stage.stop()
    }

    @Test(.timeLimit(.minutes(1))) func whatIsImpossibleHereChangesNothing() async throws {
        let stage = try Stage()
        stage.state.withLock { $0.isHindered = true }
        try stage.watch([1], health: .up)
        try await stage.eventually { $0.checks[1] ?? 0 >= 20 }
        #expect(stage.state.withLock { $0.changes.isEmpty && $0.hindrances == 1 })
        try stage.stop()
    }

    @Test(.timeLimit(.minutes(1))) func aMarkIsFollowedByAChecksVerdict() async throws {
        let stage = try Stage()
        stage.state.withLock { $0.passes = [1] }
        try stage.watch([1], interval: .seconds(3600))
        try await stage.eventually { $0.changes == ["1 up fine"] }
        try stage.on { $0.mark(1, cause: "connects fail") }
        // At once, and not in an hour; the second that it takes to be up comes after the fast interval, which is as long here.
        try await stage.eventually { $0.checks[1] ?? 0 >= 2 }
        #expect(stage.state.withLock { $0.changes } == ["1 up fine", "1 down connects fail"])
        try stage.stop()
    }

    @Test(.timeLimit(.minutes(1))) func noMoreAtOnceThanThereAreDescriptorsFor() async throws {
        let stage = try Stage()
        stage.state.withLock { $0.isHeld = true }
        let count = HealthMonitor.mostUnderWay + 50
        try stage.watch(1...count)
        let round = try stage.on { $0.awaitFirstRound() }
        try await stage.eventually { $0.underWay == HealthMonitor.mostUnderWay }
        let held = stage.state.withLock { state in
            state.isHeld = false
            return state.held
        }
        for end in held { end() }
        try await round.get()
        #expect(stage.state.withLock { $0.mostUnderWay == HealthMonitor.mostUnderWay && $0.checks.count == count })
        try stage.stop()
    }

    @Test(.timeLimit(.minutes(1))) func whoeverIsPausedIsLeftAloneAndCanBeAsked() async throws {
        let stage = try Stage()
        stage.state.withLock { $0.passes = [1] }
        try stage.watch([1])
        try await stage.eventually { $0.changes == ["1 up fine"] }
        try stage.on { $0.setPaused(1, true) }
        stage.state.withLock { $0.passes = [] }
        for _ in 0..<10 {
            let result = try await stage.check(1)
            #expect(result.text == "bad")
        }
        #expect(stage.state.withLock { $0.changes } == ["1 up fine"])
        try stage.on { $0.setPaused(1, false) }
        try await stage.eventually { $0.changes.count == 2 }
        try stage.stop()
    }
}
