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

        /// What it collides with.
        var configuration: ListenerConfiguration {
            var configuration = ListenerConfiguration(address)
            configuration.device = device
            configuration.isV6Only = isV6Only
            return configuration
        }
    }

    let listeners: [Listener]

    /// Those that are in use.
    init(_ region: SharedRegion) {
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
        listeners.map { listener in
            WorkerListener(
                descriptor: listener.descriptors[worker], listener: UInt16(listener.slot),
                service: UInt16(listener.service),
                local: listener.address.endpoint.flatMap { $0.address.isUnspecified ? nil : SocketAddress($0) })
        }
    }

    /// A listener that was bound, and what its slot was used for before.
    struct Bound: Sendable {
        let slot: Int
        fileprivate let former: UInt8
        /// Whether it takes the place of one that listens until now: it does not listen yet.
        fileprivate let replaces: Bool
    }

    /// Binds what a configuration adds, or nothing, and names it in the region.
    /// - Parameters:
    ///   - services: of that configuration.
    ///   - own: where this daemon listens already.
    @discardableResult
    static func bind(
        _ opened: [SlotAssignment.OpenedListener], of services: [ServiceConfiguration], in region: SharedRegion,
        besides own: [ListenerConfiguration] = []
    ) throws(StartError) -> [Bound] {
        var done: [Bound] = []
        for listener in opened {
            done.append(
                Bound(
                    slot: listener.slot, former: region.listener(listener.slot).pointee.used,
                    replaces: listener.former != nil))
            do throws(SystemError) {
                try bind(
                    listener, options: SocketOptions(services[listener.service]), in: region,
                    isOurs: own.contains { $0.collides(with: listener.configuration) })
            } catch {
                unbind(done, in: region)
                throw StartError("\(error); \(cure(error.errno, at: listener.configuration, besides: own))")
            }
        }
        return done
    }

    /// Takes a ``bind(_:of:in:besides:)`` back.
    static func unbind(_ bound: [Bound], in region: SharedRegion) {
        for listener in bound {
            close(listener.slot, in: region)
            limpet_publish8(&region.listener(listener.slot).pointee.used, listener.former)
        }
    }

    /// Whether what a configuration adds could be bound, without listening there.
    static func checkBinding(
        _ opened: [SlotAssignment.OpenedListener], besides own: [ListenerConfiguration]
    ) throws(StartError) {
        for listener in opened {
            guard let endpoint = listener.configuration.address.endpoint else { continue }
            let isOurs = own.contains { $0.collides(with: listener.configuration) }
            do throws(SystemError) {
                Descriptor.close(
                    try StreamSocket.reserve(
                        endpoint, shared: isOurs, binding: BindingOptions(listener.configuration)))
            } catch {
                throw StartError("\(error); \(cure(error.errno, at: listener.configuration, besides: own))")
            }
        }
    }

    /// Closes a listener's sockets, whoever waits there. Its slot stays what it is.
    static func close(_ slot: Int, in region: SharedRegion) {
        let state = region.listener(slot)
        guard state.pointee.used != UInt8(LIMPET_SLOT_FREE) else { return }
        for worker in 0..<Int32(region.workerCount) {
            let named = limpet_listener_descriptor(state, worker)
            let descriptor = named.pointee
            guard descriptor >= 0 else { continue }
            named.pointee = -1
            limpet_order()
            Descriptor.close(descriptor)
        }
    }

    /// - Parameter isOurs: this daemon listens there already, at this port of another address.
    private static func bind(
        _ listener: SlotAssignment.OpenedListener, options: SocketOptions, in region: SharedRegion, isOurs: Bool
    ) throws(SystemError) {
        guard var bound = listener.configuration.address.endpoint else { return }
        let binding = BindingOptions(listener.configuration)
        // With SO_REUSEPORT a second daemon of the same user would be let in and silently take half of the clients.
        let reserved = isOurs ? nil : try StreamSocket.reserve(bound, shared: false, binding: binding)
        defer { if let reserved { Descriptor.close(reserved) } }
        if let reserved { bound = StreamSocket.localEndpoint(reserved) ?? bound }
        let state = region.listener(listener.slot)
        for worker in 0..<Int32(LIMPET_MAXIMUM_WORKERS) { limpet_listener_descriptor(state, worker).pointee = -1 }
        state.pointee.service = UInt16(listener.serviceSlot)
        // What an operator wants of who arrives holds for the listener, whatever its sockets.
        region.setAdmission(listener.former.map { region.admission(of: $0) } ?? .open, of: listener.slot)
        region.setBinding(binding, ofListener: listener.slot)
        // The address as it is bound: with the port that the kernel chose where the configuration says 0.
        state.pointee.address.set(bound)
        limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_LIVE))
        for worker in 0..<Int32(region.workerCount) {
            limpet_listener_descriptor(state, worker).pointee = try StreamSocket.listen(
                on: bound, shared: true, options: options, binding: binding, listens: listener.former == nil)
        }
    }

    static func cure(
        _ errno: Errno, at listener: ListenerConfiguration, besides own: [ListenerConfiguration]
    ) -> String {
        switch errno {
        case .addressInUse where own.contains { $0.name == listener.name }:
            "limpetd listens there itself, since before it gave up root, and these sockets cannot be changed: restart limpetd"
                + " for that"
        case .addressInUse where own.contains { $0.collides(with: listener) }:
            // Two users cannot share a port, and these sockets were made as root.
            "limpetd itself listens at that port of another address, since before it gave up root: take that out with one "
                + "reload and put this in with another"
        case .addressInUse: "another program listens there (ss -ltnp shows which): end it or choose another port"
        case .noSuchDevice:
            "this machine has no such network interface (ip link shows those that it has)"
        case .addressNotAvailable:
            "this machine has no such address (ip address shows those that it has; freebind binds it all the same)"
        case .accessDenied, .notPermitted:
            "a port below net.ipv4.ip_unprivileged_port_start needs root or CAP_NET_BIND_SERVICE"
        case .tooManyFiles: "raise the limit of open files (ulimit -n, LimitNOFILE=)"
        default: "check the address and the network configuration of this machine"
        }
    }
}

extension BindingOptions {
    init(_ listener: ListenerConfiguration) {
        self.init()
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
        userTimeout = Int32(clamping: (service.userTimeout?.nanoseconds ?? 0) / 1_000_000)
        receiveBuffer = Int32(clamping: service.receiveBuffer ?? 0)
        sendBuffer = Int32(clamping: service.sendBuffer ?? 0)
    }
}
