import Addressing
import Glibc
import Linux
import Testing

/// What the kernel counts, on real sockets: each correction that recovery relies on.
@Suite struct TCPCountersTests {
    private let listener: Int32
    private let pair: Pair

    init() throws {
        listener = try StreamSocket.listen(on: try Endpoint(parsing: "127.0.0.1:0"), shared: false)
        pair = try Pair(listener: listener)
    }

    private func done() {
        pair.close()
        Descriptor.close(listener)
    }

    private func write(_ descriptor: Int32, _ count: Int) {
        let bytes = [UInt8](repeating: 7, count: count)
        #expect(
            bytes.withUnsafeBytes { Transfer.send(descriptor, from: $0.baseAddress!, count: count) } == .moved(count))
    }

    private func read(_ descriptor: Int32, _ count: Int) {
        #expect(Peer(dup(descriptor)).receive(count).count == count)
    }

    private func become(_ descriptor: Int32, _ state: TCPCounters.State) -> Bool {
        eventually { (try? TCPCounters(descriptor))?.state == state }
    }

    @Test func theOneThatConnectedHasPutASYNAndTheOneThatAcceptedNothing() throws {
        let passive = try TCPCounters(pair.accepted)
        let active = try TCPCounters(pair.connected)
        #expect(passive == TCPCounters(state: .established, taken: 0, put: 0, unread: 0))
        #expect(active == TCPCounters(state: .established, taken: 0, put: 1, unread: 0))
        done()
    }

    @Test(arguments: [false, true]) func bytesCountWhereTheyWereWrittenAndWhereTheyWereRead(fromActive: Bool) throws {
        let (from, to) = fromActive ? (pair.connected, pair.accepted) : (pair.accepted, pair.connected)
        let syn: UInt64 = fromActive ? 1 : 0
        write(from, 1000)
        #expect(eventually { (try? TCPCounters(to))?.unread == 1000 })
        #expect(try TCPCounters(from).put == 1000 + syn)
        #expect(try TCPCounters(to).taken == 0)
        read(to, 300)
        #expect(try TCPCounters(to).taken == 300)
        #expect(try TCPCounters(to).unread == 700)
        write(from, 24)
        #expect(try TCPCounters(from).put == 1024 + syn)
        read(to, 724)
        #expect(try TCPCounters(to).taken == 1024)
        done()
    }

    @Test func aFINCountsAsTakenFromWhenItComesAndAsPutFromWhenItIsSent() throws {
        write(pair.connected, 10)
        StreamSocket.shutdownWrite(pair.connected)
        #expect(become(pair.accepted, .closeWait))
        var counters = try TCPCounters(pair.accepted)
        #expect(counters.taken == 1 && counters.unread == 10 && counters.hasPeerFIN == true)
        read(pair.accepted, 10)
        counters = try TCPCounters(pair.accepted)
        #expect(counters.taken == 11 && counters.unread == 0)
        // The end of file that is read changes nothing.
        var byte: UInt8 = 0
        #expect(Transfer.receive(pair.accepted, into: &byte, limit: 1) == .endOfFile)
        #expect(try TCPCounters(pair.accepted).taken == 11)
        let sender = try TCPCounters(pair.connected)
        #expect(sender.put == 1 + 10 + 1 && sender.hasOwnFIN == true)
        done()
    }

    @Test func anOrderlyEndOnBothSidesLeavesBothFINsCounted() throws {
        write(pair.connected, 10)
        write(pair.accepted, 20)
        read(pair.connected, 20)
        read(pair.accepted, 10)
        // Who closes first goes through TIME_WAIT, which the descriptor sees as CLOSE.
        StreamSocket.shutdownWrite(pair.accepted)
        #expect(become(pair.connected, .closeWait))
        StreamSocket.shutdownWrite(pair.connected)
        for (descriptor, syn, sent, came) in [(pair.accepted, 0, 20, 10), (pair.connected, 1, 10, 20)] {
            #expect(become(descriptor, .close))
            let counters = try TCPCounters(descriptor)
            #expect(counters.taken == UInt64(came + 1))
            #expect(counters.put == UInt64(syn + sent + 1))
            #expect(counters.hasPeerFIN == nil && counters.hasOwnFIN == nil)
            #expect(!StreamSocket.hasError(descriptor))
        }
        done()
    }

    @Test func aResetLeavesTheCountersAndCanBeSeenWithoutTakingIt() throws {
        write(pair.connected, 10)
        write(pair.accepted, 30)
        #expect(eventually { (try? TCPCounters(pair.accepted))?.unread == 10 })
        read(pair.accepted, 4)
        let copy = dup(pair.connected)
        StreamSocket.resetOnClose(copy)
        Descriptor.close(copy)
        Descriptor.close(pair.connected)
        #expect(become(pair.accepted, .close))
        for _ in 0..<2 { #expect(StreamSocket.hasError(pair.accepted)) }
        // No FIN on either side.
        var counters = try TCPCounters(pair.accepted)
        #expect(counters.taken == 4 && counters.put == 30 && counters.unread == 6)
        read(pair.accepted, 6)
        var byte: UInt8 = 0
        #expect(Transfer.receive(pair.accepted, into: &byte, limit: 1) == .failed(.connectionReset))
        // From here on it looks like an orderly end.
        #expect(!StreamSocket.hasError(pair.accepted))
        #expect(Transfer.receive(pair.accepted, into: &byte, limit: 1) == .endOfFile)
        counters = try TCPCounters(pair.accepted)
        #expect(counters.state == .close && counters.taken == 10 && counters.put == 30)
        Descriptor.close(pair.accepted)
        Descriptor.close(listener)
    }

    @Test func anUrgentByteThatWasNotReadIsUnread() throws {
        var byte: UInt8 = 9
        #expect(send(pair.connected, &byte, 1, Int32(MSG_OOB)) == 1)
        #expect(eventually { (try? TCPCounters(pair.accepted))?.unread == 1 })
        #expect(try TCPCounters(pair.accepted).taken == 0)
        done()
    }

    @Test func bytesThatWereOnlyLookedAtAreNotTaken() throws {
        write(pair.connected, 10)
        #expect(eventually { (try? TCPCounters(pair.accepted))?.unread == 10 })
        var buffer = [UInt8](repeating: 0, count: 10)
        #expect(
            buffer.withUnsafeMutableBytes { Transfer.peek(pair.accepted, into: $0.baseAddress!, limit: 10) }
                == .moved(10))
        #expect(try TCPCounters(pair.accepted).taken == 0)
        #expect(Transfer.discard(pair.accepted, limit: 4) == .moved(4))
        #expect(try TCPCounters(pair.accepted).taken == 4)
        done()
    }

    @Test func splicedBytesCountAsTheyPass() throws {
        let pipe = try Pipe.open(capacity: 65536)
        write(pair.connected, 5000)
        #expect(eventually { (try? TCPCounters(pair.accepted))?.unread == 5000 })
        #expect(Transfer.splice(from: pair.accepted, to: pipe.write, limit: 65536) == .moved(5000))
        #expect(try TCPCounters(pair.accepted).taken == 5000)
        #expect(Pipe.unread(pipe.read) == 5000)
        #expect(Transfer.splice(from: pipe.read, to: pair.accepted, limit: 2000) == .moved(2000))
        #expect(Pipe.unread(pipe.read) == 3000)
        #expect(try TCPCounters(pair.accepted).put == 2000)
        pipe.close()
        done()
    }

    @Test func aSocketThatIsNotTCPHasNoCounters() throws {
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        #expect(throws: Errno.self) { try TCPCounters(ends[0]) }
        for end in ends { Descriptor.close(end) }
        done()
    }

    /// The counters of a socket that is being written to and acknowledged all the time still belong together.
    @Test(.timeLimit(.minutes(1))) func theyAreOfOneMomentWhileBytesMove() throws {
        let pair = self.pair
        let stop = Locked(false)
        let reader = try Threads.start("reader") {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while !stop.with({ $0 }) {
                _ = buffer.withUnsafeMutableBytes {
                    Transfer.receive(pair.accepted, into: $0.baseAddress!, limit: 4096)
                }
            }
        }
        let bytes = [UInt8](repeating: 1, count: 1777)
        var sent: UInt64 = 1
        for _ in 0..<3000 {
            if case .moved(let count) = bytes.withUnsafeBytes({
                Transfer.send(pair.connected, from: $0.baseAddress!, count: bytes.count)
            }) {
                sent += UInt64(count)
            }
            let put = try TCPCounters(pair.connected).put
            #expect(put == sent)
            if put != sent { break }
        }
        stop.with { $0 = true }
        Threads.join(reader)
        done()
    }
}
