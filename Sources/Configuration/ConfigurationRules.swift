public import Addressing
import Stickiness

/// What has to hold between the parts of a configuration, each of which is right by itself.
struct ConfigurationRules {
    let form: TableReader.Form
    let findings: Findings

    func check(_ configuration: DaemonConfiguration) {
        checkServiceNames(configuration.services)
        for (index, service) in configuration.services.enumerated() {
            let place = place(service, index)
            checkBackends(service, place)
            checkMask(service, place)
        }
        checkListeners(configuration.services)
        checkMetrics(configuration)
    }

    /// The address of the metrics, which flags may have put in the place of the file's.
    func checkMetrics(_ configuration: DaemonConfiguration) {
        guard let metrics = configuration.metrics else {
            if configuration.statusPage.isServed {
                findings.warn(
                    [ConfigurationKeys.statusPage.name],
                    "there is no page without \"\(ConfigurationKeys.metrics.name)\": it is served at that address")
            }
            return
        }
        let place = [form == .flags ? "--\(ConfigurationKeys.metrics.name)" : ConfigurationKeys.metrics.name]
        for (index, service) in configuration.services.enumerated() {
            guard let other = service.listeners.first(where: { $0.collides(with: metrics) }) else { continue }
            let owner = self.place(service, index).first.map { " of \($0)" } ?? ""
            findings.report(place, "\(metrics) collides with the listener \(other)\(owner): choose another port")
        }
        if !metrics.address.isLoopback {
            findings.warn(
                place, "\(metrics) can be reached from elsewhere, and whoever reaches it reads what is served there")
        }
    }

    /// A service whose name was refused is called by its number.
    private func place(_ service: ServiceConfiguration, _ index: Int) -> [String] {
        guard form == .file else { return [] }
        return [service.name.isEmpty ? "service \(index + 1)" : "service \(quoted(service.name))"]
    }

    private func place(_ service: [String], _ backend: BackendConfiguration, _ index: Int) -> [String] {
        service + [backend.name.isEmpty ? "backend \(index + 1)" : "backend \(quoted(backend.name))"]
    }

    private func checkServiceNames(_ services: [ServiceConfiguration]) {
        for (first, second) in ConfigurationRules.repetitions(services.map(\.name)) {
            findings.report(
                place(services[second], second), "the name is used twice (services \(first + 1) and \(second + 1))")
        }
    }

    private func checkBackends(_ service: ServiceConfiguration, _ servicePlace: [String]) {
        let backends = service.backends
        for (first, second) in ConfigurationRules.repetitions(backends.map(\.name)) {
            findings.report(
                place(servicePlace, backends[second], second),
                "the name is used twice (backends \(first + 1) and \(second + 1))")
        }
        for (first, second) in ConfigurationRules.repetitions(
            backends.map { $0.address == .refused ? "" : $0.address.description })
        {
            findings.warn(
                place(servicePlace, backends[second], second),
                "the same address as backend \(quoted(backends[first].name)) (\(backends[first].address))")
        }
        for (index, backend) in backends.enumerated() where backend.address.isUnix {
            let check = backend.health ?? service.health
            guard (check.port == nil) != (check.address == nil) else { continue }
            let (given, missing) = check.port == nil ? ("address", "port") : ("port", "address")
            findings.report(
                place(servicePlace, backend, index),
                "\(backend.address) has neither an address nor a port of its own: its check has \"\(given)\" and needs "
                    + "\"\(missing)\" as well, or a check of the backend's own")
        }
        for (index, backend) in backends.enumerated() {
            for listener in service.listeners
            where backend.address.endpoint.map({ ConfigurationRules.reaches($0, listener) }) ?? false {
                findings.report(
                    place(servicePlace, backend, index),
                    "\(backend.address) is where the service itself listens (\(listener)): connections would go round "
                        + "in a circle")
            }
        }
    }

    private func checkMask(_ service: ServiceConfiguration, _ place: [String]) {
        for (key, bits, family) in [
            (ConfigurationKeys.ipv4Prefix, service.mask.ipv4, "IPv4"),
            (ConfigurationKeys.ipv6Prefix, service.mask.ipv6, "IPv6"),
        ] where bits == 0 && service.hashOn == .source {
            findings.warn(place, "\"\(key.name)\" is 0: all \(family) clients have the same home")
        }
    }

    /// No two listeners may ask for the same connections. SO_REUSEPORT would let them, which is why the daemon's
    /// probe binds without it; then, as tried on Linux 6.x, a port of `0.0.0.0` and the same port of any IPv4 address
    /// collide in either order, and the same in IPv6. The families do not meet: IPv6 listeners are IPV6_V6ONLY.
    private func checkListeners(_ services: [ServiceConfiguration]) {
        var seen: [(service: Int, endpoint: Endpoint)] = []
        for (index, service) in services.enumerated() {
            for endpoint in service.listeners {
                if let other = seen.first(where: { $0.endpoint.collides(with: endpoint) }) {
                    let owner = other.service == index ? "" : " of \(place(services[other.service], other.service)[0])"
                    findings.report(
                        place(service, index) + [form == .file ? "listen" : "--listen"],
                        other.endpoint == endpoint
                            ? "\(endpoint) is a listener\(owner) already"
                            : "\(endpoint) collides with \(other.endpoint)\(owner): a port of all addresses cannot be "
                                + "listened on at one of them as well")
                }
                seen.append((index, endpoint))
            }
        }
    }

    /// Whether a connection to `target` would arrive at `listener`, as far as that can be seen from here.
    static func reaches(_ target: Endpoint, _ listener: Endpoint) -> Bool {
        guard target.port == listener.port, target.port != 0 else { return false }
        return target.address == listener.address
            || (listener.address.isUnspecified && target.address.isLoopback
                && listener.address.family == target.address.family)
    }

    /// Pairs of positions that hold the same text, each later one with the first; empty texts do not count.
    private static func repetitions(_ texts: [String]) -> [(Int, Int)] {
        var first: [String: Int] = [:]
        var pairs: [(Int, Int)] = []
        for (index, text) in texts.enumerated() where !text.isEmpty {
            if let earlier = first[text] { pairs.append((earlier, index)) } else { first[text] = index }
        }
        return pairs
    }
}

extension Endpoint {
    /// Whether two listeners at these addresses would ask for the same connections, so that one keeps the other from being
    /// bound: the same port of the same address, or of one address and all of its family. Port 0 is nobody's.
    public func collides(with other: Endpoint) -> Bool {
        guard port == other.port, port != 0, address.family == other.address.family else { return false }
        return address == other.address || address.isUnspecified || other.address.isUnspecified
    }
}
