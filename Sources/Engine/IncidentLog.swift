import Addressing
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// Turns incidents into log lines: the first of its kind at once, what follows as one count per window. Lives on the
/// control event loop.
final class IncidentLog: @unchecked Sendable {
    /// Failures of backends and of this machine.
    private static let window = TimeAmount.seconds(10)
    /// Lacks that last: descriptors and the connection limit.
    private static let longWindow = TimeAmount.seconds(60)

    /// The one in force.
    var topology: Topology
    private let events: EventHub
    private let log: Logger
    private let eventLoop: any EventLoop
    /// Incidents whose window is open, with how many came since the last line.
    private var suppressed: [Incident: UInt64] = [:]

    init(topology: Topology, events: EventHub, log: Logger, eventLoop: any EventLoop) {
        self.topology = topology
        self.events = events
        self.log = log
        self.eventLoop = eventLoop
    }

    func take(_ incidents: [Incident: UInt64]) {
        // What a client can bring about at will is not worth a line.
        for (incident, count) in incidents where incident.kind != .resetAtOnce {
            if let waiting = suppressed[incident] {
                suppressed[incident] = waiting + count
                continue
            }
            write(incident, count: 1, isFirst: true)
            suppressed[incident] = count - 1
            scheduleFlush(incident)
        }
    }

    /// Slots of backends are others' from now on: what is left to be said of those before is said now, by their names.
    func forget(backends: Set<Int>) {
        for (incident, count) in suppressed where incident.isOfBackend && backends.contains(Int(incident.slot)) {
            suppressed[incident] = nil
            if count > 0 { write(incident, count: count, isFirst: false) }
        }
    }

    private func scheduleFlush(_ incident: Incident) {
        let window =
            incident.kind == .descriptors || incident.kind == .limit ? IncidentLog.longWindow : IncidentLog.window
        eventLoop.scheduleTask(in: window) { [self] in
            guard let count = suppressed[incident] else { return }
            if count == 0 {
                suppressed[incident] = nil
                return
            }
            write(incident, count: count, isFirst: false)
            suppressed[incident] = 0
            scheduleFlush(incident)
        }
    }

    private func write(_ incident: Incident, count: UInt64, isFirst: Bool) {
        var metadata: Logger.Metadata = [:]
        if !isFirst { metadata["again"] = "\(count)" }
        let slot = Int(incident.slot)
        tell(incident, count)
        switch incident.kind {
        case .connect:
            metadata["backend"] = "\(topology.fullName(slot))"
            metadata["address"] = "\(topology.backends[slot].configuration.address)"
            log.warning("connect failed: \(incident.errno)", metadata: metadata)
        case .local:
            if slot < topology.backends.count { metadata["backend"] = "\(topology.fullName(slot))" }
            log.error("connect impossible here: \(incident.errno); \(cure(incident.errno, slot))", metadata: metadata)
        case .sourcePorts:
            metadata["backend"] = "\(topology.fullName(slot))"
            log.error("no local port is left for a connection to the backend: \(portsCure(slot))", metadata: metadata)
        case .sourceMissing:
            metadata["backend"] = "\(topology.fullName(slot))"
            metadata["source"] = "\(source(of: incident))"
            log.error(
                "a source address is none of this machine's: add it (ip address add) or take it out of source",
                metadata: metadata)
        case .clientFamily:
            metadata["backend"] = "\(topology.fullName(slot))"
            log.warning(
                """
                a client's address is of another family than the backend's, or link-local: with transparent there is no \
                way from one to the other
                """, metadata: metadata)
        case .exhausted:
            metadata["service"] = "\(topology.services[slot].configuration.name)"
            log.error("no backend could take a client: it was reset", metadata: metadata)
        case .descriptors:
            log.error(
                """
                accepting pauses: \(incident.errno); raise the limit of open files (ulimit -n, LimitNOFILE=) or lower \
                --max-connections
                """, metadata: metadata)
        case .limit:
            log.warning("accepting pauses: max-connections is reached", metadata: metadata)
        case .serviceLimit, .clientLimit, .clientRate:
            metadata["service"] = "\(topology.services[slot].configuration.name)"
            let reached =
                switch incident.kind {
                case .serviceLimit: "the service has max-connections"
                case .clientLimit: "it has max-connections-per-client"
                default: "it is faster than accept-rate-per-client"
                }
            log.warning("a client was reset: \(reached)", metadata: metadata)
        case .resetAtOnce: break
        case .denied:
            metadata["listener"] = "\(topology.tables.listeners[slot].address)"
            metadata["service"] = "\(topology.tables.listeners[slot].service)"
            metadata["client"] = incident.peer.map { "\($0)" }
            log.warning("a client was reset: an access list does not let it in (allow, deny)", metadata: metadata)
        case .notListening:
            metadata["listener"] = "\(topology.tables.listeners[slot].address)"
            metadata["service"] = "\(topology.tables.listeners[slot].service)"
            log.error(
                "a listener's socket does not listen: restart limpetd, and its socket unit if that has passed it",
                metadata: metadata)
        case .proxyHeader(let flaw):
            metadata["service"] = "\(topology.services[slot].configuration.name)"
            metadata["peer"] = incident.peer.map { "\($0)" }
            log.warning(
                "a trusted proxy was reset: it has to begin with a PROXY header, and \(flaw.text)", metadata: metadata)
        case .proxyUntrusted:
            metadata["service"] = "\(topology.services[slot].configuration.name)"
            metadata["peer"] = incident.peer.map { "\($0)" }
            log.warning(
                "a client was reset: it began with a PROXY header, and accept-proxy does not name its address",
                metadata: metadata)
        case .quarantined:
            metadata["service"] = "\(topology.services[slot].configuration.name)"
            metadata["connection"] = "\(ConnectionID(incident.connection))"
            log.error(
                "connection reset: limpetd died three times in a row while it worked on it; please report this",
                metadata: metadata)
        case .unrecoverable:
            metadata["service"] = "\(topology.services[slot].configuration.name)"
            metadata["connection"] = "\(ConnectionID(incident.connection))"
            log.error(
                "connection reset: limpetd died while it worked on it, and what had been sent could not be told",
                metadata: metadata)
        }
    }

    /// Limits that were reached, and what is used up, for those who follow the events. What backends do stands in their
    /// health.
    private func tell(_ incident: Incident, _ count: UInt64) {
        let slot = Int(incident.slot)
        var event = ControlEvent(.limit, count: Int(clamping: count))
        switch incident.kind {
        case .limit: (event.new, event.cause) = ("max-connections", "accepting pauses")
        case .descriptors: (event.new, event.cause) = ("descriptors", "accepting pauses: \(incident.errno)")
        case .local:
            (event.new, event.cause) = (
                "local", "connect impossible here: \(incident.errno); \(cure(incident.errno, slot))"
            )
        case .serviceLimit: (event.new, event.cause) = ("service-max-connections", "a client was reset")
        case .clientLimit: (event.new, event.cause) = ("max-connections-per-client", "a client was reset")
        case .clientRate: (event.new, event.cause) = ("accept-rate-per-client", "a client was reset")
        case .sourcePorts:
            (event.new, event.cause) = (
                "source-ports", "no local port is left for a connection to the backend: \(portsCure(slot))"
            )
        case .sourceMissing:
            (event.new, event.cause) = (
                "source", "the address \(source(of: incident)) is none of this machine's"
            )
        case .exhausted: (event.new, event.cause) = ("backends", "no backend could take a client: it was reset")
        case .connect, .resetAtOnce, .denied, .notListening, .quarantined, .unrecoverable, .proxyHeader,
            .proxyUntrusted, .clientFamily:
            return
        }
        switch incident.kind {
        case .serviceLimit, .clientLimit, .clientRate, .exhausted:
            event.service = topology.services[slot].configuration.name
        case .local, .sourcePorts, .sourceMissing:
            // Where there was no socket to be had, no backend had been chosen.
            guard slot < topology.backends.count else { break }
            event.service = topology.backends[slot].serviceName
            event.backend = topology.backends[slot].configuration.name
        default: break
        }
        events.post(event)
    }

    /// What to do where a backend's ports run out.
    private func portsCure(_ slot: Int) -> String {
        let backend = topology.backends[slot]
        guard let service = backend.service.map({ topology.services[$0].configuration }) else {
            return "widen net.ipv4.ip_local_port_range"
        }
        if service.source.isTransparent { return "its client has them all; max-connections-per-client limits that" }
        let count = service.source.addresses(towards: backend.configuration.address).count
        return (count == 0 ? "name several addresses in source" : "add to the \(count) of source")
            + ", widen net.ipv4.ip_local_port_range, or add backends"
    }

    /// The address that an incident is about, as the configuration has it now.
    private func source(of incident: Incident) -> String {
        let backend = topology.backends[Int(incident.slot)]
        guard let service = backend.service.map({ topology.services[$0].configuration }) else { return "of a source" }
        let addresses = service.source.addresses(incident.source.isV6 ? .v6 : .v4)
        let position = incident.source.position
        return position < addresses.count ? "\(addresses[position])" : "of a source"
    }

    private func cure(_ errno: Errno, _ slot: Int) -> String {
        switch errno {
        case .accessDenied where slot < topology.backends.count && topology.backends[slot].configuration.address.isUnix:
            "the user that limpetd runs as needs the right to write to that socket and to search the directories above it"
        case .addressNotAvailable: "this machine has no address for it (ip address shows those that it has)"
        case .notPermitted: "limpetd lacks CAP_NET_RAW for transparent or mark: restart it as root"
        case .noSuchDevice: "there is no such interface as source-device names (ip link shows those that there are)"
        case .tooManyFiles: "raise the limit of open files (ulimit -n, LimitNOFILE=)"
        case .tooManyFilesInSystem: "raise fs.file-max"
        case .noSpace: "raise fs.epoll.max_user_watches"
        case .noBufferSpace, .noMemory: "the kernel is short of memory"
        default: "check the routes and the firewall of this machine"
        }
    }
}

extension Incident {
    /// Whether its slot is a backend's.
    fileprivate var isOfBackend: Bool {
        switch kind {
        case .connect, .resetAtOnce, .local, .sourcePorts, .sourceMissing, .clientFamily: true
        case .exhausted, .descriptors, .limit, .serviceLimit, .clientLimit, .clientRate, .quarantined, .unrecoverable,
            .denied, .notListening, .proxyHeader, .proxyUntrusted:
            false
        }
    }
}
