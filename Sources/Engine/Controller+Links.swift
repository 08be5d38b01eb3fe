import Addressing
import Configuration
import Linux
import Logging

/// Network interfaces by which link-local backends are reached. The kernel knows them by their indices, and one that is
/// deleted and made again has another.
extension Topology {
    /// As they are now, of all that services name; 0: there is none.
    static func links(of services: [Service]) -> [Zone: UInt32] {
        var links: [Zone: UInt32] = [:]
        for service in services {
            for backend in service.configuration.backends {
                guard let zone = backend.address.endpoint?.zone, zone.index == nil, links[zone] == nil else { continue }
                links[zone] = zone.interface ?? 0
            }
        }
        return links
    }

    /// With the index of its interface in the place of the name. Where there is no such interface, with none: the kernel
    /// refuses the connect.
    func located(_ endpoint: Endpoint) -> Endpoint {
        guard let index = links[endpoint.zone] else { return endpoint }
        return Endpoint(address: endpoint.address, port: endpoint.port, zone: Zone(index: index))
    }
}

extension Controller {
    /// Has the workers go by the interfaces as they are. Called once a second.
    func noteLinks() {
        let changed = topology.links.filter { $0.key.interface ?? 0 != $0.value }
        guard !changed.isEmpty else { return }
        do throws(StartError) {
            try rebuild {}
        } catch {
            return log.error("network interfaces have changed, and connections do not go by it: \(error)")
        }
        for zone in changed.keys.sorted(by: { $0.description < $1.description }) {
            if topology.links[zone] == 0 {
                log.warning("there is no network interface \(zone) now: its backends cannot be reached (ip link)")
            } else {
                log.info("network interface \(zone) was made anew: connections to its backends go by it")
            }
        }
    }
}
