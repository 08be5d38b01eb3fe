import Addressing
import Configuration
import Forwarding
import Linux

/// What the sources of a configuration ask of this machine: capabilities, addresses, interfaces.
enum SourceNeeds {
    /// A key that only a privileged process can follow.
    struct Need: Equatable {
        let service: String
        let key: String
        let capability: Int32

        /// CAP_NET_ADMIN allows all that CAP_NET_RAW does here.
        var isMet: Bool { Privileges.has(capability) || Privileges.has(Privileges.networkAdministration) }

        var name: String { Privileges.name(of: capability) }
    }

    static func needs(of configuration: DaemonConfiguration) -> [Need] {
        configuration.services.flatMap { service in
            var needs: [Need] = []
            if service.listeners.contains(where: \.isIntercepting) {
                needs.append(
                    Need(
                        service: service.name, key: ConfigurationKeys.intercept.name,
                        capability: Privileges.rawNetwork))
            }
            if service.source.isTransparent {
                needs.append(
                    Need(
                        service: service.name, key: ConfigurationKeys.transparent.name,
                        capability: Privileges.rawNetwork))
            }
            if service.source.mark != nil {
                // Before Linux 5.17 it took the other one.
                let capability =
                    Kernel.isAtLeast(5, 17) ? Privileges.rawNetwork : Privileges.networkAdministration
                needs.append(Need(service: service.name, key: ConfigurationKeys.mark.name, capability: capability))
            }
            return needs
        }
    }

    /// Capabilities to keep for it, each once.
    static func capabilities(of configuration: DaemonConfiguration) -> [Int32] {
        Set(needs(of: configuration).map(\.capability)).sorted()
    }

    /// What this process cannot do that the configuration asks for, with its cure; nil: nothing.
    static func problem(_ configuration: DaemonConfiguration) -> String? {
        guard let need = needs(of: configuration).first(where: { !$0.isMet }) else { return nil }
        let bit = need.name.lowercased()
        return
            "service \(need.service): \(need.key) needs \(need.name), which limpetd does not have: start it as root, "
            + "or give it that (AmbientCapabilities=\(need.name) in its unit, or setcap \(bit)+ep)"
    }

    /// The same of a reload. What a daemon has given up it cannot take back.
    static func reloadProblem(_ configuration: DaemonConfiguration) -> String? {
        guard let need = needs(of: configuration).first(where: { !$0.isMet }) else { return nil }
        return "service \(need.service): \(need.key) needs \(need.name), which limpetd has not kept, as nothing needed "
            + "it when it was started: restart limpetd for that"
    }

    /// Addresses and interfaces that are not there, one line each. They may come yet.
    static func warnings(_ configuration: DaemonConfiguration) -> [String] {
        configuration.services.flatMap { service in
            let addresses = [IPAddress.Family.v4, .v6].flatMap { service.source.addresses($0) }
            let missing = addresses.filter { !StreamSocket.isOwn(SocketAddress($0, port: 0)) }
            var lines: [String] = []
            if let first = missing.first {
                let which =
                    missing.count == 1
                    ? "\(first) of \"source\" is no address of this machine"
                    : "\(missing.count) of the \(addresses.count) addresses of \"source\" are none of this machine's, "
                        + "\(first) among them"
                lines.append(
                    "service \(service.name): \(which): connections come from the others as long as that is so "
                        + "(ip address add, or ip route add local PREFIX dev lo)")
            }
            if let device = service.source.device, !NetworkInterface.exists(device) {
                lines.append(
                    "service \(service.name): there is no network interface \"\(device)\": no backend can be reached as "
                        + "long as that is so (ip link shows those that there are)")
            }
            return lines
        }
    }
}

extension ConnectionSource {
    convenience init(_ source: SourceConfiguration) {
        self.init(
            v4: source.addresses(.v4).map { SocketAddress($0, port: 0) },
            v6: source.addresses(.v6).map { SocketAddress($0, port: 0) }, isTransparent: source.isTransparent,
            mark: source.mark ?? 0, device: Array((source.device ?? "").utf8))
    }
}
