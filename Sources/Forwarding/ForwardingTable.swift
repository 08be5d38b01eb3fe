public import Addressing
public import Backends
public import Linux
public import Stickiness

/// What the workers know of the configuration: an immutable snapshot that all of them share.
///
/// Services, backends and listeners have slots: small numbers that stay with them as long as the daemon lives, so that
/// a record and a counter can name them.
public final class ForwardingTable: Sendable {
    /// Indexed by service slot.
    public let services: [Service]

    /// By listener slot: who may come by it; nil, or an array that ends before: everybody.
    public let listenerRules: [AccessRules?]
    /// Whether any service remembers its clients.
    let hasAffinity: Bool

    public init(services: [Service], listenerRules: [AccessRules?] = []) {
        self.services = services
        self.listenerRules = listenerRules
        hasAffinity = services.contains { $0.affinity != 0 }
    }

    /// Nanoseconds for which a service remembers its clients; 0: not at all.
    func affinity(ofService slot: UInt16) -> UInt64 {
        Int(slot) < services.count ? services[Int(slot)].affinity : 0
    }

    public struct Service: Sendable {
        public let keyer: SourceKeyer
        public let rendezvous: Rendezvous
        /// Where each member of the rendezvous is, in its order.
        public let members: [Member]
        public let options: SocketOptions
        /// Nanoseconds; 0: off.
        public let connectTimeout: UInt64
        public let idleTimeout: UInt64
        public let halfCloseTimeout: UInt64
        /// Backends to try, 1 to 64.
        public let connectAttempts: Int
        public let whenAllDown: WhenAllDown
        public let limits: ServiceLimits
        /// The header that backends get ahead of the client's bytes; nil: none.
        public let sendProxy: ProxyHeader.Version?
        /// What it says beside the addresses, in version 2.
        public let proxyAdditions: ProxyAdditions
        /// From whom such a header is taken; nil: nobody looks for one.
        public let acceptProxy: AcceptedProxies?
        /// Where connections to backends come from.
        public let source: ConnectionSource
        /// Who may come in; nil: everybody.
        public let rules: AccessRules?
        /// Nanoseconds after its last connection for which a client keeps its backend; 0: its home alone decides.
        public let affinity: UInt64

        public init(
            keyer: SourceKeyer, rendezvous: Rendezvous, members: [Member], options: SocketOptions,
            connectTimeout: UInt64, idleTimeout: UInt64, halfCloseTimeout: UInt64, connectAttempts: Int,
            whenAllDown: WhenAllDown = .any, limits: ServiceLimits = ServiceLimits(),
            sendProxy: ProxyHeader.Version?, proxyAdditions: ProxyAdditions = [], acceptProxy: AcceptedProxies? = nil,
            source: ConnectionSource = .automatic, rules: AccessRules? = nil, affinity: UInt64 = 0
        ) {
            self.keyer = keyer
            self.rendezvous = rendezvous
            self.members = members
            self.options = options
            self.connectTimeout = connectTimeout
            self.idleTimeout = idleTimeout
            self.halfCloseTimeout = halfCloseTimeout
            self.connectAttempts = connectAttempts
            self.whenAllDown = whenAllDown
            self.limits = limits
            self.sendProxy = sendProxy
            self.proxyAdditions = proxyAdditions
            self.acceptProxy = acceptProxy
            self.source = source
            self.rules = rules
            self.affinity = affinity
        }
    }

    public struct Member: Sendable {
        /// The backend's slot in the shared region.
        public let slot: UInt16
        public let address: SocketAddress
        /// Where it is as well: tried in this order where a connect to ``address`` fails.
        public let others: [SocketAddress]
        /// False: it is given by a name of which no address is known, and cannot be connected to.
        public let hasAddress: Bool
        /// The weight in force, in tenths; counts where loads are compared.
        public let tenths: Int

        public init(
            slot: UInt16, address: SocketAddress, others: [SocketAddress] = [], hasAddress: Bool = true,
            tenths: Int = 10
        ) {
            self.slot = slot
            self.address = address
            self.others = others
            self.hasAddress = hasAddress
            self.tenths = tenths
        }
    }
}

/// A socket that was accepted by an engine which died before it could record it.
public struct AcceptedSocket: Equatable, Sendable {
    public let descriptor: Int32
    /// Slot of the listener that it came by.
    public let listener: UInt16

    public init(descriptor: Int32, listener: UInt16) {
        self.descriptor = descriptor
        self.listener = listener
    }
}

/// A listening socket as a worker gets it.
public struct WorkerListener: Sendable {
    public let descriptor: Int32
    /// Slots of the listener and of its service.
    public let listener: UInt16
    public let service: UInt16
    /// The address that is bound, where it is one address: accepted sockets then need not be asked for theirs.
    public let local: SocketAddress?
    /// Whether all workers accept from the same socket, each by a descriptor of its own.
    public let isShared: Bool
    /// Whether its socket was passed to the daemon: clients may have come by it before it got its options.
    public let isInherited: Bool

    public init(
        descriptor: Int32, listener: UInt16, service: UInt16, local: SocketAddress?, isShared: Bool = false,
        isInherited: Bool = false
    ) {
        self.descriptor = descriptor
        self.listener = listener
        self.service = service
        self.local = local
        self.isShared = isShared
        self.isInherited = isInherited
    }
}
