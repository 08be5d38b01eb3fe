import CContinuity
import CLayout
import Linux

/// Connecting to backends that are Unix sockets. Such a connect is over at once; where the queue of those that wait to be
/// accepted is full, the kernel says so and tells of no room later, so it is tried again after a pause until the time for
/// it is over. Meanwhile the socket is named, not connected, and not in the epoll set.
extension Worker {
    /// Between two tries, in ns: a quarter of the time that has passed, from the shortest to the longest.
    private static let shortestPause: UInt64 = 2_000_000
    private static let longestPause: UInt64 = 100_000_000

    /// Says in the record where the connection's backend is, and how its bytes are to be carried.
    @inline(__always)
    func nameBackend(_ slot: Int, _ address: SocketAddress) {
        let record = records + slot
        record.pointee.backend_local.set(nil)
        if !address.isUnix, record.pointee.direction.0.flags & UInt16(LIMPET_DIRECTION_PIPED.rawValue) == 0 {
            record.pointee.backend_address.set(address.endpoint)
            return
        }
        nameUnixOr(slot, address)
    }

    private func nameUnixOr(_ slot: Int, _ address: SocketAddress) {
        let record = records + slot
        let isPiped = address.isUnix || record.pointee.peer.family == UInt8(LIMPET_FAMILY_USER)
        let piped = region.piped(index, record: slot)
        piped.pointee.entered = (0, 0)
        for direction in 0...1 {
            let way = limpet_direction_of(record, Int32(direction))
            if isPiped { set(way, LIMPET_DIRECTION_PIPED) } else { clear(way, LIMPET_DIRECTION_PIPED) }
        }
        guard address.isUnix else {
            record.pointee.backend_address.set(address.endpoint)
            return
        }
        address.withUnixName { bytes, isAbstract in
            guard let base = bytes.baseAddress else { return }
            limpet_path_set(&piped.pointee.backend, base, UInt32(bytes.count), isAbstract)
        }
        record.pointee.backend_address.setPath()
    }

    /// Whether the connection is being dialled and has found its backend's queue full.
    @inline(__always)
    func isWaitingForRoom(_ record: UnsafeMutablePointer<limpet_record>) -> Bool {
        record.pointee.backend_address.family == UInt8(LIMPET_FAMILY_PATH) && record.pointee.descriptor.1 >= 0
            && record.pointee.events.1 == 0
    }

    /// When to try again, in ns; `.max`: there is nothing to be tried.
    @inline(__always)
    func nextTry(_ record: UnsafeMutablePointer<limpet_record>) -> UInt64 {
        guard isWaitingForRoom(record) else { return .max }
        let passed = now - min(now, record.pointee.active)
        return now + max(Worker.shortestPause, min(Worker.longestPause, passed / 4))
    }

    /// Tries once more.
    mutating func retryConnect(_ slot: Int) {
        let record = records + slot
        let service = table.services[Int(record.pointee.service)]
        guard let member = service.members.first(where: { $0.slot == record.pointee.backend }), member.address.isUnix
        else {
            // A reload has taken it away.
            connectEnded(slot, .connectionRefused)
            return
        }
        switch StreamSocket.connect(record.pointee.descriptor.1, to: member.address) {
        case nil:
            inject(LIMPET_AT_CONNECT_STARTED)
            let failure = poller.add(
                record.pointee.descriptor.1,
                token: Token.record(slot, side: 1, generation: record.pointee.generation), interest: Worker.dialInterest
            )
            if let failure {
                connectEnded(slot, failure)
                return
            }
            record.pointee.events.1 = Worker.dialInterest.rawValue
            inject(LIMPET_AT_BACKEND_WATCHED)
            armDialTimer(slot)
        case .wouldBlock?: armDialTimer(slot)
        case let failure?: connectEnded(slot, failure)
        }
    }

    /// After a death: whether the connect to a Unix socket has come so far that it can go on. Nothing of the client's was
    /// read yet, so that another one loses nothing.
    mutating func canGoOn(_ slot: Int) -> Bool {
        let record = records + slot
        var peer = SocketAddress()
        guard StreamSocket.peer(of: record.pointee.descriptor.1, &peer) else { return false }
        let way = limpet_direction_of(record, Int32(LIMPET_IN))
        if way.pointee.pipe_read >= 0 {
            // One write has put the whole header there, or nothing.
            let length = Pipe.unread(way.pointee.pipe_read)
            limpet_store32(&way.pointee.pipe_bytes, UInt32(length))
            if length > 0 {
                noteHeader(slot, length: length, left: length)
                return true
            }
            releasePipe(way)
        }
        // Without a pipe it may have been sent, and nothing tells.
        return record.pointee.header != 0 || table.services[Int(record.pointee.service)].sendProxy == nil
    }
}
