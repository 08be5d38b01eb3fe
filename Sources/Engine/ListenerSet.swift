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
        /// As bound: with the port that the kernel chose where the configuration says 0.
        let address: ListenerAddress
        let device: String?
        let isV6Only: Bool
        /// One per worker.
        let descriptors: [Int32]

        var name: String { address.name(on: device) }

        /// Whether clients can connect: one of its sockets is enough for the kernel.
        var isListening: Bool { descriptors.contains { $0 >= 0 && StreamSocket.isListening($0) } }

        /// What it collides with.
        var configuration: ListenerConfiguration {
            var configuration = ListenerConfiguration(address)
            configuration.device = device
            configuration.isV6Only = isV6Only
            return configuration
        }
    }

    let listeners: [Listener]
    let region: SharedRegion

    /// Those that are in use.
    init(_ region: SharedRegion) {
        self.region = region
        listeners = (0..<region.listenerSlots).compactMap { slot in
            let state = region.listener(slot)
            guard state.pointee.used == UInt8(LIMPET_SLOT_LIVE), let address = region.listenerAddress(slot) else {
                return nil
            }
            return Listener(
                slot: slot, service: Int(state.pointee.service), address: address, device: region.listenerDevice(slot),
                isV6Only: !region.isDual(listener: slot),
                descriptors: (0..<region.workerCount).map { limpet_listener_descriptor(state, Int32($0)).pointee })
        }
    }

    /// In the order of the services; those of one service by slot.
    func ordered(by serviceSlots: [Int]) -> [Listener] {
        serviceSlots.flatMap { service in listeners.filter { $0.service == service } }
    }

    /// What one worker gets.
    func forWorker(_ worker: Int) -> [WorkerListener] {
        listeners.map { region.workerListener($0.slot, of: worker) }
    }

    /// Of a Unix socket.
    private static func cure(_ errno: Errno) -> String {
        switch errno {
        case .addressInUse: "another program listens there (ss -lxp shows which): end it or choose another path"
        case .exists: "what is there is no socket: remove it or choose another path"
        case .noSuchFile, .notADirectory:
            "make the directory first (RuntimeDirectory= of systemd.exec(5), tmpfiles.d(5))"
        case .accessDenied, .readOnly: "this user needs the right to write to that directory: give it one of its own"
        case .notPermitted: "only root may give a file to others: restart limpetd as root, or leave owner and group out"
        case .tooManyFiles: "raise the limit of open files (ulimit -n, LimitNOFILE=)"
        default: "choose another path"
        }
    }

    static func cure(
        _ errno: Errno, at listener: ListenerConfiguration, besides own: [ListenerConfiguration]
    ) -> String {
        if case .unix = listener.address { return cure(errno) }
        return switch errno {
        case .addressInUse where own.contains { $0.name == listener.name }:
            "limpetd listens there itself, with sockets that were passed to it or made before it gave up root, and they cannot"
                + " be changed: restart limpetd for that"
        case .addressInUse where own.contains { $0.collides(with: listener) }:
            // Two users cannot share a port, and these sockets were made as root.
            "limpetd itself listens at that port of another address, since before it gave up root: take that out with one "
                + "reload and put this in with another"
        case .addressInUse: "another program listens there (ss -ltnp shows which): end it or choose another port"
        case .noSuchDevice:
            "this machine has no such network interface (ip link shows those that it has)"
        case .addressNotAvailable:
            "this machine has no such address (ip address shows those that it has; freebind binds it all the same)"
        case .notPermitted where listener.device != nil:
            "before Linux 5.7 only root, or who has CAP_NET_RAW, may bind to an interface: start limpetd as root, or leave device"
                + " out"
        case .accessDenied, .notPermitted:
            "a port below net.ipv4.ip_unprivileged_port_start needs root or CAP_NET_BIND_SERVICE"
        case .tooManyFiles: "raise the limit of open files (ulimit -n, LimitNOFILE=)"
        default: "check the address and the network configuration of this machine"
        }
    }
}

extension BindingOptions {
    init(_ listener: ListenerConfiguration, slot: Int) {
        self.init()
        if listener.isIntercepting { interception = Int32(slot) + 1 }
        device = listener.device
        isFree = listener.isFree
        isV6Only = listener.isV6Only
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
        if service.isClientFirst {
            deferAccept = max(1, Int32(clamping: (service.connectTimeout.nanoseconds + 999_999_999) / 1_000_000_000))
        }
        userTimeout = Int32(clamping: (service.userTimeout?.nanoseconds ?? 0) / 1_000_000)
        receiveBuffer = Int32(clamping: service.receiveBuffer ?? 0)
        sendBuffer = Int32(clamping: service.sendBuffer ?? 0)
    }
}
