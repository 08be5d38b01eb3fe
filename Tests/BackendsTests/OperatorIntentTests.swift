import Backends
import Testing

@Suite struct OperatorIntentTests {
    private func named(_ service: String, _ backend: String, _ set: OperatorIntent) -> NamedIntent {
        NamedIntent(service: service, backend: backend, set: set)
    }

    private func weight(_ value: Int, base: Int) -> OperatorIntent {
        var set = OperatorIntent()
        set.weight = OperatorWeight(value: value, base: base, since: 7)
        return set
    }

    private func drain(since: UInt64 = 5) -> OperatorIntent {
        var set = OperatorIntent()
        set.intent = .drain
        set.intentSince = since
        set.closesAt = 9
        return set
    }

    /// Set while the configuration said 2.
    @Test(arguments: [
        // configured now, what holds, what was beaten
        (2, 5 as Int?, nil as Int?), (3, nil, 5), (1, nil, 5), (256, nil, 5),
        // The configuration caught up: they agree, and nobody was beaten.
        (5, nil, nil),
    ])
    func aWeightThatChangesInTheFileIsNewer(configured: Int, holds: Int?, beaten: Int?) {
        var set = weight(5, base: 2)
        #expect(set.settle(configuredWeight: configured)?.value == beaten)
        #expect(set.weight?.value == holds)
    }

    @Test func whatSaysTheSameAsTheConfigurationIsNothing() {
        var set = weight(2, base: 2)
        #expect(set.settle(configuredWeight: 2) == nil)
        #expect(set.isEmpty)
    }

    @Test func aBeatenWeightLeavesTheIntentAlone() {
        var set = drain()
        set.weight = OperatorWeight(value: 5, base: 2, since: 7)
        #expect(set.settle(configuredWeight: 3) != nil)
        #expect(set == drain())
        #expect(!set.isEmpty)
    }

    @Test func whatWasKeptMeetsItsBackendByBothNames() {
        let merge = IntentMerge(
            [
                named("chat", "ws1", drain(since: 1)), named("mqtt", "ws1", drain(since: 2)),
                named("chat", "ws2", weight(5, base: 1)), named("chat", "gone", drain(since: 3)),
                named("gone", "ws1", drain(since: 4)),
            ],
            onto: [
                .init(service: "mqtt", backend: "ws1", weight: 1), .init(service: "chat", backend: "ws3", weight: 1),
                .init(service: "chat", backend: "ws2", weight: 4), .init(service: "chat", backend: "ws1", weight: 1),
            ])
        #expect(merge.holding.map(\.intentSince) == [2, 0, 0, 1])
        #expect(merge.holding[1].isEmpty && merge.holding[2].isEmpty)
        #expect(merge.forgotten.map { "\($0.service)/\($0.backend)" } == ["chat/gone", "gone/ws1"])
        #expect(merge.beaten.map(\.position) == [2])
        #expect(merge.beaten.map(\.weight) == [OperatorWeight(value: 5, base: 1, since: 7)])
    }

    @Test func nothingKeptChangesNothing() {
        let merge = IntentMerge([], onto: [.init(service: "chat", backend: "ws1", weight: 1)])
        #expect(merge.holding == [OperatorIntent()] && merge.forgotten.isEmpty && merge.beaten.isEmpty)
        #expect(IntentMerge([named("chat", "ws1", drain())], onto: []).forgotten.count == 1)
    }
}
