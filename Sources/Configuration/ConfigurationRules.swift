import Addressing
import Stickiness

/// What has to hold between the parts of a configuration, each of which is right by itself.
struct ConfigurationRules {
    let form: TableReader.Form
    let findings: Findings

    func check(_ configuration: DaemonConfiguration) {
        checkServiceNames(configuration.services)
        for service in configuration.services {
            checkBackends(service)
            checkMask(service)
        }
        checkListeners(configuration.services)
    }

    private func place(_ service: ServiceConfiguration) -> [String] {
        form == .file ? ["service \(quoted(service.name))"] : []
    }

    private func checkServiceNames(_ services: [ServiceConfiguration]) {
        for (first, second) in ConfigurationRules.repetitions(services.map(\.name)) {
            findings.report(
                place(services[second]), "the name is used twice (services \(first + 1) and \(second + 1))")
        }
    }

    private func checkBackends(_ service: ServiceConfiguration) {
        let backends = service.backends
        for (first, second) in ConfigurationRules.repetitions(backends.map(\.name)) {
            findings.report(
                place(service) + ["backend \(quoted(backends[second].name))"],
                "the name is used twice (backends \(first + 1) and \(second + 1))")
        }
        // Port 0 marks an address that was refused already.
        for (first, second) in ConfigurationRules.repetitions(
            backends.map { $0.address.port == 0 ? "" : $0.address.description })
        {
            findings.warn(
                place(service) + ["backend \(quoted(backends[second].name))"],
                "the same address as backend \(quoted(backends[first].name)) (\(backends[first].address))")
        }
        for backend in backends {
            for listener in service.listeners where ConfigurationRules.reaches(backend.address, listener) {
                findings.report(
                    place(service) + ["backend \(quoted(backend.name))"],
                    "\(backend.address) is where the service itself listens (\(listener)): connections would go round "
                        + "in a circle")
            }
        }
    }

    private func checkMask(_ service: ServiceConfiguration) {
        for (key, bits, family) in [
            (ConfigurationKeys.ipv4Prefix, service.mask.ipv4, "IPv4"),
            (ConfigurationKeys.ipv6Prefix, service.mask.ipv6, "IPv6"),
        ] where bits == 0 && service.hashOn == .source {
            findings.warn(place(service), "\"\(key.name)\" is 0: all \(family) clients have the same home")
        }
    }

    /// No two listeners may ask for the same connections. SO_REUSEPORT would let them, which is why the daemon's
    /// probe binds without it; then, as tried on Linux 6.x, a port of `0.0.0.0` and the same port of any IPv4 address
    /// collide in either order, and the same in IPv6. The families do not meet: IPv6 listeners are IPV6_V6ONLY.
    private func checkListeners(_ services: [ServiceConfiguration]) {
        var seen: [(service: ServiceConfiguration, endpoint: Endpoint)] = []
        for service in services {
            for endpoint in service.listeners {
                if let other = seen.first(where: { ConfigurationRules.collide($0.endpoint, endpoint) }) {
                    let owner = other.service.name == service.name ? "" : " of service \(quoted(other.service.name))"
                    findings.report(
                        place(service) + [form == .file ? "listen" : "--listen"],
                        other.endpoint == endpoint
                            ? "\(endpoint) is a listener\(owner) already"
                            : "\(endpoint) collides with \(other.endpoint)\(owner): a port of all addresses cannot be "
                                + "listened on at one of them as well")
                }
                seen.append((service, endpoint))
            }
        }
    }

    static func collide(_ one: Endpoint, _ other: Endpoint) -> Bool {
        guard one.port == other.port, one.port != 0, one.address.family == other.address.family else { return false }
        return one.address == other.address || one.address.isUnspecified || other.address.isUnspecified
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
