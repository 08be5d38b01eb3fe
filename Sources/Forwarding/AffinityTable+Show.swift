public import Addressing
import CLayout

/// What there is in the table, for the control plane.
extension AffinityTable {
    /// A client that is remembered.
    public struct Entry: Sendable, Equatable {
        /// Slots.
        public let service: Int
        public let backend: Int
        /// As much of it as is hashed; the port is 0 unless that counts.
        public let client: Endpoint
        public let connections: Int
        /// CLOCK_BOOTTIME ns of the last beginning or end of a connection.
        public let time: UInt64
    }

    /// Of all workers.
    public struct Totals: Sendable, Equatable {
        public var hits: UInt64 = 0
        public var moves: UInt64 = 0
        public var evictions: UInt64 = 0
    }

    public func totals(workers: Int) -> Totals {
        var totals = Totals()
        for worker in 0..<workers {
            let counters = limpet_affinity_counters(header, Int32(worker))
            totals.hits &+= limpet_load64(&counters.pointee.hits)
            totals.moves &+= limpet_load64(&counters.pointee.moves)
            totals.evictions &+= limpet_load64(&counters.pointee.evictions)
        }
        return totals
    }

    /// Calls `body` with every client that is remembered now.
    /// - Parameter lasting: ns for which a service, by its slot, remembers; 0: not at all.
    public func visit(now: UInt64, lasting: (Int) -> UInt64, _ body: (Entry) -> Void) {
        visitPlaces(now: now, lasting: lasting) { entry, _, _, _ in body(entry) }
    }

    /// Forgets the clients that `isMeant` says, and says how many they were.
    public func forget(now: UInt64, lasting: (Int) -> UInt64, where isMeant: (Entry) -> Bool) -> Int {
        var count = 0
        visitPlaces(now: now, lasting: lasting) { entry, set, way, word in
            guard isMeant(entry) else { return }
            // A worker may have counted a connection meanwhile: the client is forgotten all the same.
            var word = word
            while !limpet_affinity_forget(set, way, word, header.pointee.epoch) {
                let next = limpet_affinity_load(set, way)
                guard limpet_affinity_version(next) == limpet_affinity_version(word), limpet_affinity_backend(next) >= 0
                else { return }
                word = next
            }
            count += 1
        }
        return count
    }

    /// The same, whether or not their time is over.
    public func forgetAll(where isMeant: (Entry) -> Bool) -> Int {
        forget(now: 0, lasting: { _ in .max }, where: isMeant)
    }

    /// Slots of backends or services are others' from now on. No worker knows them yet.
    public func forget(backends: [Int], services: [Int]) {
        guard isUsed, !backends.isEmpty || !services.isEmpty else { return }
        let (backends, services) = (Set(backends), Set(services))
        _ = forgetAll { backends.contains($0.backend) || services.contains($0.service) }
    }

    private func visitPlaces(
        now: UInt64, lasting: (Int) -> UInt64,
        _ body: (Entry, UnsafeMutablePointer<limpet_affinity_set>, Int32, UInt64) -> Void
    ) {
        guard isUsed else { return }
        for index in 0..<Int(header.pointee.sets) {
            let set = sets + index
            for way in 0..<Int32(LIMPET_AFFINITY_WAYS) {
                let word = limpet_affinity_load(set, way)
                let backend = Int(limpet_affinity_backend(word))
                if backend < 0 { continue }
                let service = Int(limpet_affinity_service(set, way))
                guard isValid(set, way, word, lasting(service), now) else { continue }
                let client = limpet_affinity_client(set, way).endpoint
                let time = limpet_affinity_time(set, way)
                // Else it has changed hands meanwhile.
                let isSame = limpet_affinity_version(limpet_affinity_load(set, way)) == limpet_affinity_version(word)
                guard isSame, let client else { continue }
                body(
                    Entry(
                        service: service, backend: backend, client: client, connections: Int(connections(word)),
                        time: time), set, way, word)
            }
        }
    }
}
