public import Addressing
public import Linux

/// Something that a worker could not do, of which the operator should read.
public struct Incident: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// A connect to the backend failed.
        case connect
        /// A backend has accepted a connection, and reset it at once without a word. The client may be to blame.
        case resetAtOnce
        /// A connect failed for a lack of this machine: descriptors, ports, memory.
        case local
        /// No local address had a port left for a connection to the backend.
        case sourcePorts
        /// An address that connections to the backend are to come from is none of this machine's: ``Incident/connection``
        /// says which: see ``Incident/source``.
        case sourceMissing
        /// The backend can have no connection from the client's address, which is of the other family, or link-local.
        case clientFamily
        /// No backend of the service was eligible, or all attempts failed. The client was reset.
        case exhausted
        /// An accept or a pipe found no descriptor left.
        case descriptors
        /// The connection limit was reached and accepting paused.
        case limit
        /// A client was reset because its service has as many connections as it may.
        case serviceLimit
        /// A client was reset because it has as many connections as it may.
        case clientLimit
        /// A client was reset because it opened connections faster than it may.
        case clientRate
        /// A connection was reset because three engines in a row died with it in hand.
        case quarantined
        /// A connection was reset because it could not be told, after a death, which of its bytes had been sent.
        case unrecoverable
        /// A client was reset because an access list does not let it in. Of the slot of its listener.
        case denied
        /// The socket of a listener does not listen. Of its slot.
        case notListening
        /// A trusted proxy was reset because of what came in the place of its PROXY header.
        case proxyHeader(ProxyFlaw)
        /// A client was reset because it sent a PROXY header and is no trusted proxy.
        case proxyUntrusted
    }

    public let kind: Kind
    /// Slot of the backend; of the listener for ``Kind/denied`` and ``Kind/notListening``; of the service for ``Kind/exhausted``, the limits of services and clients, PROXY headers, ``Kind/quarantined``
    /// and ``Kind/unrecoverable``; 0 otherwise.
    public let slot: UInt16
    public let errno: Errno
    /// Id of the connection, where it is about one; otherwise 0.
    public let connection: UInt64
    /// Who was connected, where that is of use: of the first of several that are alike, which it plays no part in.
    public let peer: IPAddress?

    public init(kind: Kind, slot: UInt16, errno: Errno, connection: UInt64 = 0, peer: IPAddress? = nil) {
        self.kind = kind
        self.slot = slot
        self.errno = errno
        self.connection = connection
        self.peer = peer
    }

    public static func == (left: Incident, right: Incident) -> Bool {
        left.kind == right.kind && left.slot == right.slot && left.errno == right.errno
            && left.connection == right.connection
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(slot)
        hasher.combine(errno)
        hasher.combine(connection)
    }
}

extension Incident {
    /// Of ``Kind/sourceMissing``: the position of the address among those of its family.
    public var source: (position: Int, isV6: Bool) { (Int(connection & 0xff), connection & 0x100 != 0) }

    static func source(_ position: Int, isV6: Bool) -> UInt64 { UInt64(position) | (isV6 ? 0x100 : 0) }
}

/// Where workers leave incidents, counted by kind, and the control plane collects them. Any thread may use it; a storm
/// of one kind costs one entry.
public final class IncidentBoard: Sendable {
    private let counts = Locked<[Incident: UInt64]>([:])
    private let notify: @Sendable () -> Void

    /// - Parameter notify: called on a worker when the board stops being empty. Must not block.
    public init(notify: @escaping @Sendable () -> Void) {
        self.notify = notify
    }

    func add(_ incident: Incident) {
        let first = counts.with { counts in
            let wasEmpty = counts.isEmpty
            counts[incident, default: 0] += 1
            return wasEmpty
        }
        if first { notify() }
    }

    /// What happened since the last call, with how often.
    public func takeAll() -> [Incident: UInt64] {
        counts.with { counts in
            let taken = counts
            counts.removeAll()
            return taken
        }
    }
}
