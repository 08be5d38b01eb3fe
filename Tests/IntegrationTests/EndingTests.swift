import Foundation
import Testing

/// FIN stays FIN, RST stays RST, and neither overtakes a byte.
@Suite(.ownThread, .fence)
struct EndingTests {
    /// One side finishes; what the other still sends comes, however long that takes.
    @Test(arguments: Way.allCases)
    func halfCloseLeavesTheOtherWayOpen(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        try first.send("that was all")
        try first.finish()
        #expect(try second.receiveToEnd() == (Array("that was all".utf8), .fin))
        // Nothing ends by itself after that.
        #expect(holds(for: .milliseconds(300)) { first.isQuiet })
        let rows = try lane.daemon.connections(1)
        #expect(rows[0].state == "half_closed")
        let pattern = Pattern(seed: 10)
        let sender = Background("the answer is sent") {
            try second.send(pattern, count: 3_000_000)
            try second.finish()
        }
        #expect(try first.receive(pattern) == 3_000_000)
        try sender.value()
        pair.close()
        try lane.finish()
    }

    /// The FIN comes in the middle of bulk that flows the other way.
    @Test(arguments: Way.allCases)
    func halfCloseWhileDataFlowsTheOtherWay(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        let pattern = Pattern(seed: 11)
        let size = 24 << 20
        let sender = Background("bulk is sent") {
            try second.send(pattern, count: size)
            try second.finish()
        }
        #expect(try first.receive(pattern, upTo: 4 << 20) == 4 << 20)
        try first.send("enough questions")
        try first.finish()
        #expect(try second.receiveToEnd() == (Array("enough questions".utf8), .fin))
        #expect(try first.receive(pattern, from: 4 << 20) == size - 4 << 20)
        try sender.value()
        pair.close()
        try lane.finish()
    }

    /// The FIN waits until the last byte before it is out, although the receiver has stopped reading.
    @Test(arguments: Way.allCases)
    func finDoesNotOvertakeBytes(_ way: Way) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 32_768 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 32_768 : nil)
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 12)
        let size = 6 << 20
        let work = Background("all is sent") {
            try sender.send(pattern, count: size)
            try sender.finish()
        }
        // Nobody reads until the daemon holds what the sockets do not.
        try eventually("the receiver's buffer is full") {
            KernelSocket.between(receiver.local, receiver.peer!).map { $0.unread > 16_384 } ?? false
        }
        #expect(try receiver.receive(pattern) == size)
        try work.value()
        pair.close()
        try lane.finish()
    }

    @Test(arguments: Way.allCases)
    func aResetArrivesAsAReset(_ way: Way) throws {
        let lane = try Lane()
        for _ in 0..<20 {
            let pair = try lane.open()
            let (first, second) = pair.ends(way)
            first.reset()
            #expect(try second.receiveToEnd() == ([], .reset))
        }
        try lane.finish()
    }

    @Test(arguments: Way.allCases)
    func aResetAfterAnExchangeArrivesAsAReset(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        try first.send("hello")
        #expect(try second.receive(exactly: 5) == Array("hello".utf8))
        try second.send("you too")
        #expect(try first.receive(exactly: 7) == Array("you too".utf8))
        first.reset()
        #expect(try second.receiveToEnd() == ([], .reset))
        try lane.finish()
    }

    /// Bytes that the daemon has read before the reset still arrive, and then the reset does. The small amount waits in the
    /// receiver's socket, the large one in the daemon's.
    @Test(arguments: Way.allCases, [5, 60_000, 400_000])
    func bytesBeforeAResetArriveFirst(_ way: Way, _ size: Int) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 16_384 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 16_384 : nil)
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 13)
        let work = Background("all is sent") { try sender.send(pattern, count: size) }
        if size < 100_000 {
            try work.value()
            try lane.waitUntilRead(sender)
        } else {
            // More than fits in between: the receiver makes room, and stays behind.
            #expect(try receiver.receive(pattern, upTo: size / 2) == size / 2)
            try work.value()
            try lane.waitUntilRead(sender)
        }
        sender.reset()
        let start = size < 100_000 ? 0 : size / 2
        let (bytes, end) = try receiver.receiveToEnd()
        #expect(bytes.count == size - start)
        #expect(bytes.withUnsafeBytes { pattern.firstDifference($0, at: start) } == nil)
        #expect(end == .reset)
        try lane.finish()
    }

    /// A receiver that does not read cannot keep a connection whose other side is gone.
    @Test(arguments: Way.allCases)
    func aResetReachesAStoppedReader(_ way: Way) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 16_384 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 16_384 : nil)
        let (sender, receiver) = pair.ends(way)
        let block = [UInt8](repeating: 9, count: 1 << 18)
        // Until everything in between is full.
        while try becomes(within: .milliseconds(300), { sender.ready(POLLOUT) }) {
            _ = try block.withUnsafeBytes { try sender.trySend($0) }
        }
        sender.reset()
        try lane.daemon.waitUntilIdle()
        #expect(try receiver.receiveToEnd().end == .reset)
        try lane.daemon.stop()
    }

    /// A side that has finished may still be reset by the other.
    @Test(arguments: Way.allCases)
    func aResetAfterAHalfClose(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        try first.finish()
        #expect(try second.receiveToEnd() == ([], .fin))
        second.reset()
        #expect(try first.receiveToEnd() == ([], .reset))
        try lane.finish()
    }

    /// The one that has sent FIN resets: only the other direction can tell.
    @Test(arguments: Way.allCases)
    func aResetByTheSideThatHasFinished(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (first, second) = pair.ends(way)
        try first.finish()
        #expect(try second.receiveToEnd() == ([], .fin))
        first.reset()
        try eventually("the reset arrives") { second.ready(POLLERR) }
        #expect(throws: SocketFailure.self) { try second.send("anyone there?") }
        try lane.finish()
    }
}
