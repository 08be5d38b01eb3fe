import Addressing
import Stickiness

/// What it costs to find a client's home: its address to a key, then a scan over the backends, by the modules that
/// limpetd uses. Prints one JSON object: nanoseconds per pick by the number of backends, medians of many batches.
@main
struct HashPick {
    static let batches = 101
    /// Scores computed in a batch, whatever the number of backends, so that each lasts about as long.
    static let scoresPerBatch = 200_000

    static func main() {
        var figures: [String] = []
        var consumed = 0
        for backends in [10, 100, 1_000] {
            let (median, sum) = measure(backends: backends)
            consumed &+= sum
            figures.append("\"\(backends)\":\(median)")
        }
        // The sum of all answers is printed: none of them can be left out by the optimiser.
        print("{\"ns_per_pick\":{\(figures.joined(separator: ","))},\"checksum\":\(consumed)}")
    }

    /// Nanoseconds per pick, and the sum of what was picked. Equal weights, as most configurations have them.
    private static func measure(backends: Int) -> (median: Double, sum: Int) {
        let keyer = SourceKeyer(key: .published, mask: SourceMask(), input: .source)
        let rendezvous = Rendezvous(
            key: .published, members: (1...backends).map { Rendezvous.Member(name: "backend-\($0)") })
        let picks = scoresPerBatch / backends
        var sum = 0
        var client: UInt32 = 0x0a00_0000
        var times: [Double] = []
        for batch in 0...batches {
            let clock = ContinuousClock()
            let time = clock.measure {
                for _ in 0..<picks {
                    // Every client is another one.
                    client &+= 1
                    sum &+= rendezvous.first(of: keyer.key(for: IPAddress(v4: client), port: 0)) ?? 0
                }
            }
            // The first one warms up.
            if batch > 0 { times.append(time / .nanoseconds(1) / Double(picks)) }
        }
        times.sort()
        return (times[times.count / 2], sum)
    }
}
