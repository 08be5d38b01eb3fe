extension Rendezvous {
    /// Share of all clients, 0 to 1, whose home is another after the members have changed: exact for uniform hashes, so
    /// no client has to be tried.
    ///
    /// The scores of a client are independent exponential variables E/w, one for each name, and a name keeps its E. Home
    /// before and after is the same member i where E_j/E_i is at least max(w_j/w_i, w'_j/w'_i) for every other j, whose
    /// probability is 1 / Σ_j max(w_j/w_i, w'_j/w'_i), with weight 0 for a member that is not there.
    /// - Parameters:
    ///   - old, new: names are unique in each. Backups are nobody's home while there is another member.
    ///   - sameHash: false where clients are hashed with another key, or other parts of their addresses: then the two
    ///     homes have nothing to do with each other.
    public static func movedShare(from old: [Member], to new: [Member], sameHash: Bool) -> Double {
        let (old, new) = (homes(old), homes(new))
        guard !old.isEmpty, !new.isEmpty else { return old.isEmpty && new.isEmpty ? 0 : 1 }
        let before = Dictionary(old.map { ($0.name, $0.weight) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.name, $0.weight) }) { first, _ in first }
        let (total, totalAfter) = (before.values.reduce(0, +), after.values.reduce(0, +))
        guard sameHash else {
            return 1 - before.reduce(0) { $0 + $1.value / total * (after[$1.key] ?? 0) / totalAfter }
        }
        guard before != after else { return 0 }
        // In the order of w'/w, the maximum is w_j/w_i for all j up to i, and w'_j/w'_i for all after it.
        let names = Set(before.keys).union(after.keys)
        let members = names.map { (w: before[$0] ?? 0, next: after[$0] ?? 0) }.sorted {
            $0.next * $1.w < $1.next * $0.w
        }
        var stay = 0.0
        var upToHere = 0.0
        var beyond = totalAfter
        for member in members {
            upToHere += member.w
            beyond -= member.next
            if member.w > 0, member.next > 0 { stay += 1 / (upToHere / member.w + max(0, beyond) / member.next) }
        }
        return min(1, max(0, 1 - stay))
    }

    /// The members that can be a home.
    private static func homes(_ members: [Member]) -> [Member] {
        let best = members.map(\.tier).min()
        return members.filter { $0.tier == best }
    }
}
