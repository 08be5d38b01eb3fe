import CLayout
import Linux
import Testing

@testable import Forwarding

/// The arithmetic alone, where real sockets are hard to bring into the state.
@Suite struct ReckoningTests {
    private typealias Scratch = Reckoning.Scratch

    private func reckoning(
        _ state: TCPCounters.State, taken: UInt64, written: UInt64, piped: UInt64 = 0, unread: Int = 0,
        header: UInt64 = 0, scratch: Reckoning.Scratch? = nil, hasError: Bool = false, hasOwnFIN: Bool = false
    ) -> Reckoning {
        Reckoning(
            source: TCPCounters(state: state, taken: taken, put: 0, unread: unread), sourceHasError: hasError,
            sourceHasOwnFIN: hasOwnFIN, written: written, header: header, piped: piped, scratch: scratch)
    }

    @Test func theHeaderIsNoPartOfWhatTheClientSent() {
        let waiting = reckoning(.established, taken: 0, written: 0, piped: 40, header: 40)
        #expect(waiting.verdict() == .whole && waiting.delivered == 0 && waiting.headerLeft == 40)
        let half = reckoning(.established, taken: 0, written: 25, piped: 15, header: 40)
        #expect(half.verdict() == .whole && half.delivered == 0 && half.headerLeft == 15)
        let gone = reckoning(.established, taken: 30, written: 60, piped: 10, header: 40)
        #expect(gone.verdict() == .whole && gone.delivered == 20 && gone.headerLeft == 0)
        #expect(reckoning(.established, taken: 0, written: 25, piped: 14, header: 40).verdict() == .unknown)
        let rest = reckoning(
            .established, taken: 30, written: 45, header: 40, scratch: Scratch(base: 0, length: 30))
        #expect(rest.verdict() == .unsent(from: 5, count: 25))
    }

    @Test func aFINOfTheSourceIsNoByte() {
        #expect(reckoning(.closeWait, taken: 11, written: 10).verdict() == .whole)
        #expect(reckoning(.closeWait, taken: 12, written: 10).verdict() == .unknown)
        #expect(
            reckoning(.closeWait, taken: 11, written: 4, scratch: Scratch(base: 0, length: 10)).verdict()
                == .unsent(from: 4, count: 6))
        #expect(
            reckoning(.closeWait, taken: 11, written: 4, scratch: Scratch(base: 4, length: 0)).verdict()
                == .unsent(from: 0, count: 6))
    }

    @Test func aClosedSourceMayHaveSentAFINOrNot() {
        for taken: UInt64 in [10, 11] {
            #expect(reckoning(.close, taken: taken, written: 10).verdict() == .whole)
            #expect(
                reckoning(.close, taken: taken, written: 4, scratch: Scratch(base: 0, length: 10)).verdict()
                    == .unsent(from: 4, count: 6))
        }
        #expect(reckoning(.close, taken: 12, written: 10).verdict() == .unknown)
        #expect(reckoning(.close, taken: 9, written: 10).verdict() == .unknown)
    }

    /// A read that was not noted, from a source that is closed by now.
    @Test func theLastReadOfAClosedSource() {
        let scratch = Scratch(base: 10, length: 0)
        // Both FINs were exchanged.
        #expect(reckoning(.close, taken: 11, written: 10, scratch: scratch, hasOwnFIN: true).verdict() == .whole)
        #expect(
            reckoning(.close, taken: 14, written: 10, scratch: scratch, hasOwnFIN: true).verdict()
                == .unsent(from: 0, count: 3))
        // A reset that was read: that read brought nothing.
        #expect(reckoning(.close, taken: 10, written: 10, scratch: scratch).verdict() == .whole)
        #expect(reckoning(.close, taken: 11, written: 10, scratch: scratch).verdict() == .whole)
        #expect(reckoning(.close, taken: 12, written: 10, scratch: scratch).verdict() == .unknown)
        // A reset that was not read: one byte more or less cannot be told.
        #expect(reckoning(.close, taken: 10, written: 10, scratch: scratch, hasError: true).verdict() == .whole)
        #expect(reckoning(.close, taken: 14, written: 10, scratch: scratch, hasError: true).verdict() == .unknown)
    }

    @Test func nothingBeyondWhatTheScratchHeldIsEverSent() {
        let scratch = Scratch(base: 100, length: 50)
        #expect(reckoning(.established, taken: 150, written: 99, scratch: scratch).verdict() == .unknown)
        #expect(reckoning(.established, taken: 150, written: 151, scratch: scratch).verdict() == .unknown)
        #expect(reckoning(.established, taken: 150, written: 100, piped: 51, scratch: scratch).verdict() == .unknown)
        #expect(
            reckoning(.established, taken: 150, written: 120, piped: 20, scratch: scratch).verdict()
                == .unsent(from: 40, count: 10))
        let unnoted = Scratch(base: 100, length: 0)
        #expect(
            reckoning(
                .established, taken: 101 + UInt64(LIMPET_SCRATCH_BYTES), written: 100, scratch: unnoted
            ).verdict() == .unknown)
    }

    @Test func lookedAt() {
        let scratch = Scratch(base: 100, length: 50, isPeeked: true)
        #expect(reckoning(.established, taken: 100, written: 100, unread: 50, scratch: scratch).verdict() == .whole)
        #expect(
            reckoning(.established, taken: 100, written: 130, unread: 50, scratch: scratch).verdict()
                == .sentButNotTaken(30))
        #expect(reckoning(.established, taken: 130, written: 130, unread: 20, scratch: scratch).verdict() == .whole)
        #expect(reckoning(.established, taken: 110, written: 130, unread: 40, scratch: scratch).verdict() == .unknown)
        #expect(reckoning(.established, taken: 100, written: 151, unread: 60, scratch: scratch).verdict() == .unknown)
        #expect(
            reckoning(.closeWait, taken: 101, written: 130, unread: 50, scratch: scratch).verdict()
                == .sentButNotTaken(30))
        // One byte of a closed source: taken, or the FIN?
        #expect(
            reckoning(.close, taken: 101, written: 101, unread: 49, scratch: scratch, hasOwnFIN: true).verdict()
                == .sentButNotTaken(1))
        #expect(
            reckoning(.close, taken: 101, written: 101, unread: 49, scratch: scratch, hasError: true).verdict()
                == .unknown)
    }
}
