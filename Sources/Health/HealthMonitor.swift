public import Backends
public import Configuration
import Linux
public import NIOCore

/// Checks backends, each at its own pace, and says when the health of one changes.
///
/// Lives on one event loop: make it there, and call every method there. Decides nothing about who gets connections.
public final class HealthMonitor: @unchecked Sendable {
    /// A backend that is to be checked.
    public struct Watched: Sendable, Equatable {
        public var slot: Int
        public var target: CheckTarget
        /// What is known of it so far.
        public var health: Health
        /// In maintenance: it is left alone.
        public var isPaused: Bool

        public init(slot: Int, target: CheckTarget, health: Health, isPaused: Bool) {
            self.slot = slot
            self.target = target
            self.health = health
            self.isPaused = isPaused
        }
    }

    /// How the checks of a backend stand. Times in ns since 1970.
    public struct Report: Sendable, Equatable {
        public var kind: HealthCheck.Kind
        /// nil: none has been made yet.
        public var last: CheckResult?
        public var lastTime: UInt64 = 0
        /// nil: none is planned.
        public var nextTime: UInt64?
    }

    private final class Entry {
        var target: CheckTarget
        var state: HealthState
        var isPaused: Bool
        var planned: Scheduled<Void>?
        var report: Report
        /// A check is under way or waits for its turn.
        var isUnderWay = false
        /// Another one is wanted as soon as it has ended.
        var isWantedAgain = false
        var waiting: [EventLoopPromise<CheckResult>] = []

        init(_ watched: Watched) {
            target = watched.target
            state = HealthState(watched.health, rules: watched.target.check.rules)
            isPaused = watched.isPaused
            report = Report(kind: watched.target.check.kind)
        }
    }

    /// Checks that are under way at once, at most: each has a descriptor.
    public static let mostUnderWay = 1024

    private let eventLoop: any EventLoop
    private let probe: (CheckTarget) -> EventLoopFuture<CheckResult>
    private let changed: (_ slot: Int, _ health: Health, _ cause: String) -> Void
    private let hindered: (_ slot: Int, _ reason: String) -> Void
    private let told: (_ slot: Int, _ reply: AgentReply, _ text: String) -> Void
    private var generator = SystemRandomNumberGenerator()
    private var entries: [Int: Entry] = [:]
    private var underWay = 0
    /// Backends whose check is due while as many are under way as may be.
    private var queue = CircularBuffer<Int>()
    /// Backends that have not been checked once, while somebody waits for that.
    private var unchecked: Set<Int> = []
    private var firstRound: EventLoopPromise<Void>?

    /// - Parameters:
    ///   - probe: makes one check; nil: by the network.
    ///   - changed: called on the loop when the health of a backend has changed.
    ///   - hindered: called on the loop when a backend cannot be checked for a reason of this machine's, and could before.
    ///   - told: called on the loop with what an agent says, before a change of health that follows from it.
    public init(
        eventLoop: any EventLoop, probe: ((CheckTarget) -> EventLoopFuture<CheckResult>)? = nil,
        changed: @escaping (_ slot: Int, _ health: Health, _ cause: String) -> Void,
        hindered: @escaping (_ slot: Int, _ reason: String) -> Void,
        told: @escaping (_ slot: Int, _ reply: AgentReply, _ text: String) -> Void
    ) {
        self.eventLoop = eventLoop
        self.probe = probe ?? { Probe.run($0, on: eventLoop) }
        self.changed = changed
        self.hindered = hindered
        self.told = told
    }

    /// Checks these from now on and no others. What is known of a backend that is there already stays known.
    public func watch(_ backends: [Watched]) {
        let slots = Set(backends.map(\.slot))
        for (slot, entry) in entries where !slots.contains(slot) { forget(slot, entry) }
        let fresh = backends.filter { entries[$0.slot] == nil }
        for watched in backends {
            guard let entry = entries[watched.slot] else {
                let entry = Entry(watched)
                entries[watched.slot] = entry
                let wait = HealthState.firstWait(
                    of: fresh.count, interval: entry.state.rules.interval, using: &generator)
                if !watched.isPaused { plan(watched.slot, entry, in: wait) }
                continue
            }
            setPaused(watched.slot, watched.isPaused)
            guard entry.target != watched.target else { continue }
            entry.target = watched.target
            entry.state.rules = watched.target.check.rules
            entry.report = Report(kind: watched.target.check.kind)
            if !entry.isPaused {
                plan(
                    watched.slot, entry,
                    in: HealthState.firstWait(
                        of: backends.count, interval: entry.state.rules.interval, using: &generator))
            }
        }
    }

    /// - Returns: succeeds once every backend has been checked that is not paused, which can take as long as checks do.
    public func awaitFirstRound() -> EventLoopFuture<Void> {
        unchecked = Set(entries.filter { !$0.value.isPaused && $0.value.report.last == nil }.keys)
        let promise = eventLoop.makePromise(of: Void.self)
        firstRound = promise
        noteRound(nil)
        return promise.futureResult
    }

    public func report(_ slot: Int) -> Report? { entries[slot]?.report }

    /// What the checks say of a backend; nil: it is not checked.
    public func health(_ slot: Int) -> Health? { entries[slot]?.state.health }

    public func isWatched(_ slot: Int) -> Bool { entries[slot] != nil }

    /// Checks begin or cease. What is known stays known.
    public func setPaused(_ slot: Int, _ isPaused: Bool) {
        guard let entry = entries[slot], entry.isPaused != isPaused else { return }
        entry.isPaused = isPaused
        if isPaused {
            entry.planned?.cancel()
            entry.report.nextTime = nil
            noteRound(slot)
        } else {
            plan(slot, entry, in: 0)
        }
    }

    /// Connections to the backend fail: it is down at once, and is checked in quick succession until it is known why.
    public func mark(_ slot: Int, cause: String) {
        guard let entry = entries[slot], entry.state.mark() else { return }
        changed(slot, .down, cause)
        checkSoon(slot)
    }

    /// The next check is made now.
    public func checkSoon(_ slot: Int) {
        guard let entry = entries[slot], !entry.isPaused else { return }
        plan(slot, entry, in: 0)
    }

    /// Makes a check now, or takes part in the one that is under way; also of a backend that is paused.
    /// - Returns: nil: the backend is not checked at all.
    public func check(_ slot: Int) -> EventLoopFuture<CheckResult>? {
        guard let entry = entries[slot] else { return nil }
        let promise = eventLoop.makePromise(of: CheckResult.self)
        entry.waiting.append(promise)
        due(slot)
        return promise.futureResult
    }

    // MARK: Parts

    private func forget(_ slot: Int, _ entry: Entry) {
        entry.planned?.cancel()
        entries[slot] = nil
        noteRound(slot)
        for promise in entry.waiting { promise.succeed(CheckResult(.impossible, "is not checked any more")) }
        entry.waiting = []
    }

    private func plan(_ slot: Int, _ entry: Entry, in wait: UInt64) {
        entry.planned?.cancel()
        entry.report.nextTime = Clock.wall() + wait
        entry.planned = eventLoop.scheduleTask(in: .nanoseconds(Int64(clamping: wait))) { [weak self] in
            self?.due(slot)
        }
    }

    private func due(_ slot: Int) {
        guard let entry = entries[slot] else { return }
        guard !entry.isUnderWay else {
            entry.isWantedAgain = true
            return
        }
        entry.planned?.cancel()
        entry.isUnderWay = true
        guard underWay < HealthMonitor.mostUnderWay else { return queue.append(slot) }
        run(slot, entry)
    }

    private func run(_ slot: Int, _ entry: Entry) {
        underWay += 1
        let start = Clock.now()
        let target = entry.target
        let bound = NIOLoopBound(entry, eventLoop: eventLoop)
        probe(target).assumeIsolated().whenSuccess { [weak self] result in
            guard let self else { return }
            underWay -= 1
            ended(slot, bound.value, target, result, took: Clock.now() - start)
            next()
        }
    }

    private func next() {
        while underWay < HealthMonitor.mostUnderWay, let slot = queue.popFirst() {
            // It may have been forgotten, and even be another's by now.
            if let entry = entries[slot], entry.isUnderWay { run(slot, entry) }
        }
    }

    private func ended(_ slot: Int, _ entry: Entry, _ target: CheckTarget, _ result: CheckResult, took: UInt64) {
        entry.isUnderWay = false
        let waiting = entry.waiting
        entry.waiting = []
        defer { for promise in waiting { promise.succeed(result) } }
        guard entries[slot] === entry else { return }
        // Of a target that a reload has changed meanwhile it says nothing.
        let isCurrent = entry.target == target
        if isCurrent {
            if result.verdict == .impossible, entry.report.last?.verdict != .impossible { hindered(slot, result.text) }
            entry.report.last = result
            entry.report.lastTime = Clock.wall()
        }
        if isCurrent, !entry.isPaused, result.verdict != .impossible {
            if let reply = result.agent { told(slot, reply, result.text) }
            let hasChanged =
                if let isUp = result.agent?.isUp {
                    entry.state.declare(isUp: isUp)
                } else {
                    entry.state.note(passed: result.verdict == .passed)
                }
            if hasChanged { changed(slot, entry.state.health, result.text) }
        }
        noteRound(slot)
        guard !entry.isPaused else { return }
        if entry.isWantedAgain || !isCurrent {
            entry.isWantedAgain = false
            return plan(slot, entry, in: 0)
        }
        let wait = entry.state.wait(using: &generator)
        plan(slot, entry, in: wait > took ? wait - took : 0)
    }

    private func noteRound(_ slot: Int?) {
        guard let promise = firstRound else { return }
        if let slot { unchecked.remove(slot) }
        guard unchecked.isEmpty else { return }
        firstRound = nil
        promise.succeed()
    }
}

extension HealthCheck {
    /// What ``HealthState`` goes by.
    var rules: HealthState.Rules {
        HealthState.Rules(
            interval: interval.nanoseconds, fastInterval: effectiveFastInterval.nanoseconds,
            downInterval: effectiveDownInterval.nanoseconds, rise: rise, fall: fall)
    }
}
