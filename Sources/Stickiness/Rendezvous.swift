/// Weighted rendezvous hashing (highest random weight: Thaler and Ravishankar 1998; the weights as in Schindelhauer
/// and Schomaker 2005), version 1.
///
/// Every member has a score for every client; the lowest score is the client's home, and all scores in order are its
/// preference order. A score depends on the key, the client, and the member's own name and weight, on nothing else:
/// so adding or removing a member, or changing its weight, moves only clients to it or from it. Backups stand after all
/// other members, in the order of their own scores.
///
/// Immutable; any thread may use it, and a copy shares the storage. Nothing here allocates after `init`.
public struct Rendezvous: Sendable {
    /// A backend as far as the choice is concerned.
    public struct Member: Sendable, Hashable {
        /// The stable name; its UTF-8 bytes are what is hashed. Unique in a rendezvous.
        public var name: String
        /// Share of the clients relative to the other members: above 0 and finite. 1 to 256, or a fraction of that
        /// while a weight ramps up.
        public var weight: Double
        /// Comes after all members of lower tiers, in every order of preference. 0: no backup.
        public var tier: Int

        public init(name: String, weight: Double = 1, tier: Int = 0) {
            self.name = name
            self.weight = weight
            self.tier = tier
        }

        /// Whether it comes after all members that are not.
        public var isBackup: Bool {
            get { tier > 0 }
            set { tier = newValue ? 1 : 0 }
        }

        public init(name: String, weight: Double = 1, isBackup: Bool) {
            self.init(name: name, weight: weight, tier: isBackup ? 1 : 0)
        }
    }

    /// What a scan needs of a member, in list order.
    package struct Entry: Sendable {
        /// SipHash-2-4 of `limpet.backend.1` ‖ name.
        let seed: UInt64
        let weight: Double
        /// Place of the name among all names in the order of their UTF-8 bytes: decides between equal scores.
        let rank: Int
        /// 0 for ordinary members, 1 and more for backups: what is compared before the scores.
        let group: Int

        package init(seed: UInt64, weight: Double, rank: Int, group: Int = 0) {
            self.seed = seed
            self.weight = weight
            self.rank = rank
            self.group = group
        }
    }

    let entries: [Entry]
    private let key: HashKey
    /// Hash of the names, relative weights and backups; see ``mappingHash(mask:input:)``.
    private let membersHash: UInt64

    /// - Parameter members: in any order, which plays no part in any choice; results are indices into this list.
    /// - Precondition: weights are above 0 and finite. Should a name come twice, the earlier one is preferred.
    public init(key: HashKey, members: [Member]) {
        precondition(members.allSatisfy { $0.weight > 0 && $0.weight.isFinite }, "a weight must be above 0 and finite")
        // The sort is stable, so equal names keep the order of the list.
        let byName = members.indices.sorted { members[$0].name.utf8.lexicographicallyPrecedes(members[$1].name.utf8) }
        var ranks = [Int](repeating: 0, count: members.count)
        for (rank, index) in byName.enumerated() { ranks[index] = rank }

        var tagged = SipHash24(key: key)
        tagged.append(contentsOf: "limpet.backend.1".utf8)
        entries = members.indices.map { index in
            var hash = tagged
            hash.append(contentsOf: members[index].name.utf8)
            return Entry(
                seed: hash.finalize(), weight: members[index].weight, rank: ranks[index],
                group: members[index].tier)
        }
        self.key = key

        let heaviest = members.map(\.weight).max() ?? 1
        var hash = SipHash24(key: key)
        hash.append(contentsOf: "limpet.members.1".utf8)
        for index in byName {
            let name = members[index].name.utf8
            hash.append(littleEndian: UInt64(name.count), byteCount: 8)
            hash.append(contentsOf: name)
            hash.append(littleEndian: (members[index].weight / heaviest).bitPattern, byteCount: 8)
        }
        // Without backups the hash is what it was before there were any.
        for index in byName where members[index].tier > 0 {
            hash.append(contentsOf: "limpet.backup.1".utf8)
            hash.append(contentsOf: members[index].name.utf8)
            hash.append(0)
            // And with one tier of them what it was before there were several.
            if members[index].tier > 1 { hash.append(littleEndian: UInt64(members[index].tier), byteCount: 8) }
        }
        membersHash = hash.finalize()
    }

    /// Number of members.
    public var count: Int { entries.count }

    /// The preference order of a client, best first: all members, each once.
    /// - Parameter sourceKey: from ``SourceKeyer/key(for:port:)`` under the same hash key.
    public func preferenceOrder(of sourceKey: UInt64) -> PreferenceOrder {
        PreferenceOrder(entries: entries, sourceKey: sourceKey)
    }

    /// What follows `member` in the preference order of a client: where to go on when a connect failed.
    /// - Parameter member: an index below ``count``.
    public func preferenceOrder(of sourceKey: UInt64, after member: Int) -> PreferenceOrder {
        PreferenceOrder(entries: entries, sourceKey: sourceKey, after: member)
    }

    /// The home of a client; nil where there are no members.
    public func first(of sourceKey: UInt64) -> Int? {
        var order = preferenceOrder(of: sourceKey)
        return order.next()
    }

    /// Whether neither of two members is the other's backup: no preference order puts one of them before the other for what
    /// they are.
    public func areOfOneGroup(_ one: Int, _ other: Int) -> Bool { entries[one].group == entries[other].group }

    /// A fingerprint of the whole mapping from clients to preference orders: of the key, the masks, the hash input, the
    /// names, the weights and which are backups. Equal on two instances if and only if they answer alike (but for 64-bit collisions).
    ///
    /// The order of the list plays no part, nor does a common factor of all weights, because neither changes an
    /// answer. A keyed hash: it tells nothing about the key.
    public func mappingHash(mask: SourceMask, input: HashInput) -> UInt64 {
        var hash = SipHash24(key: key)
        hash.append(contentsOf: "limpet.mapping.1".utf8)
        hash.append(contentsOf: input.rawValue.utf8)
        hash.append(0)
        hash.append(littleEndian: UInt64(mask.ipv4), byteCount: 8)
        hash.append(littleEndian: UInt64(mask.ipv6), byteCount: 8)
        hash.append(littleEndian: membersHash, byteCount: 8)
        return hash.finalize()
    }
}
