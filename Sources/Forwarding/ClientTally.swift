import Addressing
import Linux

/// How many connections each client has, and how fast it opens them: a client is an IPv4 address or an IPv6 /64, and all
/// of a /48 together count as sixteen clients.
///
/// Any thread may use it. It is asked only where a service limits its clients: then an accept and an end take a lock, one
/// of many, for as long as a look into a table takes. Its memory follows the number of clients that have connections or
/// came within the last second.
final class ClientTally: Sendable {
    /// What may not be exceeded; 0: no limit.
    struct Limits: Equatable {
        var connections: UInt32
        /// Connections a second, and as many at once.
        var rate: UInt32

        var areOff: Bool { connections == 0 && rate == 0 }
    }

    enum Refusal: Equatable {
        case tooMany
        case tooFast
    }

    /// Clients that a /48 counts as.
    static let clientsInASite: UInt32 = 16

    private struct Key: Hashable {
        var network: UInt64
        var service: UInt16
        /// 4: an IPv4 address; 64 and 48: so many bits of an IPv6 address.
        var kind: UInt8
    }

    private struct Entry {
        var connections: UInt32 = 0
        /// ns; the arrival at which the rate would just be kept, had all arrivals been evenly spaced.
        var due: UInt64 = 0
    }

    private struct Shard {
        var entries: [Key: Entry] = [:]
        /// Entries at which those are looked for that say nothing any more.
        var sweepAt = 64
    }

    private let shards = (0..<64).map { _ in Locked(Shard()) }

    /// A client comes. Where nil is returned it is counted, and ``leave(_:service:)`` has to follow if connections are limited.
    /// - Parameters:
    ///   - address: not an IPv4 address in IPv6.
    ///   - now: ns.
    func enter(_ address: IPAddress, service: UInt16, limits: Limits, now: UInt64) -> Refusal? {
        let keys = ClientTally.keys(address, service)
        if let refusal = take(keys.client, limits, now) { return refusal }
        guard let site = keys.site else { return nil }
        let wide = Limits(
            connections: limits.connections.multipliedSaturating(by: ClientTally.clientsInASite),
            rate: limits.rate.multipliedSaturating(by: ClientTally.clientsInASite))
        if let refusal = take(site, wide, now) {
            giveBack(keys.client, limits)
            return refusal
        }
        return nil
    }

    /// Counts a connection that exists, whatever the limit.
    func add(_ address: IPAddress, service: UInt16) {
        let keys = ClientTally.keys(address, service)
        for key in [keys.client, keys.site].compactMap({ $0 }) {
            shard(key).with { $0.entries[key, default: Entry()].connections += 1 }
        }
    }

    /// A connection that was counted has ended.
    func leave(_ address: IPAddress, service: UInt16) {
        let keys = ClientTally.keys(address, service)
        for key in [keys.client, keys.site].compactMap({ $0 }) {
            shard(key).with { shard in
                guard var entry = shard.entries[key], entry.connections > 0 else { return }
                entry.connections -= 1
                shard.entries[key] = entry.connections == 0 && entry.due == 0 ? nil : entry
            }
        }
    }

    /// Clients that something is remembered of.
    var count: Int { shards.reduce(0) { $0 + $1.with { $0.entries.count } } }

    private func shard(_ key: Key) -> Locked<Shard> {
        shards[Int(truncatingIfNeeded: UInt(bitPattern: key.hashValue) % 64)]
    }

    private func take(_ key: Key, _ limits: Limits, _ now: UInt64) -> Refusal? {
        shard(key).with { shard in
            var entry = shard.entries[key] ?? Entry()
            if limits.connections != 0, entry.connections >= limits.connections { return .tooMany }
            if limits.rate != 0 {
                let second: UInt64 = 1_000_000_000
                let next = max(entry.due, now) + second / UInt64(limits.rate)
                if next - now > second { return .tooFast }
                entry.due = next
            }
            if limits.connections != 0 { entry.connections += 1 }
            shard.entries[key] = entry
            if shard.entries.count > shard.sweepAt {
                shard.entries = shard.entries.filter { $0.value.connections > 0 || $0.value.due > now }
                shard.sweepAt = max(64, 2 * shard.entries.count)
            }
            return nil
        }
    }

    /// The client did not come in after all. What it used of its rate stays used.
    private func giveBack(_ key: Key, _ limits: Limits) {
        guard limits.connections != 0 else { return }
        shard(key).with { $0.entries[key]?.connections -= 1 }
    }

    private static func keys(_ address: IPAddress, _ service: UInt16) -> (client: Key, site: Key?) {
        if address.family == .v4 { return (Key(network: address.low, service: service, kind: 4), nil) }
        if address.family == .user { return (Key(network: address.low, service: service, kind: 1), nil) }
        return (
            Key(network: address.high, service: service, kind: 64),
            Key(network: address.high & ~0xffff, service: service, kind: 48)
        )
    }
}

extension UInt32 {
    fileprivate func multipliedSaturating(by other: UInt32) -> UInt32 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}
