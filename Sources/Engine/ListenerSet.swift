import Addressing
import Configuration
import Forwarding
import Linux

/// The listening sockets of all services: bound as the user that started the daemon, one per worker and address.
struct ListenerSet: Sendable {
    struct Listener: Sendable {
        /// Index of its service.
        let service: Int
        /// As bound: with the port that the kernel chose where the configuration says 0.
        let address: Endpoint
        /// One per worker.
        let descriptors: [Int32]
    }

    let listeners: [Listener]

    /// Binds everything, or nothing.
    init(_ services: [ServiceConfiguration], workers: Int) throws(StartError) {
        var listeners: [Listener] = []
        do throws(SystemError) {
            for (index, service) in services.enumerated() {
                for endpoint in service.listeners {
                    listeners.append(
                        try ListenerSet.bind(
                            endpoint, service: index, workers: workers, options: SocketOptions(service)))
                }
            }
        } catch {
            for descriptor in listeners.flatMap(\.descriptors) { Descriptor.close(descriptor) }
            throw StartError("\(error); \(ListenerSet.cure(error.errno))")
        }
        self.listeners = listeners
    }

    /// Names all of them in the region, where the workers find them.
    func name(in region: SharedRegion) {
        for (slot, listener) in listeners.enumerated() {
            region.nameListener(
                slot, service: listener.service, address: listener.address, descriptors: listener.descriptors)
        }
    }

    private static func bind(
        _ endpoint: Endpoint, service: Int, workers: Int, options: SocketOptions
    ) throws(SystemError) -> Listener {
        // With SO_REUSEPORT a second daemon of the same user would be let in and silently take half of the clients.
        let probe = try StreamSocket.listen(on: endpoint, shared: false, options: options)
        let bound = StreamSocket.localEndpoint(probe) ?? endpoint
        Descriptor.close(probe)
        var descriptors: [Int32] = []
        do throws(SystemError) {
            for _ in 0..<workers {
                descriptors.append(try StreamSocket.listen(on: bound, shared: true, options: options))
            }
        } catch {
            for descriptor in descriptors { Descriptor.close(descriptor) }
            throw error
        }
        return Listener(service: service, address: bound, descriptors: descriptors)
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
