import Addressing
import Configuration

/// What the slots of the shared region mean, by name: records and counters have numbers, and these are the names behind
/// them. Part of the shared document, so that every engine finds the same numbers with the same meaning.
///
/// A service, a backend and a listener keep their slot while they are configured. One that a reload removes is retired:
/// its connections go on and are shown by its name, and should it be configured again, under its name and in the same
/// service, it gets its slot back, and with it those connections. A slot that nobody has wanted back is given to somebody
/// else only once nothing bears its number any more, and not before it has to be: when all have been used, or, of backends,
/// which name servers may make come and go all day, when many are retired.
struct SlotTables: Codable, Sendable, Equatable {
    enum Use: String, Codable, Sendable {
        case live, retired
    }

    struct Service: Codable, Sendable, Equatable {
        var name: String
        var use = Use.live
        /// Canonical text of a configuration of it alone, as it was last: retired, its connections keep its times, and
        /// those that were still being dialled its backends. nil: live, so the active configuration says it.
        var configuration: String?
    }

    struct Backend: Codable, Sendable, Equatable {
        /// Name of its service.
        var service: String
        var name: String
        /// As last configured.
        var address: String
        var use = Use.live
    }

    struct Listener: Codable, Sendable, Equatable {
        /// Name of its service.
        var service: String
        /// Its name, as configured: where that asks the kernel for a port, the region has the one that it gave.
        var address: String
        /// ``ListenerConfiguration/binding`` of its sockets; nil: empty.
        var binding: String?
        var use = Use.live
        /// Retired, and it had an access list of its own; nil: it had none, or is live.
        var isRestricted: Bool?
    }

    /// Each by slot.
    var services: [Service] = []
    var backends: [Backend] = []
    var listeners: [Listener] = []

    /// No slot has been given to anything.
    init() {}

    /// A key for ``Backend`` and ``Listener``: names have no slash.
    static func key(_ service: String, _ name: String) -> String { service + "/" + name }

    /// By slot of a retired listener: the slot that has the listener now, with other sockets; nil: none. Those who came by
    /// the retired one are connections of a listener that is there.
    var successors: [Int?] {
        let live = Dictionary(
            listeners.enumerated().filter { $0.element.use == .live }.map {
                (SlotTables.key($0.element.service, $0.element.address), $0.offset)
            }
        ) { first, _ in first }
        return listeners.map { $0.use == .retired ? live[SlotTables.key($0.service, $0.address)] : nil }
    }

    /// Slots of listeners that are gone: retired, and without a successor.
    var goneListeners: Set<Int> {
        let successors = successors
        return Set(listeners.indices.filter { listeners[$0].use == .retired && successors[$0] == nil })
    }

    /// Slots of live backends by ``key(_:_:)``.
    var liveBackends: [String: Int] {
        Dictionary(
            backends.enumerated().filter { $0.element.use == .live }.map {
                (SlotTables.key($0.element.service, $0.element.name), $0.offset)
            }
        ) { first, _ in first }
    }

    /// Slots of live services by name.
    var liveServices: [String: Int] {
        Dictionary(services.enumerated().filter { $0.element.use == .live }.map { ($0.element.name, $0.offset) }) {
            first, _ in first
        }
    }
}

/// How many slots there are.
struct SlotLimits: Sendable {
    var services: Int
    var backends: Int
    var listeners: Int
}

/// Retired slots that no connection bears, and no line of the access log that is still to be written.
struct IdleSlots: Sendable {
    var services: Set<Int> = []
    var backends: Set<Int> = []
    var listeners: Set<Int> = []
}

/// Another configuration's slots.
struct SlotAssignment: Sendable {
    var tables: SlotTables
    /// Listeners to be bound, which were not open before.
    var opened: [OpenedListener] = []
    /// Slots of backends and listeners that somebody else had before: their counters begin anew.
    var recycledBackends: [Int] = []
    var recycledListeners: [Int] = []
    /// The same of services, which have no counters; but clients are remembered by them.
    var recycledServices: [Int] = []

    struct OpenedListener: Sendable, Equatable {
        var slot: Int
        var configuration: ListenerConfiguration
        /// Index of its service in the configuration, and slot.
        var service: Int
        var serviceSlot: Int
        /// The slot that the same listener has until now, with sockets that cannot be changed to what is wanted; nil: it was
        /// not there.
        var former: Int?
    }
}
