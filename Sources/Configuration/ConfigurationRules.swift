import Addressing
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
            checkSource(service, place)
            checkProxy(service, place)
            checkNetworks(service, place)
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
            let own = ListenerConfiguration(metrics)
            guard let other = service.listeners.first(where: { $0.collides(with: own) }) else { continue }
            let owner = self.place(service, index).first.map { " of \($0)" } ?? ""
            findings.report(place, "\(metrics) collides with the listener \(other.name)\(owner): choose another port")
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
            backends.map { $0.address == .refused ? "" : "\($0.address) \($0.family)" })
        {
            findings.warn(
                place(servicePlace, backends[second], second),
                "the same address as backend \(quoted(backends[first].name)) (\(backends[first].address))")
        }
        for (index, backend) in backends.enumerated() {
            guard case .unix(let path) = backend.address else { continue }
            if service.listeners.contains(where: { $0.address == .unix(path) }) {
                findings.report(
                    place(servicePlace, backend, index),
                    "\(path) is where the service itself listens: connections would go round in a circle")
            }
            let check = backend.health ?? service.health
            guard (check.port == nil) != (check.address == nil) else { continue }
            let (given, missing) = check.port == nil ? ("address", "port") : ("port", "address")
            findings.report(
                place(servicePlace, backend, index),
                "\(backend.address) has neither an address nor a port of its own: its check has \"\(given)\" and needs "
                    + "\"\(missing)\" as well")
        }
        for (index, backend) in backends.enumerated() {
            for listener in service.listeners
            where backend.address.endpoint.map({ listener.isReached(by: $0) }) ?? false {
                findings.report(
                    place(servicePlace, backend, index),
                    "\(backend.address) is where the service itself listens (\(listener.name)): connections would go "
                        + "round in a circle")
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

    /// No two listeners may ask for the same connections, and there is a bound on how many there are.
    private func checkListeners(_ services: [ServiceConfiguration]) {
        let count = services.reduce(0) { $0 + $1.listeners.count }
        guard count <= ListenerConfiguration.most else {
            findings.report(
                [],
                "\(count) listeners are configured, and one limpetd takes \(ListenerConfiguration.most); divide them "
                    + "among several")
            return
        }
        var seen: [(service: Int, listener: ListenerConfiguration)] = []
        for (index, service) in services.enumerated() {
            for listener in service.listeners {
                if let other = seen.first(where: { $0.listener.collides(with: listener) }) {
                    let owner = other.service == index ? "" : " of \(place(services[other.service], other.service)[0])"
                    findings.report(
                        place(service, index) + [form == .file ? "listen" : "--listen"],
                        other.listener.name == listener.name
                            ? "\(listener.name) is a listener\(owner) already"
                            : "\(listener.name) collides with \(other.listener.name)\(owner): a port of all "
                                + (other.listener.address == listener.address
                                    ? "interfaces cannot be listened on at one of them as well"
                                    : "addresses cannot be listened on at one of them as well"))
                }
                seen.append((index, listener))
            }
        }
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
