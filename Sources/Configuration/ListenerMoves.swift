import Addressing

/// Which listeners come, go, stay, and go over to another service, from one configuration to the next. Pure.
struct ListenerMoves: Sendable, Equatable {
    /// By service.
    private(set) var added: [String: [ListenerConfiguration]] = [:]
    private(set) var removed: [String: [ListenerConfiguration]] = [:]
    /// By the service that has them now.
    private(set) var kept: [String: [Move]] = [:]
    private(set) var moved: [String: [Move]] = [:]

    /// A listener as it is now, and as it was.
    struct Move: Sendable, Equatable {
        var listener: ListenerConfiguration
        var former: ListenerConfiguration
        /// The one that had it.
        var service: String
    }

    init(from old: [ServiceConfiguration], to new: [ServiceConfiguration]) {
        // Names repeat only where the kernel chooses the port; then it counts how often.
        var left = Dictionary(old.map { ($0.name, $0.listeners) }) { first, _ in first }
        var missing: [(service: String, listener: ListenerConfiguration)] = []
        for service in new {
            for listener in service.listeners {
                if let former = ListenerMoves.take(listener.name, &left[service.name, default: []]) {
                    kept[service.name, default: []].append(
                        Move(listener: listener, former: former, service: service.name))
                } else {
                    missing.append((service.name, listener))
                }
            }
        }
        let former = old.map(\.name)
        for (service, listener) in missing {
            // A port that the kernel chooses is another one each time.
            let owner = former.first { owner in
                !listener.hasChosenPort && left[owner]?.contains { $0.name == listener.name } == true
            }
            if let owner, let before = ListenerMoves.take(listener.name, &left[owner, default: []]) {
                moved[service, default: []].append(Move(listener: listener, former: before, service: owner))
            } else {
                added[service, default: []].append(listener)
            }
        }
        removed = left.filter { !$0.value.isEmpty }
    }

    /// Takes the first of a name out of those that are left; nil: there is none.
    private static func take(_ name: String, _ left: inout [ListenerConfiguration]) -> ListenerConfiguration? {
        guard let position = left.firstIndex(where: { $0.name == name }) else { return nil }
        return left.remove(at: position)
    }
}

extension ListenerConfiguration {
    /// Whether the kernel chooses its port.
    public var hasChosenPort: Bool { address.endpoint?.port == 0 }
}
