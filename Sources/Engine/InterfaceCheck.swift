import Addressing
public import Configuration
import Linux

/// Network interfaces that a configuration names.
enum InterfaceCheck {
    /// Refuses a zone whose interface there is not: the kernel would only say that the address is no good.
    static func zones(_ configuration: DaemonConfiguration) throws(StartError) {
        try check(configuration.metrics?.zone, "metrics")
        for service in configuration.services {
            for listener in service.listeners {
                try check(listener.address.endpoint?.zone, "service \(service.name): listen \(listener.name)")
            }
            for backend in service.backends {
                try check(
                    backend.address.endpoint?.zone,
                    "service \(service.name): backend \(backend.name): \(backend.address)")
            }
        }
    }

    /// The same of the devices of listeners, which the kernel itself is clear about.
    static func devices(_ configuration: DaemonConfiguration) throws(StartError) {
        for service in configuration.services {
            for listener in service.listeners {
                try check(listener.device.flatMap { Zone($0) }, "service \(service.name): listen \(listener.name)")
            }
        }
    }

    private static func check(_ zone: Zone?, _ place: String) throws(StartError) {
        guard let zone, !zone.isNone, zone.interface.map({ Zone(index: $0).named == Zone(index: $0) }) ?? true else {
            return
        }
        throw StartError(
            "\(place): this machine has no network interface \(zone) (ip link shows those that it has)")
    }
}

/// Why a start would fail here for want of a network interface, for `--check`; nil: it would not.
public func interfaceProblem(of configuration: DaemonConfiguration) -> String? {
    do throws(StartError) {
        try InterfaceCheck.zones(configuration)
        try InterfaceCheck.devices(configuration)
        return nil
    } catch {
        return error.description
    }
}
