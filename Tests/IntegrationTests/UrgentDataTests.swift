import Foundation
import Testing

/// Urgent data travels in line. splice(2) stalls at its mark and takes it for the end: nothing may stall, spin or be lost.
@Suite(.ownThread, .fence)
struct UrgentDataTests {
    @Test(arguments: Way.allCases)
    func travelsInLine(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (sender, receiver) = pair.ends(way)
        try sender.send("before ")
        try sender.sendUrgent(UInt8(ascii: "!"))
        try sender.send(" after")
        #expect(try receiver.receive(exactly: 14) == Array("before ! after".utf8))
        // It is alone; the last before the FIN.
        try sender.sendUrgent(UInt8(ascii: "?"))
        #expect(try receiver.receive(exactly: 1) == [UInt8(ascii: "?")])
        try sender.sendUrgent(UInt8(ascii: "."))
        try sender.finish()
        #expect(try receiver.receiveToEnd() == ([UInt8(ascii: ".")], .fin))
        pair.close()
        try lane.finish()
    }

    /// Marks in the middle of what is spliced. The urgent bytes are bytes of the pattern, so that the whole must arrive as if there
    /// were none.
    @Test(arguments: Way.allCases)
    func inTheMiddleOfBulk(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 20)
        let stretch = 1_500_007
        let stretches = 16
        let work = Background("bulk with urgent bytes is sent") {
            for number in 0..<stretches {
                let start = number * stretch
                try sender.send(pattern, count: stretch - 1, from: start)
                try sender.sendUrgent(pattern.bytes(1, at: start + stretch - 1)[0])
            }
            try sender.finish()
        }
        #expect(try receiver.receive(pattern) == stretches * stretch)
        try work.value()
        pair.close()
        try lane.finish()
    }

    /// Bulk, an urgent byte at its end, then silence: the byte arrives and the daemon sleeps.
    @Test(arguments: Way.allCases)
    func doesNotSpinAtTheMark(_ way: Way) throws {
        let lane = try Lane()
        let pair = try lane.open()
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 21)
        let size = 8 << 20
        let work = Background("bulk is sent") {
            try sender.send(pattern, count: size - 1)
            try sender.sendUrgent(pattern.bytes(1, at: size - 1)[0])
        }
        #expect(try receiver.receive(pattern, upTo: size) == size)
        try work.value()
        lane.daemon.expectSleeping()
        pair.close()
        try lane.finish()
    }

    /// The mark lies behind a reader that has stopped: the daemon waits for the reader and does not spin.
    @Test(arguments: Way.allCases)
    func doesNotSpinBehindAStoppedReader(_ way: Way) throws {
        let lane = try Lane(receiveBuffer: way == .upstream ? 16_384 : nil)
        let pair = try lane.open(receiveBuffer: way == .downstream ? 16_384 : nil)
        let (sender, receiver) = pair.ends(way)
        let pattern = Pattern(seed: 22)
        var sent = 0
        while try becomes(within: .milliseconds(300), { sender.ready(POLLOUT) }) {
            let piece = pattern.bytes(100_000, at: sent)
            let count = try piece.withUnsafeBytes { try sender.trySend($0) }
            sent += count
            let next = pattern.bytes(1, at: sent)
            sent += try next.withUnsafeBytes { try sender.trySend($0, flags: Int32(MSG_OOB)) }
        }
        lane.daemon.expectSleeping()
        let size = sent
        let work = Background("the FIN is sent") { try sender.finish() }
        #expect(try receiver.receive(pattern) == size)
        try work.value()
        pair.close()
        try lane.finish()
    }
}
