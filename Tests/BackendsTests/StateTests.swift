import Backends
import Testing

@Suite struct StateTests {
    /// The raw values lie in shared memory: another version of the daemon reads them.
    @Test func rawValuesStay() {
        #expect([Intent.ready, .drain, .maintenance].map(\.rawValue) == [0, 1, 2])
        #expect(
            [BackendState.maintenance, .draining, .drained, .down, .checking, .full, .up].map(\.rawValue)
                == [1, 2, 3, 4, 5, 6, 7])
        #expect(Health.allCases.map(\.rawValue) == [0, 1, 2, 3, 4, 5])
        #expect(
            [AwayReason.home, .drain, .maintenance, .down, .checking, .full, .connectFailed].map(\.rawValue)
                == [0, 1, 2, 3, 4, 5, 6])
    }

    /// The precedence of the design: maintenance, draining/drained, down, checking, full, up.
    @Test func intentGoesBeforeHealthAndHealthBeforeLoad() {
        for health in Health.allCases {
            for isFull in [false, true] {
                let state = { BackendState(intent: $0, health: health, isFull: isFull, connections: $1) }
                #expect(state(.maintenance, 0) == .maintenance)
                #expect(state(.maintenance, 3) == .maintenance)
                #expect(state(.drain, 1) == .draining)
                #expect(state(.drain, 0) == .drained)
            }
        }
        for isFull in [false, true] {
            #expect(BackendState(intent: .ready, health: .down, isFull: isFull, connections: 5) == .down)
            #expect(BackendState(intent: .ready, health: .checking, isFull: isFull, connections: 5) == .checking)
            for health in [Health.up, .unchecked] {
                #expect(
                    BackendState(intent: .ready, health: health, isFull: isFull, connections: 5)
                        == (isFull ? .full : .up))
            }
        }
    }

    /// A backend may take a connection exactly where its state is `up`; else the reason is the state's.
    @Test func reasonAgreesWithTheState() {
        let expected: [BackendState: AwayReason] = [
            .maintenance: .maintenance, .draining: .drain, .drained: .drain, .down: .down, .checking: .checking,
            .full: .full,
        ]
        var eligible = 0
        for intent in Intent.allCases {
            for health in Health.allCases {
                for isFull in [false, true] {
                    for connections in [0, 7] {
                        let state = BackendState(
                            intent: intent, health: health, isFull: isFull, connections: connections)
                        let reason = Eligibility.reason(intent: intent, health: health, isFull: isFull)
                        #expect(reason == expected[state])
                        if reason == nil { eligible += 1 }
                    }
                }
            }
        }
        // Ready, up or unchecked, not full; with and without connections.
        #expect(eligible == 4)
    }

    @Test func wordsAreNamesAndDiffer() {
        for words in [
            Intent.allCases.map(\.word), Health.allCases.map(\.word), AwayReason.allCases.map(\.word),
            BackendState.allCases.map { "\($0)" },
        ] {
            #expect(Set(words).count == words.count)
            #expect(words.allSatisfy { Name.isValid($0) && $0 == $0.lowercased() })
        }
        #expect(Set(AwayReason.allCases.map(\.sentence)).count == AwayReason.allCases.count)
    }

    @Test func statesHaveTheWordsOfTheDesign() {
        #expect(
            BackendState.allCases.map { "\($0)" }
                == ["maintenance", "draining", "drained", "down", "checking", "full", "up"])
    }
}
