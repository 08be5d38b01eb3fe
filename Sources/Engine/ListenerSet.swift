import Addressing
import CLayout
import Configuration
import Forwarding
import Linux

/// The listening sockets of all services, one per worker and address: bound by the keeper, as the user that started the
/// daemon, and named in the shared region.
struct ListenerSet: Sendable {
    struct Listener: Sendable {
        /// In the shared region.
        let slot: Int
        /// Slot of its service.
        let service: Int
        let address: Endpoint
        /// One per worker.
        let descriptors: [Int32]
    }

    let listeners: [Listener]

    /// Those that are in use.
    init(_ region: SharedRegion) {
        listeners = (0..<region.listenerSlots).compactMap { slot in
            let state = region.listener(slot)
            guard state.pointee.used == UInt8(LIMPET_SLOT_LIVE), let address = state.pointee.address.endpoint else {
                return nil
            }
            return Listener(
                slot: slot, service: Int(state.pointee.service), address: address,
                descriptors: (0..<region.workerCount).map { limpet_listener_descriptor(state, Int32($0)).pointee })
        }
    }

    /// Binds everything, in the first slots of the region. What was bound before one failed stays open: the start has
    /// failed, and with the process it goes.
    static func bind(_ services: [ServiceConfiguration], in region: SharedRegion) throws(StartError) {
        var slot = 0
        do throws(SystemError) {
            for (index, service) in services.enumerated() {
                for endpoint in service.listeners {
                    try bind(endpoint, service: index, options: SocketOptions(service), slot: slot, in: region)
                    slot += 1
                }
            }
        } catch {
            throw StartError("\(error); \(ListenerSet.cure(error.errno))")
        }
    }

    private static func bind(
        _ endpoint: Endpoint, service: Int, options: SocketOptions, slot: Int, in region: SharedRegion
    ) throws(SystemError) {
        // With SO_REUSEPORT a second daemon of the same user would be let in and silently take half of the clients.
        let probe = try StreamSocket.listen(on: endpoint, shared: false, options: options)
        let bound = StreamSocket.localEndpoint(probe) ?? endpoint
        Descriptor.close(probe)
        var descriptors: [Int32] = []
        for _ in 0..<region.workerCount {
            descriptors.append(try StreamSocket.listen(on: bound, shared: true, options: options))
        }
        // The address as it is bound: with the port that the kernel chose where the configuration says 0.
        region.nameListener(slot, service: service, address: bound, descriptors: descriptors)
    }

    private static func cure(_ errno: Errno) -> String {
        switch errno {
        case .addressInUse: "another program listens there (ss -ltnp shows which): end it or choose another port"
        case .addressNotAvailable: "this machine has no such address (ip address shows those that it has)"
        case .accessDenied, .notPermitted:
            "a port below net.ipv4.ip_unprivileged_port_start needs root or CAP_NET_BIND_SERVICE"
        case .tooManyFiles: "raise the limit of open files (ulimit -n, LimitNOFILE=)"
        default: "check the address and the network configuration of this machine"
        }
    }
}

extension SocketOptions {
    /// What a service sets on both sockets of its connections.
    init(_ service: ServiceConfiguration) {
        self.init()
        if let keepalive = service.keepalive {
            keepaliveIdle = Int32(clamping: keepalive.idle.components.seconds)
            keepaliveInterval = Int32(clamping: keepalive.interval.components.seconds)
            keepaliveCount = Int32(clamping: keepalive.count)
        }
        userTimeout = Int32(clamping: (service.userTimeout?.nanoseconds ?? 0) / 1_000_000)
        receiveBuffer = Int32(clamping: service.receiveBuffer ?? 0)
        sendBuffer = Int32(clamping: service.sendBuffer ?? 0)
    }
}
