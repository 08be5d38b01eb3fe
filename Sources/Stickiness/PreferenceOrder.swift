/// The members of a ``Rendezvous`` in the order in which one client prefers them, found one at a time.
///
/// A step is one scan over all members, without a table, a sort or an allocation: the usual caller takes the first
/// and stops. A sequence of indices into the list that the rendezvous was made from, and its own iterator: a copy goes
/// on independently from where the original stood.
public struct PreferenceOrder: Sequence, IteratorProtocol, Sendable {
    private let entries: [Rendezvous.Entry]
    private let sourceKey: UInt64
    /// Group, score and rank of the last member that was handed out; the next one is the smallest triple above it.
    private var lastGroup = 0
    private var lastScore = -Double.infinity
    private var lastRank = -1

    package init(entries: [Rendezvous.Entry], sourceKey: UInt64) {
        self.entries = entries
        self.sourceKey = sourceKey
    }

    init(entries: [Rendezvous.Entry], sourceKey: UInt64, after member: Int) {
        self.init(entries: entries, sourceKey: sourceKey)
        let entry = entries[member]
        lastScore = Score.negativeLogOfComplement(uniform(entry)) / entry.weight
        lastRank = entry.rank
        lastGroup = entry.group
    }

    /// The next best member; nil when all have been handed out.
    public mutating func next() -> Int? {
        next { _ in true }
    }

    /// The next best member that passes the filter; the others up to it are passed over for good. One scan, however many
    /// are passed over; nil when none is left that passes.
    /// - Parameter isEligible: asked at most once for each member, in no particular order, and not asked about members
    ///   that could not be the answer anyway.
    @inline(__always)
    public mutating func next(where isEligible: (Int) -> Bool) -> Int? {
        var best: Int?
        var bestGroup = Int.max
        var bestScore = Double.infinity
        var bestRank = Int.max
        for index in entries.indices {
            let entry = entries[index]
            if entry.group > bestGroup || entry.group < lastGroup { continue }
            let e = uniform(entry)
            // The logarithm is never less than e, and division keeps the order: past this the score cannot win. At
            // equality it still could, by its name.
            if e / entry.weight > bestScore && entry.group == bestGroup { continue }
            guard isEligible(index) else { continue }
            let score = Score.negativeLogOfComplement(e) / entry.weight
            guard entry.group < bestGroup || score < bestScore || (score == bestScore && entry.rank < bestRank),
                entry.group > lastGroup || score > lastScore || (score == lastScore && entry.rank > lastRank)
            else { continue }
            best = index
            bestGroup = entry.group
            bestScore = score
            bestRank = entry.rank
        }
        if best != nil {
            lastGroup = bestGroup
            lastScore = bestScore
            lastRank = bestRank
        }
        return best
    }

    @inline(__always)
    private func uniform(_ entry: Rendezvous.Entry) -> Double {
        Score.uniform(Score.mix64(sourceKey ^ entry.seed))
    }
}
