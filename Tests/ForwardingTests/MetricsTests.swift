import CLayout
import Testing

@testable import Forwarding

/// What is counted in the region, and what its bounds mean.
@Suite struct MetricsTests {
    @Test func timesFallIntoTheBucketWhoseBoundTheyDoNotExceed() throws {
        let region = try SharedRegion(workers: 2, records: 1, limit: 1)
        let ends = region.metrics(ofWorker: 0).pointer(to: \.duration)!
        limpet_observe_duration(ends, 0)
        limpet_observe_duration(ends, 10000)
        limpet_observe_duration(ends, 10001)
        limpet_observe_duration(region.metrics(ofWorker: 1).pointer(to: \.duration)!, 604_800_000_001)
        let durations = region.connectionDurations()
        #expect(durations.bounds.first == 0.01 && durations.bounds.last == 604800)
        #expect(durations.counts == [2, 1] + [UInt64](repeating: 0, count: 12) + [1])
        #expect(durations.count == 4)
        #expect(abs(durations.sum - 604800.020002) < 1e-6)

        limpet_observe_connect(region.metrics(1, backend: 3).pointer(to: \.connect)!, 101)
        let connects = region.connectDurations(ofBackend: 3)
        #expect(connects.bounds.first == 0.0001 && connects.bounds.last == 30)
        #expect(connects.counts[1] == 1 && connects.count == 1)
        #expect(region.connectDurations(ofBackend: 4).count == 0)
        for bounds in [durations.bounds, connects.bounds] {
            #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    @Test func whatASlotHadCountedGoesWithIt() throws {
        let region = try SharedRegion(workers: 2, records: 1, limit: 1)
        for slot in [4, 5] {
            limpet_observe_connect(region.metrics(1, backend: slot).pointer(to: \.connect)!, 1)
            limpet_refused(region.metrics(1, listener: slot), Int32(EndReason.noBackend.rawValue)).pointee = 7
            limpet_state_changes(region.history(slot), 2).pointee = 3
        }
        region.clearMetrics(ofBackend: 4)
        region.clearMetrics(ofListener: 4)
        #expect(region.connectDurations(ofBackend: 4).count == 0 && region.connectDurations(ofBackend: 5).count == 1)
        #expect(region.refused(byListener: 4, .noBackend) == 0 && region.refused(byListener: 5, .noBackend) == 7)
        #expect(region.history(4).pointee.state_changes.2 == 0 && region.history(5).pointee.state_changes.2 == 3)
    }

    @Test(arguments: [1, 2, 2047, 2048, 123_456, 3_600_000_000, 4_000_000_000_000] as [UInt64])
    func aPackedTimeIsTrueToAThousandth(_ microseconds: UInt64) {
        let unpacked = limpet_unpack_time(limpet_pack_time(microseconds))
        #expect(unpacked <= microseconds && microseconds - unpacked <= microseconds / 1000)
    }

    @Test func noTimeAtAllIsOneMicrosecondAndTooMuchIsTheMost() {
        #expect(limpet_pack_time(0) == 1)
        #expect(limpet_pack_time(.max) == 0xffff)
    }

    /// They lie in a table of the region, and logs and dashboards go by their words.
    @Test func everyReasonHasAPlaceAndAWordOfItsOwn() {
        #expect(EndReason.allCases.allSatisfy { Int($0.rawValue) < Int(LIMPET_END_REASONS) })
        #expect(Set(EndReason.allCases.map(\.word)).count == EndReason.allCases.count)
        #expect(EndReason.allCases.prefix(25).map(\.rawValue) == Array(1...25))
        #expect(EndReason.proxyHeader.rawValue == 27 && EndReason.proxyUntrusted.rawValue == 28)
        #expect(EndReason.sourcePorts.rawValue == 29)
    }
}
