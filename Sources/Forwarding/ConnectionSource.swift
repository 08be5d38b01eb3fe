import Addressing
import CContinuity
import CLayout
public import Linux

/// Where a service's connections to its backends come from. Immutable; all workers share it.
public final class ConnectionSource: Sendable {
    /// Local addresses by family, used in turn; none: the kernel chooses. ``LIMPET_SOURCES`` of each at most.
    public let v4: [SocketAddress]
    public let v6: [SocketAddress]
    /// The address is the client's.
    public let isTransparent: Bool
    /// SO_MARK; 0: none.
    public let mark: UInt32
    /// The name of an interface; empty: any.
    public let device: [UInt8]
    /// Says which lists of addresses a note in the region is about.
    let tag: UInt16

    /// The kernel chooses.
    public static let automatic = ConnectionSource(v4: [], v6: [], isTransparent: false, mark: 0, device: [])

    public init(v4: [SocketAddress], v6: [SocketAddress], isTransparent: Bool, mark: UInt32, device: [UInt8]) {
        self.v4 = Array(v4.prefix(Int(LIMPET_SOURCES)))
        self.v6 = Array(v6.prefix(Int(LIMPET_SOURCES)))
        self.isTransparent = isTransparent
        self.mark = mark
        self.device = device
        var sum: UInt64 = 0xcbf2_9ce4_8422_2325
        for address in self.v4 + self.v6 { sum = (sum ^ ConnectionSource.hash(address)) &* 0x100_0000_01b3 }
        tag = UInt16(truncatingIfNeeded: sum >> 48)
    }

    func addresses(_ family: Int32) -> [SocketAddress] { family == SocketAddress.v6 ? v6 : v4 }

    /// Of the address alone.
    static func hash(_ address: SocketAddress) -> UInt64 { address.endpoint.map { hash($0.address) } ?? 0 }

    static func hash(_ address: IPAddress) -> UInt64 {
        var word = address.high &* 0x9e37_79b9_7f4a_7c15 ^ address.low
        word = (word ^ word >> 31) &* 0xbf58_476d_1ce4_e5b9
        return word ^ word >> 29
    }
}

/// What is known of the ports of one backend: see limpet_source_row.
struct SourcePorts {
    let row: UnsafeMutablePointer<limpet_source_row>
    /// Milliseconds of ``Clock``.
    let now: UInt64
    /// Of the backend's address: one that is given by a name may have several, each with ports of its own.
    private let target: UInt64

    init(_ region: SharedRegion, _ member: ForwardingTable.Member, now: UInt64) {
        row = region.sources(Int(member.slot))
        self.now = now / 1_000_000
        target = ConnectionSource.hash(member.address)
    }

    /// Until when a word about `tag` says that nothing is left; nil: it does not.
    private func end(_ word: UInt64, _ tag: UInt16) -> UInt64? {
        guard word != 0, UInt16(truncatingIfNeeded: word) == tag, word >> 16 > now else { return nil }
        return word >> 16
    }

    private var all: UnsafeMutablePointer<UInt64> { limpet_source_all(row, UInt32(truncatingIfNeeded: target >> 40)) }

    /// Addresses of a backend have each their own place for a source, as far as there are places.
    private func word(_ position: Int) -> UnsafeMutablePointer<UInt64> {
        limpet_source_word(row, UInt32(truncatingIfNeeded: UInt64(position) &+ target >> 40))
    }

    private func tag(_ hash: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: hash ^ target) }

    @inline(__always)
    func areAllSpent(_ tag: UInt16) -> Bool { end(limpet_load64(all), self.tag(UInt64(tag))) != nil }

    func end(of position: Int, _ hash: UInt64) -> UInt64? { end(limpet_load64(word(position)), tag(hash)) }

    func note(_ position: Int, _ hash: UInt64, until end: UInt64) {
        limpet_store64(word(position), end << 16 | UInt64(tag(hash)))
    }

    func noteAll(_ tag: UInt16, until end: UInt64) { limpet_store64(all, end << 16 | UInt64(self.tag(UInt64(tag)))) }

    /// How long, in milliseconds, a source that has no port is left alone: long enough that the searches for one, each of
    /// which may look at every port, never take more than a tenth of a worker's time.
    /// - Parameters:
    ///   - cost: what the search took, in ns.
    ///   - count: of addresses that may all be in this state.
    static func rest(after cost: UInt64, among count: Int) -> UInt64 {
        min(max(1000, cost * UInt64(max(count, 1)) / 100_000), 30_000)
    }
}

/// Why no connect could be started from any of a service's addresses.
enum NoSource: Equatable {
    /// A connect failed, and so it would from any other.
    case failed(Errno)
    /// No address has a port left for this backend.
    case ports
    /// There is no way from the client's address: it is of the other family, or link-local.
    case family

    /// Whether this machine has failed in a way in which it would fail everywhere.
    var isLocal: Bool { if case .failed(let errno) = self { errno.isLocal } else { false } }
}

extension Worker {
    /// Whether it is known that no connection to the backend can be started now. Of one that has several addresses each is
    /// asked about by itself, when it is its turn.
    @inline(__always)
    static func isSpent(
        _ record: UnsafeMutablePointer<limpet_record>, _ source: ConnectionSource, _ member: ForwardingTable.Member,
        _ region: SharedRegion, now: UInt64
    ) -> Bool {
        member.others.isEmpty && isSpentThere(record, source, member, region, now: now)
    }

    /// Backends for which ports are looked for in vain before a client is reset: each may take some milliseconds.
    static let mostSearches = 8

    /// The same of the address that the member has first.
    private static func isSpentThere(
        _ record: UnsafeMutablePointer<limpet_record>, _ source: ConnectionSource, _ member: ForwardingTable.Member,
        _ region: SharedRegion, now: UInt64
    ) -> Bool {
        let ports = SourcePorts(region, member, now: now)
        guard source.isTransparent else { return ports.areAllSpent(source.tag) }
        guard let client = Worker.client(record) else { return false }
        let hash = ConnectionSource.hash(client.address)
        return ports.end(of: Worker.column(hash), hash) != nil
    }

    /// Of a client's address. The bits that tell clients of one column apart are others.
    private static func column(_ hash: UInt64) -> Int { Int(hash >> 48) % Int(LIMPET_SOURCES) }

    /// The client, where it has an address that a connection can come from: one that came by a Unix socket has none, and
    /// the kernel chooses for it.
    private static func client(_ record: UnsafeMutablePointer<limpet_record>) -> Endpoint? {
        record.pointee.client.endpoint.flatMap { [.v4, .v6].contains($0.address.family) ? $0 : nil }
    }

    /// Whether connections to the backend can have the client's address, where they are to have it.
    static func isReachable(
        _ record: UnsafeMutablePointer<limpet_record>, _ source: ConnectionSource, _ member: ForwardingTable.Member
    ) -> Bool {
        guard source.isTransparent, member.address.isInternet, let client = Worker.client(record) else { return true }
        // One that is link-local means something on one link alone.
        if client.address.family == .v6, client.address.isLinkLocal { return false }
        let family = SocketAddress(client).family
        return family == member.address.family || member.others.contains { $0.family == family }
    }

    /// Starts the connect of a record's socket from one of the service's addresses. nil: it is under way, or done.
    mutating func connect(
        _ record: UnsafeMutablePointer<limpet_record>, _ source: ConnectionSource, _ member: ForwardingTable.Member
    ) -> NoSource? {
        let descriptor = record.pointee.descriptor.1
        guard member.address.isInternet else { return start(descriptor, member).map { .failed($0) } }
        if !member.others.isEmpty, Worker.isSpentThere(record, source, member, region, now: now) { return .ports }
        if source.mark != 0, let failure = StreamSocket.setMark(descriptor, source.mark) { return .failed(failure) }
        if !source.device.isEmpty, let failure = StreamSocket.bindDevice(descriptor, source.device) {
            return .failed(failure)
        }
        if source.isTransparent, let client = Worker.client(record) {
            return connect(record, asClient: SocketAddress(client.address, port: 0), member)
        }
        let addresses = source.addresses(member.address.family)
        if addresses.isEmpty {
            guard let failure = start(descriptor, member) else { return nil }
            guard failure == .addressNotAvailable else { return .failed(failure) }
            let ports = SourcePorts(region, member, now: now)
            ports.noteAll(source.tag, until: ports.now + SourcePorts.rest(after: Clock.now() - now, among: 1))
            return .ports
        }
        return connect(descriptor, from: addresses, source.tag, member)
    }

    private mutating func connect(
        _ descriptor: Int32, from addresses: [SocketAddress], _ tag: UInt16, _ member: ForwardingTable.Member
    ) -> NoSource? {
        let ports = SourcePorts(region, member, now: now)
        let turn = nextSource
        nextSource &+= 1
        var soonest = UInt64.max
        for step in addresses.indices {
            let position = Int((turn &+ UInt32(step)) % UInt32(addresses.count))
            let address = addresses[position]
            let hash = ConnectionSource.hash(address)
            if let end = ports.end(of: position, hash) {
                soonest = min(soonest, end)
                continue
            }
            let begin = Clock.now()
            var failure = StreamSocket.bindAddress(descriptor, to: address)
            let isMissing = failure == .addressNotAvailable
            if failure == nil {
                inject(LIMPET_AT_SOURCE_BOUND)
                failure = start(descriptor, member)
                if failure == nil { return nil }
            }
            guard let failure, failure == .addressNotAvailable else { return .failed(failure ?? .addressNotAvailable) }
            let end = ports.now + SourcePorts.rest(after: Clock.now() - begin, among: addresses.count)
            ports.note(position, hash, until: end)
            soonest = min(soonest, end)
            if isMissing {
                let which = Incident.source(position, isV6: address.family == SocketAddress.v6)
                incidents.add(
                    Incident(kind: .sourceMissing, slot: member.slot, errno: failure, connection: which))
            }
        }
        ports.noteAll(tag, until: soonest)
        return .ports
    }

    private mutating func connect(
        _ record: UnsafeMutablePointer<limpet_record>, asClient address: SocketAddress, _ member: ForwardingTable.Member
    ) -> NoSource? {
        let descriptor = record.pointee.descriptor.1
        guard address.family == member.address.family else { return .family }
        if let failure = StreamSocket.setTransparent(descriptor, family: address.family) { return .failed(failure) }
        if let failure = StreamSocket.bindAddress(descriptor, to: address) {
            return failure == .invalidArgument || failure == .addressNotAvailable ? .family : .failed(failure)
        }
        inject(LIMPET_AT_SOURCE_BOUND)
        let begin = Clock.now()
        guard let failure = start(descriptor, member) else { return nil }
        guard failure == .addressNotAvailable else { return .failed(failure) }
        let ports = SourcePorts(region, member, now: now)
        let hash = ConnectionSource.hash(address)
        let rest = SourcePorts.rest(after: Clock.now() - begin, among: Int(LIMPET_SOURCES))
        ports.note(Worker.column(hash), hash, until: ports.now + rest)
        return .ports
    }

    /// nil: under way, or connected already.
    private func start(_ descriptor: Int32, _ member: ForwardingTable.Member) -> Errno? {
        let failure = StreamSocket.connect(descriptor, to: member.address)
        return failure == .inProgress ? nil : failure
    }
}
