import Addressing
import Configuration

/// Gives the services, backends and listeners of a configuration their slots. Pure; any thread may use it.
struct SlotAssigner {
    private let old: SlotTables
    private let limits: SlotLimits
    /// What the sockets of listeners are, with the ports that they have, by slot.
    private let bound: [ListenerConfiguration?]
    private let findIdle: () -> IdleSlots
    private var idle: IdleSlots?
    private var result: SlotAssignment

    /// A listener of the new configuration.
    private struct Wanted {
        /// Index and name of its service.
        var service: Int
        var name: String
        var listener: ListenerConfiguration
        var entry: SlotTables.Listener

        init(service: Int, name: String, listener: ListenerConfiguration) {
            self.service = service
            self.name = name
            self.listener = listener
            entry = SlotTables.Listener(
                service: name, address: listener.name, binding: listener.binding.isEmpty ? nil : listener.binding)
        }
    }

    /// - Parameters:
    ///   - bound: by slot of listener; nil, or an array that ends before: not known.
    ///   - idle: asked at most once, where slots are short.
    static func assign(
        _ configuration: DaemonConfiguration, after old: DaemonConfiguration?, _ tables: SlotTables,
        limits: SlotLimits, bound: [ListenerConfiguration?] = [], idle: @escaping () -> IdleSlots = { IdleSlots() }
    ) throws(StartError) -> SlotAssignment {
        var assigner = SlotAssigner(
            old: tables, limits: limits, bound: bound, findIdle: idle, result: SlotAssignment(tables: tables))
        assigner.retireAll(old)
        let services = try assigner.assignServices(configuration.services)
        try assigner.assignBackends(configuration.services)
        try assigner.assignListeners(configuration.services, services)
        return assigner.result
    }

    private init(
        old: SlotTables, limits: SlotLimits, bound: [ListenerConfiguration?], findIdle: @escaping () -> IdleSlots,
        result: SlotAssignment
    ) {
        self.old = old
        self.limits = limits
        self.bound = bound
        self.findIdle = findIdle
        self.result = result
    }

    /// Everything is retired until the configuration is found to have it.
    private mutating func retireAll(_ configuration: DaemonConfiguration?) {
        for slot in old.services.indices where old.services[slot].use == .live {
            let service = configuration?.services.first { $0.name == old.services[slot].name }
            result.tables.services[slot].use = .retired
            result.tables.services[slot].configuration = service.map {
                DaemonConfiguration(services: [$0]).canonicalText
            }
        }
        for slot in old.backends.indices { result.tables.backends[slot].use = .retired }
        let restricted = Set(
            (configuration?.services ?? []).flatMap { service in
                service.listeners.filter { $0.access.rules != nil }.map { SlotTables.key(service.name, $0.name) }
            })
        for (slot, listener) in old.listeners.enumerated() {
            result.tables.listeners[slot].use = .retired
            if listener.use == .live, restricted.contains(SlotTables.key(listener.service, listener.address)) {
                result.tables.listeners[slot].isRestricted = true
            }
        }
    }

    /// - Returns: slots, in the order of the configuration.
    private mutating func assignServices(_ services: [ServiceConfiguration]) throws(StartError) -> [Int] {
        let known = Dictionary(old.services.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
        var slots: [Int] = []
        for service in services {
            let entry = SlotTables.Service(name: service.name)
            if let slot = known[service.name] {
                result.tables.services[slot] = entry
                slots.append(slot)
            } else if result.tables.services.count < limits.services {
                slots.append(result.tables.services.count)
                result.tables.services.append(entry)
            } else {
                let slot = try recycle("services", limits.services, \.services) { tables, slot in
                    tables.services[slot].use == .retired
                        && !services.contains { $0.name == tables.services[slot].name }
                }
                result.tables.services[slot] = entry
                result.recycledServices.append(slot)
                slots.append(slot)
            }
        }
        return slots
    }

    private mutating func assignBackends(_ services: [ServiceConfiguration]) throws(StartError) {
        let known = Dictionary(
            old.backends.enumerated().map { (SlotTables.key($0.element.service, $0.element.name), $0.offset) }
        ) { first, _ in first }
        var new: [SlotTables.Backend] = []
        for service in services {
            for backend in service.backends {
                let entry = SlotTables.Backend(
                    service: service.name, name: backend.name, address: backend.address.description)
                if let slot = known[SlotTables.key(service.name, backend.name)] {
                    result.tables.backends[slot] = entry
                } else {
                    new.append(entry)
                }
            }
        }
        // Only now is it known which of the old ones are retired.
        var retired = new.isEmpty ? 0 : result.tables.backends.count { $0.use == .retired }
        for entry in new {
            let isFull = result.tables.backends.count >= limits.backends
            let idle =
                isFull || retired > SlotAssigner.mostRetiredBackends
                ? takeIdle(\.backends) { tables, slot in tables.backends[slot].use == .retired } : nil
            if idle == nil, !isFull {
                result.tables.backends.append(entry)
            } else {
                guard let slot = idle else { throw SlotAssigner.shortage("backends", limits.backends) }
                retired -= 1
                result.tables.backends[slot] = entry
                result.recycledBackends.append(slot)
            }
        }
    }

    private mutating func assignListeners(
        _ services: [ServiceConfiguration], _ slots: [Int]
    ) throws(StartError) {
        var missing: [Wanted] = []
        for (index, service) in services.enumerated() {
            missing += service.listeners.map {
                Wanted(service: index, name: service.name, listener: $0)
            }
        }
        let isLive = Dictionary(grouping: old.listeners.indices) { old.listeners[$0].use == .live }
        let live = Dictionary(grouping: isLive[true] ?? []) { old.listeners[$0].address }
        let retired = Dictionary(grouping: isLive[false] ?? []) { old.listeners[$0].address }
        // A socket that is open and wanted stays open, whoever wants it. First those that are where they were; then those
        // that have gone over to another service; then those that the kernel had chosen the port of and that are now asked
        // for by that port.
        keepOpen(&missing, live) { old, wanted in old.service == wanted.name }
        keepOpen(&missing, live) { _, wanted in !wanted.listener.hasChosenPort }
        let boundSlots = Dictionary(grouping: (isLive[true] ?? []).filter { $0 < bound.count && bound[$0] != nil }) {
            bound[$0]?.name ?? ""
        }
        for (position, wanted) in missing.enumerated().reversed() {
            // Of a passed socket only itself says how it is bound.
            let slot = boundSlots[wanted.entry.address]?.first { slot in
                isWaiting(slot) && bound[slot]?.binding == wanted.listener.binding
            }
            if let slot {
                take(slot, wanted)
                missing.remove(at: position)
            }
        }
        for wanted in missing {
            let entry = wanted.entry
            let former = retired[entry.address]?.first { slot in
                result.tables.listeners[slot].use == .retired && !wanted.listener.hasChosenPort
                    && old.listeners[slot].service == entry.service
            }
            let slot: Int
            if let former {
                slot = former
                result.tables.listeners[slot] = entry
            } else if result.tables.listeners.count < limits.listeners {
                slot = result.tables.listeners.count
                result.tables.listeners.append(entry)
            } else {
                // Not those that are open until this very reload is done.
                slot = try recycle("listeners", limits.listeners, \.listeners) { [old] tables, slot in
                    tables.listeners[slot].use == .retired && old.listeners[slot].use == .retired
                }
                result.tables.listeners[slot] = entry
                result.recycledListeners.append(slot)
            }
            result.opened.append(
                SlotAssignment.OpenedListener(
                    slot: slot, configuration: wanted.listener, service: wanted.service,
                    serviceSlot: slots[wanted.service],
                    former: wanted.listener.hasChosenPort ? nil : live[entry.address]?.first(where: isWaiting)))
        }
    }

    /// - Parameter live: slots of the old ones, by what they are called.
    private mutating func keepOpen(
        _ missing: inout [Wanted], _ live: [String: [Int]], where matches: (SlotTables.Listener, Wanted) -> Bool
    ) {
        missing.removeAll { wanted in
            let slot = live[wanted.entry.address]?.first {
                isWaiting($0) && old.listeners[$0].binding == wanted.entry.binding && matches(old.listeners[$0], wanted)
            }
            guard let slot else { return false }
            take(slot, wanted)
            return true
        }
    }

    /// Whether the listener was open and nobody has claimed it yet.
    private func isWaiting(_ slot: Int) -> Bool {
        old.listeners[slot].use == .live && result.tables.listeners[slot].use == .retired
    }

    private mutating func take(_ slot: Int, _ wanted: Wanted) {
        result.tables.listeners[slot] = wanted.entry
    }

    /// Backends that name servers tell of come and go all day: beyond so many that are gone, slots are used again.
    static let mostRetiredBackends = 256

    /// A slot that nobody wants back and no connection bears.
    private mutating func recycle(
        _ what: String, _ limit: Int, _ kind: WritableKeyPath<IdleSlots, Set<Int>>,
        _ isFree: (SlotTables, Int) -> Bool
    ) throws(StartError) -> Int {
        guard let slot = takeIdle(kind, isFree) else { throw SlotAssigner.shortage(what, limit) }
        return slot
    }

    /// nil: there is none.
    private mutating func takeIdle(
        _ kind: WritableKeyPath<IdleSlots, Set<Int>>, _ isFree: (SlotTables, Int) -> Bool
    ) -> Int? {
        var idle = self.idle ?? findIdle()
        let slot = idle[keyPath: kind].first { isFree(result.tables, $0) }
        if let slot { idle[keyPath: kind].remove(slot) }
        self.idle = idle
        return slot
    }

    private static func shortage(_ what: String, _ limit: Int) -> StartError {
        StartError(
            "more \(what) than one limpetd takes, which is \(limit) with those that were removed and still have"
                + " connections; divide them among several, or wait until these have ended")
    }
}
