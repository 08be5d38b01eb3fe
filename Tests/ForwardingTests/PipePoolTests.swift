import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

@Suite struct PipePoolTests {
    private func withPool(
        maximum: Int, workers: Int = 1, _ body: (inout PipePool, UnsafeMutablePointer<limpet_worker>) -> Void
    ) {
        let counters = UnsafeMutablePointer<limpet_worker>.allocate(capacity: 1)
        counters.initialize(to: limpet_worker())
        do {
            var pool = PipePool(maximum: maximum, workers: workers, counters: counters)
            body(&pool, counters)
        }
        counters.deallocate()
    }

    @Test func theReserveIsWhatTheNextPipeTakes() {
        withPool(maximum: 1) { pool, _ in
            let reserve = pool.reserve(now: 0)
            #expect(reserve >= 4096)
            guard let pipe = pool.take(now: 0) else {
                Issue.record("no pipe")
                return
            }
            #expect(Int(pipe.capacity) == reserve)
            let bytes = UnsafeMutableRawPointer.allocate(byteCount: reserve, alignment: 16)
            defer { bytes.deallocate() }
            bytes.initializeMemory(as: UInt8.self, repeating: 1, count: reserve)
            #expect(Transfer.write(pipe.write, from: bytes, count: reserve) == .moved(reserve))
            pool.discard(pipe)
        }
    }

    @Test func atTheMaximumThereIsNoneAndItIsCounted() {
        withPool(maximum: 2) { pool, counters in
            let first = pool.take(now: 0)
            let second = pool.take(now: 0)
            #expect(first != nil && second != nil)
            #expect(pool.take(now: 0) == nil)
            #expect(pool.reserve(now: 0) == 0)
            #expect(counters.pointee.pipes == 2)
            #expect(counters.pointee.pipes_held == 2)
            #expect(counters.pointee.pipes_refused == 2)
            if let first { pool.giveBack(first) }
            #expect(pool.reserve(now: 0) > 0)
            #expect(counters.pointee.pipes_held == 1)
            if let second { pool.discard(second) }
            #expect(counters.pointee.pipes == 1)
            #expect(counters.pointee.pipes_held == 0)
        }
    }

    @Test func aPipeThatMayHoldBytesIsNeverHandedOutAgain() {
        withPool(maximum: 8) { pool, _ in
            guard let pipe = pool.take(now: 0) else {
                Issue.record("no pipe")
                return
            }
            var byte: UInt8 = 7
            #expect(Transfer.write(pipe.write, from: &byte, count: 1) == .moved(1))
            pool.discard(pipe)
            guard let next = pool.take(now: 0) else {
                Issue.record("no pipe")
                return
            }
            #expect(Transfer.splice(from: next.read, to: next.write, limit: 1) != .moved(1))
            var buffer: UInt8 = 0
            #expect(Transfer.receivePipe(next.read, into: &buffer) == nil)
            pool.discard(next)
        }
    }

    /// A worker that was given a small pipe once must not read in small bites for ever.
    @Test func aSmallPipeIsReplacedWhenALargerOneCanBeHad() {
        withPool(maximum: 8) { pool, counters in
            guard let first = pool.take(now: 0), let small = try? Pipe.open(capacity: 4096) else {
                Issue.record("no pipe")
                return
            }
            #expect(small.capacity == 4096)
            first.close()
            pool.giveBack(small)  // in the place of the first
            #expect(pool.reserve(now: 0) == Int(PipePool.largest))
            #expect(pool.take(now: 0)?.capacity == PipePool.largest)
            #expect(counters.pointee.pipes == 1)
        }
    }

    /// An ordinary user has 64 MiB of pipes, for all workers and for all that a slow client holds up.
    @Test(arguments: [(1, 8), (2, 8), (16, 2), (64, 1)])
    func theFirstAreLargeAndTheOthersAreNot(workers: Int, large: Int) {
        withPool(maximum: 40, workers: workers) { pool, counters in
            let taken = (0..<25).compactMap { _ in pool.take(now: 0) }
            #expect(taken.map(\.capacity).prefix(large).allSatisfy { $0 == PipePool.largest })
            #expect(taken.map(\.capacity).dropFirst(large).allSatisfy { $0 == PipePool.ordinary })
            // Whatever order they come back in, the next to be taken are the large ones.
            for pipe in taken.shuffled() { pool.giveBack(pipe) }
            #expect(counters.pointee.pipes == 16 && counters.pointee.pipes_held == 0)
            for _ in 0..<large { #expect(pool.take(now: 0)?.capacity == PipePool.largest) }
            #expect(pool.take(now: 0)?.capacity == PipePool.ordinary)
        }
    }

    @Test func smallPipesDoNotPileUp() {
        withPool(maximum: 8) { pool, counters in
            guard let first = pool.take(now: 0), let second = pool.take(now: 0) else {
                Issue.record("no pipe")
                return
            }
            pool.giveBack(first)
            pool.giveBack(Pipe(read: second.read, write: second.write, capacity: 8192))
            #expect(counters.pointee.pipes == 1)
            #expect(pool.reserve(now: 0) == Int(first.capacity))
        }
    }
}

extension Transfer {
    /// One byte out of a pipe; nil: it is empty.
    fileprivate static func receivePipe(_ descriptor: Int32, into byte: inout UInt8) -> UInt8? {
        read(descriptor, &byte, 1) == 1 ? byte : nil
    }
}
