/// Notices what stands still, by counting: of counters that go on as long as their owner does, one that is the same at so
/// many looks in a row belongs to somebody who does not. Looks count and not time: a machine that slept, or a keeper that
/// was stopped, has looked no more often.
struct Watchdog {
    /// Looks, a second apart, at which a counter that has not moved means that its owner stands still.
    static let patience = 10
    /// Who lives moves at least at every second look. What was stopped at one moment is found out at several, so whoever
    /// has missed so many belongs to those that are past patience.
    private static let suspicion = 6

    /// Who is watched over.
    enum Owner: Equatable {
        case worker(Int)
        case control
    }

    private var pulses: [Pulse]

    private struct Pulse {
        var seen: UInt64
        var still = 0
    }

    /// - Parameter beats: of each worker, and then of the control loop.
    init(_ beats: [UInt64]) {
        pulses = beats.map { Pulse(seen: $0) }
    }

    /// Another look.
    /// - Returns: who has stood still for too long.
    mutating func look(_ beats: [UInt64]) -> [Owner] {
        for (index, beat) in beats.enumerated() {
            pulses[index] =
                beat == pulses[index].seen ? Pulse(seen: beat, still: pulses[index].still + 1) : Pulse(seen: beat)
        }
        guard pulses.contains(where: { $0.still >= Watchdog.patience }) else { return [] }
        return pulses.indices.filter { pulses[$0].still >= Watchdog.suspicion }.map {
            $0 == pulses.count - 1 ? .control : .worker($0)
        }
    }
}
