import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// A worker dies while a connection ends: FIN and RST travel on as they came.
@Suite(.timeLimit(.minutes(1))) struct RecoveredEndsTests {
    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 11 &+ 5) } }

    private func become(_ descriptor: Int32, _ states: Set<TCPCounters.State>) -> Bool {
        eventually { (try? TCPCounters(descriptor)).map { states.contains($0.state) } ?? false }
    }

    // MARK: FIN

    /// - Parameter step: 0: the end was read, 1: and noted, 2: and passed on, 3: and that noted.
    @Test(arguments: [0, 1], [0, 1, 2, 3]) func aFINIsPassedOnOnce(direction: Int, step: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.source(direction).shutdown()
        #expect(become(scene.nearSource(direction), [.closeWait]))
        var byte: UInt8 = 0
        #expect(Transfer.receive(scene.nearSource(direction), into: &byte, limit: 1) == .endOfFile)
        if step > 0 { scene.way(direction).pointee.flags |= UInt16(LIMPET_DIRECTION_EOF.rawValue) }
        if step > 1 { StreamSocket.shutdownWrite(scene.nearSink(direction)) }
        if step > 2 { scene.way(direction).pointee.flags |= UInt16(LIMPET_DIRECTION_SHUT.rawValue) }
        try scene.revive()
        #expect(scene.sink(direction).receiveToEnd() == ([], .fin))
        #expect(eventually { scene.state == LIMPET_HALF_CLOSED })
        // The other direction is as it was.
        #expect(scene.sink(direction).send(text(300)))
        #expect(scene.source(direction).receive(300) == text(300))
        scene.sink(direction).shutdown()
        #expect(scene.source(direction).receiveToEnd() == ([], .fin))
        scene.expectGone()
        scene.end()
    }

    @Test(arguments: [0, 1], [true, false]) func bytesInTheScratchComeBeforeTheFIN(direction: Int, isNoted: Bool) throws
    {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500), isNoted: isNoted)
        scene.source(direction).shutdown()
        #expect(become(scene.nearSource(direction), [.closeWait]))
        try scene.revive()
        #expect(scene.sink(direction).receiveToEnd() == (text(500), .fin))
        #expect(scene.sink(direction).send(text(10)))
        #expect(scene.source(direction).receive(10) == text(10))
        scene.end()
    }

    /// The backend has taken the FIN and closed before the next engine is there.
    @Test(arguments: [0, 1], [false, true]) func bothFINsWhileNobodyWasThere(direction: Int, isFlagged: Bool) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500))
        scene.sendFromScratch(direction, 0..<500, isCounted: true)
        scene.own.pointee.scratch_slot = .max
        scene.source(direction).shutdown()
        #expect(become(scene.nearSource(direction), [.closeWait]))
        scene.way(direction).pointee.flags |= UInt16(LIMPET_DIRECTION_EOF.rawValue)
        StreamSocket.shutdownWrite(scene.nearSink(direction))
        if isFlagged { scene.way(direction).pointee.flags |= UInt16(LIMPET_DIRECTION_SHUT.rawValue) }
        #expect(scene.sink(direction).send(text(20)))
        scene.sink(direction).shutdown()
        #expect(become(scene.nearSink(direction), [.close]))
        try scene.revive()
        #expect(scene.sink(direction).receiveToEnd() == (text(500), .fin))
        #expect(scene.source(direction).receiveToEnd() == (text(20), .fin))
        scene.expectGone()
        #expect(scene.incidentKinds().isEmpty)
        scene.end()
    }

    // MARK: RST

    /// - Parameter isFlagged: whether the dead worker had noted the end of file that a reset passes for.
    @Test(arguments: [0, 1], [false, true]) func aResetThatWasTakenOutOfTheSocket(side: Int, isFlagged: Bool) throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.source(side).reset()
        #expect(become(scene.nearSource(side), [.close]))
        var byte: UInt8 = 0
        #expect(Transfer.receive(scene.nearSource(side), into: &byte, limit: 1) == .failed(.connectionReset))
        if isFlagged { scene.way(side).pointee.flags |= UInt16(LIMPET_DIRECTION_EOF.rawValue) }
        try scene.revive()
        #expect(scene.sink(side).receiveToEnd() == ([], .reset))
        scene.expectGone()
        scene.end()
    }

    /// A reset after our FIN looks exactly like an orderly end, but that the peer's FIN was never counted.
    @Test(arguments: [0, 1]) func aResetThatWasTakenAfterOurFIN(side: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        // The other side has closed its direction, and that was passed on.
        scene.sink(side).shutdown()
        #expect(become(scene.nearSink(side), [.closeWait]))
        StreamSocket.shutdownWrite(scene.nearSource(side))
        scene.way(1 - side).pointee.flags |= UInt16(
            LIMPET_DIRECTION_EOF.rawValue | LIMPET_DIRECTION_SHUT.rawValue)
        scene.record.pointee.state = UInt8(LIMPET_HALF_CLOSED)
        #expect(scene.source(side).receiveToEnd() == ([], .fin))
        scene.source(side).reset()
        #expect(become(scene.nearSource(side), [.close]))
        var byte: UInt8 = 0
        #expect(Transfer.receive(scene.nearSource(side), into: &byte, limit: 1) == .failed(.connectionReset))
        try scene.revive()
        #expect(scene.sink(side).receiveToEnd() == ([], .reset))
        scene.expectGone()
        scene.end()
    }

    @Test(arguments: [0, 1]) func aResetThatStillWaits(side: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        #expect(scene.source(side).send(text(100)))
        #expect(scene.arrived(side, 100))
        scene.source(side).reset()
        #expect(become(scene.nearSource(side), [.close]))
        try scene.revive()
        // What it had sent is delivered first.
        #expect(scene.sink(side).receiveToEnd() == (text(100), .reset))
        scene.expectGone()
        scene.end()
    }

    @Test(arguments: [0, 1]) func aResetWithBytesInTheScratch(side: Int) throws {
        let scene = try Scene()
        scene.readIntoScratch(side, text(500))
        scene.sendFromScratch(side, 0..<100, isCounted: false)
        scene.source(side).reset()
        #expect(become(scene.nearSource(side), [.close]))
        try scene.revive()
        #expect(scene.sink(side).receiveToEnd() == (text(500), .reset))
        scene.expectGone()
        scene.end()
    }

    /// The receiver was reset, and the news taken by the send that failed.
    @Test(arguments: [0, 1]) func theReceiverOfTheScratchWasReset(direction: Int) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500))
        scene.sink(direction).reset()
        #expect(become(scene.nearSink(direction), [.close]))
        #expect(
            Transfer.send(scene.nearSink(direction), from: scene.region.scratch(0), count: 500)
                == .failed(.connectionReset))
        try scene.revive()
        #expect(scene.source(direction).receiveToEnd() == ([], .reset))
        scene.expectGone()
        scene.end()
    }

    /// - Parameter step: how far `sideReset` had come.
    @Test(arguments: [0, 1], [0, 1, 2]) func aResetThatWasBeingPassedOn(side: Int, step: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        #expect(scene.source(side).send(text(100)))
        #expect(scene.arrived(side, 100))
        scene.source(side).reset()
        #expect(become(scene.nearSource(side), [.close]))
        scene.record.pointee.flags |= UInt8(side == 0 ? LIMPET_RESET_BACKEND : LIMPET_RESET_CLIENT)
        if step > 0 { scene.way(1 - side).pointee.flags |= UInt16(LIMPET_DIRECTION_DEAD.rawValue) }
        if step > 1 { scene.unwatch(side) }
        try scene.revive()
        #expect(scene.sink(side).receiveToEnd() == (text(100), .reset))
        scene.expectGone()
        scene.end()
    }

    // MARK: By order

    @Test(arguments: [0, 1, 2]) func closingByOrderGoesOn(step: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        #expect(scene.client.send(text(100)))
        #expect(scene.arrived(0, 100))
        scene.record.pointee.deadline = Clock.now() + 5_000_000_000
        scene.record.pointee.state = UInt8(LIMPET_CLOSING)
        if step > 0 { scene.way(0).pointee.flags |= UInt16(LIMPET_DIRECTION_DISCARD.rawValue) }
        if step > 1 {
            #expect(Transfer.discard(scene.toClient, limit: 40) == .moved(40))
            StreamSocket.shutdownWrite(scene.toServer)
        }
        try scene.revive()
        // What had not been read is dropped, and each side sees a FIN.
        for peer in [scene.client, scene.server] {
            #expect(peer.receiveToEnd() == ([], .fin))
            peer.shutdown()
        }
        scene.expectGone()
        #expect(scene.incidentKinds().isEmpty)
        scene.end()
    }

    // MARK: Finishing

    enum Step: Int, CaseIterable, Sendable {
        case flagged, dropped, doomed, unnamed
    }

    @Test(arguments: Step.allCases, [false, true]) func finishingIsFinished(step: Step, resetting: Bool) throws {
        let scene = try Scene()
        let pipe = try scene.namePipe(0)
        let writingEnd = dup(pipe.write)
        defer { Descriptor.close(writingEnd) }
        #expect(scene.client.send(text(100)))
        #expect(scene.arrived(0, 100))
        #expect(Transfer.splice(from: scene.toClient, to: pipe.write, limit: 65536) == .moved(100))
        let record = scene.record
        record.pointee.direction.0.pipe_bytes = 100
        record.pointee.flags |= UInt8(LIMPET_FINISHING)
        if resetting { record.pointee.flags |= UInt8(LIMPET_FINISH_RESET_CLIENT | LIMPET_FINISH_RESET_BACKEND) }
        if step.rawValue > 0 {
            limpet_name_pipe(&record.pointee.direction.0, -1, -1)
            pipe.close()
        }
        if step.rawValue > 1 {
            for descriptor in [scene.toClient, scene.toServer] {
                if resetting {
                    StreamSocket.resetOnClose(descriptor)
                } else {
                    StreamSocket.shutdownWrite(descriptor)
                }
            }
        }
        if step.rawValue > 2 {
            record.pointee.sequence = 1
            record.pointee.descriptor = (-1, -1)
        }
        try scene.revive()
        if step == .unnamed {
            // Nothing names them: the sweep's business.
            Descriptor.close(scene.toClient)
            Descriptor.close(scene.toServer)
        }
        for peer in [scene.client, scene.server] {
            let (bytes, end) = peer.receiveToEnd()
            #expect(bytes.isEmpty)
            #expect(end == (resetting ? .reset : .fin))
        }
        scene.expectGone()
        #expect(record.pointee.sequence % 2 == 0)
        // Nobody can read from the pipe any more.
        #expect(StreamSocket.hasError(writingEnd))
        scene.end()
    }

    @Test func aSlotThatWasJustFreedIsFree() throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.record.pointee.sequence = 7
        scene.record.pointee.descriptor = (-1, -1)
        scene.record.pointee.state = UInt8(LIMPET_FREE)
        try scene.revive()
        #expect(scene.record.pointee.sequence == 8)
        Descriptor.close(scene.toClient)
        Descriptor.close(scene.toServer)
        scene.expectGone()
        scene.end()
    }

    // MARK: Three faults

    @Test(arguments: [2, 3]) func theThirdFaultInARowResetsThatConnectionAlone(faults: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.own.pointee.fault_slot = 0
        scene.own.pointee.fault_generation = 1
        scene.own.pointee.fault_count = UInt32(faults)
        try scene.revive()
        if faults < 3 {
            scene.expectCarries()
            #expect(scene.own.pointee.fault_count == UInt32(faults))
        } else {
            for peer in [scene.client, scene.server] { #expect(peer.receiveToEnd() == ([], .reset)) }
            scene.expectGone()
            #expect(scene.own.pointee.fault_count == 0)
            #expect(scene.incidents.takeAll().keys.map(\.connection) == [1])
        }
        scene.end()
    }

    @Test func faultsOfAnotherConnectionDoNotCount() throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.own.pointee.fault_slot = 0
        scene.own.pointee.fault_generation = 7
        scene.own.pointee.fault_count = 5
        try scene.revive()
        scene.expectCarries()
        scene.end()
    }
}
