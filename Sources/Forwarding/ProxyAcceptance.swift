public import Addressing
import CContinuity
import CLayout
import Linux

/// From whom a service takes the header of the PROXY protocol, and with it the word on who the client is.
public struct AcceptedProxies: Sendable, Equatable {
    let networks: [Prefix]
    /// Nanoseconds that a header may take to come.
    let timeout: UInt64

    public init(networks: [Prefix], timeout: UInt64) {
        self.networks = networks
        self.timeout = timeout
    }

    func trust(_ peer: IPAddress) -> Bool { networks.contains { $0.contains(peer) } }
}

/// What a client is expected to begin with.
enum Opening {
    /// With whatever it likes: nobody looks.
    case anything
    /// With a header of the PROXY protocol: it is a trusted proxy.
    case header
    /// With anything but one.
    case noHeader
}

/// The PROXY header that a client begins with.
///
/// One that is awaited stays in the socket until the connection to the backend is there: it is looked at, its length is
/// noted, and only then is it taken out. So a death at any point loses nothing: what the record says the header's length is
/// and what the kernel has counted say together whether it is still to be taken. A backend that fails leaves it where it is,
/// for the next.
///
/// Of a client that should not send one the first bytes are held back as long as they may be the beginning of one. What the
/// backend says meanwhile goes to the client.
extension Worker {
    func opening(of service: UInt16, _ peer: IPAddress) -> Opening {
        // On a Unix socket nothing tells when more than some of a header is there; the rights of its file say who may come.
        guard peer.family != .user, let proxies = table.services[Int(service)].acceptProxy else { return .anything }
        return proxies.trust(peer) ? .header : .noHeader
    }

    /// Until when a header has to be there that is awaited from now on.
    func headerDeadline(_ service: UInt16) -> UInt64 {
        now + (table.services[Int(service)].acceptProxy?.timeout ?? 0)
    }

    func proxy(_ slot: Int) -> UnsafeMutablePointer<limpet_proxy> { region.proxy(index, record: slot) }

    func isAwaitingHeader(_ slot: Int) -> Bool { region.isAwaitingHeader(index, slot) }

    // MARK: Awaited

    /// Looks how much of the header is there. Ends the wait, or the connection, or has epoll tell when there is more.
    mutating func awaitHeader(_ slot: Int) {
        let client = records[slot].descriptor.0
        var before = -1
        var isLast = false
        while true {
            let count: Int
            switch Transfer.peek(client, into: scratch, limit: ProxyHeader.longestReceived) {
            case .moved(let moved): count = moved
            case .wouldBlock: return watchForHeader(slot, 1)
            // It has come and gone without a word, as those do that only look whether somebody listens.
            case .endOfFile: return finish(slot, resetting: [], because: .clientFIN)
            case .failed(let error): return finish(slot, resetting: .client, because: Worker.reason(error, 0))
            }
            switch ProxyHeader.read(UnsafeRawBufferPointer(start: scratch, count: count)) {
            case .whole(let header): return headerCame(slot, header)
            case .malformed(let flaw): return refuseHeader(slot, flaw)
            case .incomplete(let needed):
                if isLast { return refuseHeader(slot, .cutShort) }
                if StreamSocket.hasEnded(client) {
                    // What came before the end may have come since the look.
                    isLast = true
                } else if StreamSocket.unread(client) > count {
                    // Either more has come since the look, or looking stops at an urgent byte.
                    if count == before { return refuseHeader(slot, .urgent) }
                } else {
                    return watchForHeader(slot, needed)
                }
            }
            before = count
        }
    }

    /// Has epoll tell when so many bytes are there: of fewer it would tell without end.
    private mutating func watchForHeader(_ slot: Int, _ needed: Int) {
        let record = records + slot
        let client = record.pointee.descriptor.0
        if needed > 1 { StreamSocket.setLowWater(client, Int32(needed)) }
        if record.pointee.flags & absentFlag(0) != 0 {
            let token = Token.record(slot, side: 0, generation: record.pointee.generation)
            if let failure = poller.ensure(client, token: token, interest: .read) {
                reportLocal(failure)
                finish(slot, resetting: .both, because: .local)
                return
            }
            inject(LIMPET_AT_PROXY_AWAITED)
            limpet_events(record, 0).pointee = Poller.Interest.read.rawValue
            record.pointee.flags &= ~absentFlag(0)
        }
        armDialTimer(slot)
    }

    /// The header is there: it is known who the client is.
    private mutating func headerCame(_ slot: Int, _ header: ProxyHeader.Received) {
        let record = records + slot
        inject(LIMPET_AT_PROXY_WHOLE)
        let client = header.ends?.client ?? record.pointee.peer.endpoint
        var reason: EndReason?
        if let client {
            reason = refusal(of: client.address, service: record.pointee.service, listener: record.pointee.listener)
        }
        limpet_write_begin(&record.pointee.sequence)
        record.pointee.client.set(client)
        if let local = header.ends?.local { record.pointee.client_local.set(local) }
        if reason == nil {
            record.pointee.deadline = 0
            findHome(record)
            limpet_order()
            // From here on it counts as known, and among the connections of its client.
            limpet_publish16(&proxy(slot).pointee.received, UInt16(header.length))
        }
        limpet_write_end(&record.pointee.sequence)
        inject(LIMPET_AT_PROXY_NOTED)
        if let reason {
            refuse(slot, reason)
            return
        }
        if record.pointee.flags & absentFlag(0) == 0 {
            let token = Token.record(slot, side: 0, generation: record.pointee.generation)
            if let failure = poller.modify(record.pointee.descriptor.0, token: token, interest: []) {
                reportLocal(failure)
                finish(slot, resetting: .both, because: .local)
                return
            }
            inject(LIMPET_AT_PROXY_UNWATCHED)
            limpet_events(record, 0).pointee = 0
            StreamSocket.setLowWater(record.pointee.descriptor.0, 1)
        }
        wheel.cancel(slot)
        dialFirst(slot)
    }

    /// A header that was awaited is none, or not there in time.
    mutating func refuseHeader(_ slot: Int, _ flaw: ProxyFlaw) {
        let record = records + slot
        incidents.add(
            Incident(
                kind: .proxyHeader(flaw), slot: record.pointee.service, errno: .invalidArgument,
                peer: record.pointee.peer.endpoint?.address))
        refuse(slot, .proxyHeader)
    }

    /// Resets a client that has a record and should have no backend.
    mutating func refuse(_ slot: Int, _ reason: EndReason) {
        let listener = Int(records[slot].listener)
        limpet_bump64(&region.counters(index, listener: listener).pointee.refused, 1)
        limpet_bump64(limpet_refused(region.metrics(index, listener: listener), Int32(reason.rawValue)), 1)
        finish(slot, resetting: .both, because: reason)
    }

    // MARK: Held back

    /// Before the first byte is taken from a client whose first bytes are to be looked at: takes out the header that was
    /// awaited, or sees that there is none. True: what is there now can be taken. May end the connection.
    mutating func passHold(_ slot: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ client: Int32) -> Bool {
        let record = records + slot
        guard record.pointee.flags & UInt8(LIMPET_PROXIED) != 0 else { return passSuspicion(slot, way, client) }
        let length = Int(proxy(slot).pointee.received)
        guard Transfer.discard(client, limit: length) == .moved(length) else {
            // It was there before.
            finish(slot, resetting: .both, because: .local)
            return false
        }
        inject(LIMPET_AT_PROXY_TAKEN)
        clear(way, LIMPET_DIRECTION_HELD)
        limpet_order()
        inject(LIMPET_AT_PROXY_RELEASED)
        return true
    }

    private mutating func passSuspicion(
        _ slot: Int, _ way: UnsafeMutablePointer<limpet_direction>, _ client: Int32
    ) -> Bool {
        var before = 0
        var isLast = false
        while true {
            let count: Int
            switch Transfer.peek(client, into: scratch, limit: ProxyHeader.signatureLength) {
            case .moved(let moved): count = moved
            case .wouldBlock: return false
            case .endOfFile: return release(way, client, before)
            case .failed(let error):
                // As where it is read.
                inject(LIMPET_AT_RESET_READ)
                clear(way, LIMPET_DIRECTION_HELD)
                set(way, LIMPET_DIRECTION_EOF)
                sideReset(slot, LIMPET_IN, error)
                return false
            }
            switch ProxyHeader.likeness(UnsafeRawBufferPointer(start: scratch, count: count)) {
            case .none: return release(way, client, count)
            case .certain: return refuseUntrusted(slot)
            case .possible:
                if isLast { return release(way, client, count) }
                if StreamSocket.hasEnded(client) {
                    isLast = true
                } else if StreamSocket.unread(client) > count {
                    // As above. What is behind the urgent byte nobody can see; the backend would.
                    if count == before { return refuseUntrusted(slot) }
                } else {
                    // The next byte may tell.
                    StreamSocket.setLowWater(client, Int32(count) + 1)
                    return false
                }
            }
            before = count
        }
    }

    /// - Parameter count: bytes that were looked at; where it was more than one the kernel may be telling of more alone.
    private func release(_ way: UnsafeMutablePointer<limpet_direction>, _ client: Int32, _ count: Int) -> Bool {
        if count > 0 { StreamSocket.setLowWater(client, 1) }
        clear(way, LIMPET_DIRECTION_HELD)
        limpet_order()
        inject(LIMPET_AT_PROXY_RELEASED)
        return true
    }

    private mutating func refuseUntrusted(_ slot: Int) -> Bool {
        let record = records + slot
        incidents.add(
            Incident(
                kind: .proxyUntrusted, slot: record.pointee.service, errno: .invalidArgument,
                peer: record.pointee.peer.endpoint?.address))
        refuse(slot, .proxyUntrusted)
        return false
    }

    // MARK: After a death

    /// Finds out whether the header was taken out of the socket before the record could say so. False: it cannot be told.
    mutating func settleHold(_ slot: Int) -> Bool {
        let record = records + slot
        let way = limpet_direction_of(record, Int32(LIMPET_IN))
        guard has(way, LIMPET_DIRECTION_HELD), record.pointee.flags & UInt8(LIMPET_PROXIED) != 0 else { return true }
        let length = UInt64(proxy(slot).pointee.received)
        // The FIN counts as one, and no header is that short.
        guard length > 1, let counters = try? TCPCounters(record.pointee.descriptor.0) else { return false }
        if counters.taken > 1 {
            guard counters.taken == length || counters.taken == length + 1 else { return false }
            clear(way, LIMPET_DIRECTION_HELD)
        }
        return true
    }

    /// Bytes of the client's that were taken and were not its own: the header's.
    func headerTaken(_ slot: Int) -> UInt64 {
        let record = records + slot
        guard record.pointee.flags & UInt8(LIMPET_PROXIED) != 0,
            !has(limpet_direction_of(record, Int32(LIMPET_IN)), LIMPET_DIRECTION_HELD)
        else { return 0 }
        return UInt64(proxy(slot).pointee.received)
    }

    // MARK: The header that goes to the backend

    /// Bytes of the header that was queued ahead of the client's; 0: none (yet).
    func headerLength(_ slot: Int) -> Int {
        let short = records[slot].header
        return short == .max ? Int(proxy(slot).pointee.header) : Int(short)
    }

    /// Of these, bytes that are still in the pipe.
    func headerLeft(_ slot: Int) -> Int {
        let record = records + slot
        if record.pointee.header_left == 0 { return 0 }
        return record.pointee.header == .max ? Int(proxy(slot).pointee.header_left) : Int(record.pointee.header_left)
    }

    /// Only once the header is queued. The length last: it says that there is one.
    func noteHeader(_ slot: Int, length: Int, left: Int) {
        let record = records + slot
        guard length >= Int(UInt8.max) else {
            limpet_store8(&record.pointee.header_left, UInt8(left))
            limpet_publish8(&record.pointee.header, UInt8(length))
            return
        }
        let proxy = proxy(slot)
        proxy.pointee.header = UInt16(length)
        proxy.pointee.header_left = UInt16(left)
        limpet_store8(&record.pointee.header_left, left == 0 ? 0 : .max)
        limpet_publish8(&record.pointee.header, .max)
    }

    /// Says how many bytes of it are still in the pipe.
    func noteHeaderLeft(_ slot: Int, _ left: Int) {
        let record = records + slot
        if record.pointee.header == .max {
            proxy(slot).pointee.header_left = UInt16(left)
            record.pointee.header_left = left == 0 ? 0 : .max
        } else {
            record.pointee.header_left = UInt8(left)
        }
    }

    /// Writes the PROXY header of a connection into the scratch and returns its length.
    func writeHeader(_ slot: Int, _ version: ProxyHeader.Version) -> Int {
        let record = records + slot
        let wanted = table.services[Int(record.pointee.service)].proxyAdditions
        let buffer = UnsafeMutableRawBufferPointer(start: scratch, count: Int(LIMPET_SCRATCH_BYTES))
        return ProxyHeader.write(
            version, client: record.pointee.client.endpoint, local: record.pointee.client_local.endpoint,
            additions: wanted.isEmpty ? nil : additions(slot, wanted), into: buffer)
    }

    private func additions(_ slot: Int, _ wanted: ProxyAdditions) -> ProxyHeader.Additions {
        let record = records + slot
        var additions = ProxyHeader.Additions()
        additions.hasChecksum = wanted.contains(.checksum)
        if wanted.contains(.uniqueID) { additions.uniqueID = (region.header.pointee.started, record.pointee.id) }
        guard wanted.contains(.received), record.pointee.flags & UInt8(LIMPET_PROXIED) != 0 else { return additions }
        // It is still in the socket. Behind the place of the header that is to be written.
        let place = scratch + Int(LIMPET_SCRATCH_BYTES) / 2
        let length = Int(proxy(slot).pointee.received)
        if Transfer.peek(record.pointee.descriptor.0, into: place, limit: length) == .moved(length),
            case .whole(let received) = ProxyHeader.read(UnsafeRawBufferPointer(start: place, count: length)),
            !received.fields.isEmpty
        {
            additions.received = UnsafeRawBufferPointer(
                start: place + received.fields.lowerBound, count: received.fields.count)
        }
        return additions
    }
}

/// What the header that backends get says beside the addresses, in version 2.
public struct ProxyAdditions: OptionSet, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Which connection it is.
    public static let uniqueID = ProxyAdditions(rawValue: 1)
    /// A checksum of all of it.
    public static let checksum = ProxyAdditions(rawValue: 2)
    /// What the client's own header said beside the addresses.
    public static let received = ProxyAdditions(rawValue: 4)
}

extension SharedRegion {
    /// Whether a connection is one of which it is not known yet who the client is.
    func isAwaitingHeader(_ worker: Int, _ slot: Int) -> Bool {
        let record = records(worker) + slot
        return record.pointee.flags & UInt8(LIMPET_PROXIED) != 0
            && record.pointee.state == UInt8(LIMPET_CONNECTING)
            && limpet_load16(&proxy(worker, record: slot).pointee.received) == 0
    }
}
