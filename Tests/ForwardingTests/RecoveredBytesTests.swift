import CLayout
import Glibc
import Linux
import Testing

@testable import Forwarding

/// A worker dies with bytes on their way: not one is lost, none comes twice, none of another's is sent.
@Suite(.timeLimit(.minutes(1))) struct RecoveredBytesTests {
    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) } }

    @Test func aConnectionThatNobodyHadInHandGoesOn() throws {
        let scene = try Scene()
        #expect(scene.client.send(text(100)))
        try scene.revive()
        #expect(scene.server.receive(100) == text(100))
        scene.expectCarries()
        #expect(scene.comesToCount(0, 1100) && scene.comesToCount(1, 1000))
        scene.end()
    }

    @Test(arguments: [0, 1], [true, false]) func bytesThatAreInTheScratchAlone(direction: Int, isNoted: Bool) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500), isNoted: isNoted)
        try scene.revive()
        #expect(scene.sink(direction).receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 1500))
        #expect(
            eventually { limpet_backend_bytes(scene.region.counters(0, backend: 0), Int32(direction)).pointee == 1500 })
        scene.end()
    }

    @Test(arguments: [0, 1], [true, false]) func someOfThemWereSent(direction: Int, isCounted: Bool) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500))
        scene.sendFromScratch(direction, 0..<123, isCounted: isCounted)
        try scene.revive()
        #expect(scene.sink(direction).receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 1500))
        scene.end()
    }

    @Test(arguments: [0, 1], [true, false]) func allOfThemWereSent(direction: Int, isCounted: Bool) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500))
        scene.sendFromScratch(direction, 0..<500, isCounted: isCounted)
        try scene.revive()
        #expect(scene.sink(direction).receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 1500))
        scene.end()
    }

    /// The connection had carried bytes before, and more had come meanwhile.
    @Test(arguments: [0, 1]) func inTheMiddleOfAConversation(direction: Int) throws {
        let scene = try Scene()
        try scene.revive()
        scene.expectCarries()
        scene.stop()
        scene.readIntoScratch(direction, text(500))
        scene.sendFromScratch(direction, 0..<10, isCounted: true)
        #expect(scene.source(direction).send(text(50)))
        try scene.revive()
        #expect(scene.sink(direction).receive(550) == text(500) + text(50))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 2550))
        scene.end()
    }

    @Test func aFullScratch() throws {
        let scene = try Scene()
        scene.readIntoScratch(0, text(65536))
        try scene.revive()
        #expect(scene.server.receive(65536) == text(65536))
        scene.expectCarries()
        scene.end()
    }

    /// The receiver takes no more: the rest waits in a pipe, and nothing is read meanwhile.
    @Test(arguments: [0, 1]) func theReceiverIsFull(direction: Int) throws {
        let scene = try Scene()
        let sent = scene.fillSink(direction) { UInt8(truncatingIfNeeded: $0 &* 13) }
        #expect(scene.delivered(direction) <= sent.count)
        try scene.revive()
        #expect(scene.way(direction).pointee.pipe_read >= 0)
        #expect(scene.own.pointee.pipes_held == 1)
        #expect(scene.sink(direction).receive(sent.count) == sent)
        scene.expectCarries()
        #expect(eventually { scene.way(direction).pointee.pipe_read < 0 })
        #expect(scene.comesToCount(direction, sent.count + 1000))
        scene.end()
    }

    @Test(arguments: [0, 1], [0, 200, 500]) func bytesInAPipe(direction: Int, sent: Int) throws {
        let scene = try Scene()
        let pipe = try scene.namePipe(direction)
        #expect(scene.source(direction).send(text(500)))
        #expect(scene.arrived(direction, 500))
        #expect(Transfer.splice(from: scene.nearSource(direction), to: pipe.write, limit: 65536) == .moved(500))
        if sent > 0 {
            #expect(Transfer.splice(from: pipe.read, to: scene.nearSink(direction), limit: sent) == .moved(sent))
        }
        // Nothing was written down.
        try scene.revive()
        #expect(scene.sink(direction).receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 1500))
        #expect(eventually { scene.own.pointee.pipes_held == 0 })
        scene.end()
    }

    @Test(arguments: [0, 1]) func aPipeThatWasOnlyNamed(direction: Int) throws {
        let scene = try Scene()
        _ = try scene.namePipe(direction)
        try scene.revive()
        scene.expectCarries()
        #expect(eventually { scene.way(direction).pointee.pipe_read < 0 })
        scene.end()
    }

    /// The rest of the scratch was being put into a pipe.
    @Test(arguments: [0, 1], [0, 100, 400]) func halfInThePipe(direction: Int, piped: Int) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500))
        scene.sendFromScratch(direction, 0..<100, isCounted: true)
        let pipe = try scene.namePipe(direction)
        if piped > 0 {
            #expect(Transfer.write(pipe.write, from: scene.region.scratch(0) + 100, count: piped) == .moved(piped))
        }
        try scene.revive()
        #expect(scene.sink(direction).receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 1500))
        scene.end()
    }

    @Test(arguments: [0, 1], [0, 300, 500]) func bytesThatWereSentAndNotTaken(direction: Int, sent: Int) throws {
        let scene = try Scene()
        scene.takeInHand()
        #expect(scene.source(direction).send(text(500)))
        #expect(scene.arrived(direction, 500))
        #expect(
            Transfer.peek(scene.nearSource(direction), into: scene.region.scratch(0), limit: 65536) == .moved(500))
        scene.own.pointee.scratch_slot = 0
        scene.own.pointee.scratch_generation = 1
        scene.own.pointee.scratch_direction = UInt32(direction | LIMPET_PEEKED)
        scene.own.pointee.scratch_length = 500
        if sent > 0 { scene.sendFromScratch(direction, 0..<sent, isCounted: false) }
        try scene.revive()
        #expect(scene.sink(direction).receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(direction, 1500))
        scene.end()
    }

    @Test func bytesThatWereSentAndTakenAndNotCounted() throws {
        let scene = try Scene()
        scene.takeInHand()
        #expect(scene.client.send(text(500)))
        #expect(scene.arrived(0, 500))
        #expect(Transfer.peek(scene.toClient, into: scene.region.scratch(0), limit: 65536) == .moved(500))
        scene.own.pointee.scratch_slot = 0
        scene.own.pointee.scratch_generation = 1
        scene.own.pointee.scratch_direction = UInt32(LIMPET_IN | LIMPET_PEEKED)
        scene.own.pointee.scratch_length = 500
        scene.sendFromScratch(0, 0..<300, isCounted: false)
        #expect(Transfer.discard(scene.toClient, limit: 300) == .moved(300))
        try scene.revive()
        #expect(scene.server.receive(500) == text(500))
        scene.expectCarries()
        #expect(scene.comesToCount(0, 1500))
        scene.end()
    }

    /// No pipe is to be had: the direction goes on by peeking.
    @Test func withoutPipes() throws {
        let scene = try Scene()
        scene.maximumPipes = 0
        scene.readIntoScratch(0, text(500))
        try scene.revive()
        #expect(scene.server.receive(500) == text(500))
        scene.expectCarries()
        scene.end()
    }

    /// Dies again and again in the middle of the recovery's own work: here the rest was sent in part.
    @Test func aSecondDeathInTheMiddleOfTheRecovery() throws {
        let scene = try Scene()
        scene.readIntoScratch(0, text(500), isNoted: false)
        // What `deliver` had done when it died.
        scene.own.pointee.scratch_length = 500
        scene.sendFromScratch(0, 0..<77, isCounted: true)
        let pipe = try scene.namePipe(0)
        #expect(Transfer.write(pipe.write, from: scene.region.scratch(0) + 77, count: 200) == .moved(200))
        try scene.revive()
        #expect(scene.server.receive(500) == text(500))
        scene.expectCarries()
        scene.end()
    }

    // MARK: Figures that do not agree

    enum Damage: CaseIterable, Sendable {
        case otherSlot, otherGeneration, otherDirection, shorter, longer, otherBase, moreThanFits
    }

    /// What lies in the scratch cannot be this connection's: it reaches nobody, and both sides learn of a reset.
    @Test(arguments: Damage.allCases, [0, 1]) func bytesOfAnotherReachNobody(damage: Damage, direction: Int) throws {
        let scene = try Scene()
        scene.readIntoScratch(direction, text(500))
        let own = scene.own
        switch damage {
        case .otherSlot: own.pointee.scratch_slot = 3
        case .otherGeneration: own.pointee.scratch_generation = 2
        case .otherDirection: own.pointee.scratch_direction = UInt32(1 - direction)
        case .shorter: own.pointee.scratch_length = 499
        case .longer: own.pointee.scratch_length = 501
        case .otherBase: own.pointee.scratch_base = 1
        case .moreThanFits: own.pointee.scratch_length = LIMPET_SCRATCH_BYTES + 1
        }
        try scene.revive()
        for peer in [scene.client, scene.server] {
            let (bytes, end) = peer.receiveToEnd()
            #expect(bytes.isEmpty)
            #expect(end == .reset)
        }
        scene.expectGone()
        #expect(scene.incidentKinds() == [.unrecoverable])
        scene.end()
    }

    /// The same note where nothing is missing: the bytes had been sent, so there is nothing to fear.
    @Test func aStaleNoteOfAnotherConnectionDoesNoHarm() throws {
        let scene = try Scene()
        scene.takeInHand()
        scene.own.pointee.scratch_slot = 3
        scene.own.pointee.scratch_generation = 9
        scene.own.pointee.scratch_length = 100
        try scene.revive()
        scene.expectCarries()
        scene.end()
    }
}
