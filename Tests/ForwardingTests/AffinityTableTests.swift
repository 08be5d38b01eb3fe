import Addressing
import CLayout
import Glibc
import Linux
import Stickiness
import Testing

@testable import Forwarding

/// The table of remembered clients, without any worker.
@Suite struct AffinityTableTests {
    private static let second: UInt64 = 1_000_000_000

    /// A region whose records stand for connections.
    private struct Bench {
        let region: SharedRegion
        let table: ForwardingTable
        var affinity: AffinityTable { region.affinity }

        init(entries: Int = 1024, workers: Int = 2, services: [UInt64] = [10 * second]) throws {
            region = try SharedRegion(workers: workers, records: 4096, limit: 4096)
            table = ForwardingTable(
                services: services.map { lasting in
                    ForwardingTable.Service(
                        keyer: SourceKeyer(key: .published, mask: SourceMask(), input: .source),
                        rendezvous: Rendezvous(key: .published, members: []), members: [], options: SocketOptions(),
                        connectTimeout: 0, idleTimeout: 0, halfCloseTimeout: 0, connectAttempts: 1, sendProxy: nil,
                        affinity: lasting)
                })
            affinity.settle(entries: entries, isUsed: true)
            affinity.begin(region, table, now: 0)
        }

        /// A connection of a client to a backend.
        func open(_ slot: Int, _ client: Int, backend: UInt16, worker: Int = 0, now: UInt64, service: UInt16 = 0) {
            let record = region.records(worker) + slot
            limpet_record_clear(record, record.pointee.generation + 1)
            record.pointee.state = UInt8(LIMPET_OPEN)
            record.pointee.descriptor.1 = 0
            record.pointee.service = service
            record.pointee.backend = backend
            record.pointee.client.set(Endpoint(address: IPAddress(v4: UInt32(client)), port: 1))
            record.pointee.source_key = key(client)
            affinity.remember(record, worker, affinity.link(worker, slot), table, now: now, isNew: true)
        }

        func close(_ slot: Int, worker: Int = 0, now: UInt64) {
            affinity.leave(affinity.link(worker, slot), now: now)
            region.records(worker)[slot].state = UInt8(LIMPET_FREE)
        }

        func key(_ client: Int) -> UInt64 {
            table.services[0].keyer.key(for: IPAddress(v4: UInt32(client)), port: 1)
        }

        func backend(_ client: Int, now: UInt64, service: UInt16 = 0) -> UInt16? {
            affinity.backend(
                of: key(client), service: service, lasting: table.affinity(ofService: service), now: now)
        }

        func entries(now: UInt64) -> [AffinityTable.Entry] {
            var found: [AffinityTable.Entry] = []
            let lasting = { (service: Int) in table.affinity(ofService: UInt16(service)) }
            affinity.visit(now: now, lasting: lasting) { found.append($0) }
            return found
        }
    }

    @Test func nobodyIsRememberedBeforeAndAfterItsTime() throws {
        let bench = try Bench()
        let second = AffinityTableTests.second
        #expect(bench.backend(7, now: 0) == nil)
        bench.open(0, 7, backend: 3, now: second)
        #expect(bench.backend(7, now: second) == 3)
        // While it has a connection no time is over.
        #expect(bench.backend(7, now: 1_000_000 * second) == 3)
        bench.close(0, now: 100 * second)
        #expect(bench.backend(7, now: 109 * second) == 3)
        #expect(bench.backend(7, now: 110 * second) == nil)
        #expect(bench.entries(now: 109 * second).count == 1 && bench.entries(now: 110 * second).isEmpty)
        #expect(bench.backend(8, now: second) == nil)
    }

    @Test func theLastConnectionCounts() throws {
        let bench = try Bench()
        let second = AffinityTableTests.second
        for slot in 0..<5 { bench.open(slot, 7, backend: 3, worker: slot % 2, now: second) }
        #expect(bench.entries(now: second).map(\.connections) == [5])
        for slot in 0..<4 { bench.close(slot, worker: slot % 2, now: 2 * second) }
        #expect(bench.backend(7, now: 500 * second) == 3)
        bench.close(4, now: 600 * second)
        // Told again of one that has ended, it stays as it is.
        bench.affinity.leave(bench.affinity.link(0, 4), now: 900 * second)
        #expect(bench.backend(7, now: 609 * second) == 3 && bench.backend(7, now: 611 * second) == nil)
        #expect(bench.affinity.totals(workers: 2) == .init(hits: 4, moves: 0, evictions: 0))
    }

    /// The backend that it was connected to last is the one that it keeps; other services know nothing of it.
    @Test func whoHadToMoveIsRememberedThere() throws {
        let bench = try Bench(services: [10 * AffinityTableTests.second, AffinityTableTests.second])
        bench.open(0, 7, backend: 3, now: 1)
        bench.open(1, 7, backend: 5, now: 2)
        bench.open(2, 7, backend: 9, now: 2, service: 1)
        #expect(bench.backend(7, now: 3) == 5 && bench.backend(7, now: 3, service: 1) == 9)
        bench.close(0, now: 4)
        #expect(bench.backend(7, now: 5) == 5)
        #expect(bench.affinity.totals(workers: 2) == .init(hits: 0, moves: 1, evictions: 0))
        #expect(bench.entries(now: 5).map(\.client.address).allSatisfy { $0 == IPAddress(v4: 7) })
    }

    /// Full, it forgets those that came longest ago, and of these first those that have gone.
    @Test func theLeastRecentlyUsedMakesWay() throws {
        let bench = try Bench(entries: 8, services: [1_000_000 * AffinityTableTests.second])
        #expect(bench.affinity.capacity == 8)
        for client in 0..<8 { bench.open(client, client, backend: UInt16(client), now: UInt64(client) + 1) }
        for client in 4..<8 { bench.close(client, now: 100 - UInt64(client)) }
        // 7 ended first, then 6, 5 and 4; 0 to 3 are connected.
        for (client, gone) in [(10, 7), (11, 6), (12, 5), (13, 4), (14, 0), (15, 1)] {
            #expect(bench.backend(gone, now: 200) != nil, "\(gone)")
            bench.open(client, client, backend: 99, now: 200 + UInt64(client))
            #expect(bench.backend(gone, now: 300) == nil, "\(gone)")
            #expect(bench.backend(client, now: 300) == 99)
        }
        #expect(bench.affinity.totals(workers: 2).evictions == 6)
        #expect(bench.entries(now: 300).count == 8)
        // The ends of those that were forgotten while they were connected concern nobody.
        bench.close(0, now: 400)
        bench.close(1, now: 400)
        #expect(bench.entries(now: 400).filter { $0.connections == 1 }.count == 8)
    }

    /// A new engine counts the connections that there are; what the one before had counted is void.
    @Test func theNextEngineCountsAnew() throws {
        let bench = try Bench()
        let second = AffinityTableTests.second
        for slot in 0..<3 { bench.open(slot, 7, backend: 3, now: second) }
        bench.open(3, 8, backend: 4, now: second)
        // It died before the record said so, before the entry did, and in the middle of an end.
        bench.affinity.link(0, 1).pointee = 0
        bench.region.records(0)[2].end = EndReason.idle.rawValue
        bench.region.records(0)[3].state = UInt8(LIMPET_FREE)
        for _ in 0..<3 {
            bench.affinity.begin(bench.region, bench.table, now: 2 * second)
            #expect(bench.entries(now: 2 * second).first { $0.backend == 3 }?.connections == 3)
            #expect(bench.entries(now: 2 * second).first { $0.backend == 4 }?.connections == 0)
        }
        for slot in 0..<3 { bench.close(slot, now: 3 * second) }
        #expect(bench.backend(7, now: 12 * second) == 3 && bench.backend(7, now: 13 * second) == nil)
        #expect(bench.backend(8, now: 12 * second) == nil)
    }

    /// An entry that was being filled at a death is free for the next.
    @Test func whatWasHalfDoneIsFree() throws {
        let bench = try Bench(entries: 8)
        for client in 0..<8 { bench.open(client, client, backend: 1, now: 1) }
        let set = bench.affinity.sets
        for way in 0..<Int32(8) {
            #expect(
                limpet_affinity_claim(set, way, limpet_affinity_load(set, way), bench.affinity.header.pointee.epoch))
        }
        bench.open(8, 20, backend: 2, now: 2)
        #expect(bench.backend(20, now: 3) == nil, "somebody is at each of them")
        for slot in 0..<8 { bench.region.records(0)[slot].state = UInt8(LIMPET_FREE) }
        bench.affinity.begin(bench.region, bench.table, now: 3)
        #expect(bench.backend(20, now: 3) == 2)
        for client in 30..<37 { bench.open(client, client, backend: 2, now: 4) }
        #expect(bench.entries(now: 5).count == 8)
        #expect(bench.affinity.totals(workers: 2).evictions == 0)
    }

    /// The turns of engines are numbered anew after 4,095: nothing of an old one of the same number counts.
    @Test func turnsThatComeRoundAgain() throws {
        let bench = try Bench()
        bench.open(0, 7, backend: 3, now: 1)
        bench.region.records(0)[0].state = UInt8(LIMPET_FREE)
        let turn = bench.affinity.header.pointee.epoch
        repeat {
            bench.affinity.begin(bench.region, bench.table, now: 2)
        } while bench.affinity.header.pointee.epoch != turn
        #expect(bench.entries(now: 2).map(\.connections) == [0])
    }

    @Test func whoIsForgottenIsGone() throws {
        let bench = try Bench()
        for client in 0..<100 { bench.open(client, client, backend: UInt16(client % 3), now: 1) }
        let forgotten = bench.affinity.forgetAll { $0.backend == 1 }
        #expect(forgotten == 33 && bench.entries(now: 2).count == 67)
        #expect(bench.backend(1, now: 2) == nil && bench.backend(2, now: 2) == 2)
        bench.affinity.forget(bench.affinity.link(0, 2))
        #expect(bench.backend(2, now: 2) == nil)
        bench.affinity.forget(backends: [0], services: [])
        #expect(bench.entries(now: 2).allSatisfy { $0.backend == 2 } && bench.entries(now: 2).count == 32)
        for client in 0..<100 { bench.close(client, now: 3) }
        bench.affinity.forget(backends: [], services: [0])
        #expect(bench.entries(now: 3).isEmpty)
    }

    /// A client that came to two workers at the same moment has two entries: neither hides the other.
    @Test(arguments: [0, 1]) func whoHasTwoEntriesIsNotForgotten(_ last: Int32) throws {
        let bench = try Bench(entries: 8)
        let second = AffinityTableTests.second
        bench.open(0, 8, backend: 3, now: second)
        bench.open(1, 7, backend: 5, now: second)
        let (set, epoch) = (bench.affinity.sets, bench.affinity.header.pointee.epoch)
        // Each found nothing while the other filled: both have been filled in the end.
        var client = limpet_affinity_client(set, 1)
        for way in 0..<Int32(2) {
            #expect(limpet_affinity_claim(set, way, limpet_affinity_load(set, way), epoch))
            limpet_affinity_fill(
                set, way, limpet_affinity_key(bench.key(7), 0), &client, 0, 3 + 2 * way, second)
        }
        // The connection of one of them ends, and long after that the other's.
        func end(_ way: Int32, _ now: UInt64) {
            let word = limpet_affinity_load(set, way)
            let next = limpet_affinity_word(
                limpet_affinity_version(word), epoch, 0, limpet_affinity_backend(word))
            limpet_affinity_stamp(set, way, now)
            #expect(limpet_affinity_exchange(set, way, word, next))
        }
        let backend = UInt16(3 + 2 * last)
        end(1 - last, 2 * second)
        #expect(bench.backend(7, now: 100 * second) == backend)
        end(last, 200 * second)
        #expect(bench.backend(7, now: 209 * second) == backend && bench.backend(7, now: 210 * second) == nil)
    }

    /// Several at once in a table that is far too small: everybody's count is right in the end, and nobody waits.
    @Test func workersThatMeetInOneSet() async throws {
        let bench = try Bench(entries: 16, workers: 4, services: [1_000_000 * AffinityTableTests.second])
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for round in 0..<3000 {
                        let (slot, client) = (round % 8, (round * 7 + worker) % 24)
                        bench.open(slot, client, backend: UInt16(client), worker: worker, now: UInt64(round + 1))
                        if let backend = bench.backend(client, now: UInt64(round + 1)) {
                            #expect(Int(backend) == client)
                        }
                        bench.close(slot, worker: worker, now: UInt64(round + 1))
                    }
                }
            }
        }
        let left = bench.entries(now: 30_000)
        #expect(!left.isEmpty && left.count <= 16)
        #expect(left.allSatisfy { $0.connections == 0 && Int($0.client.address.low) == $0.backend })
    }
}
