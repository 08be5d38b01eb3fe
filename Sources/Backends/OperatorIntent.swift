/// What operators have set at run time about one backend. It lies apart from the configuration: neither overwrites the
/// other, and what is set here holds until it is taken back.
///
/// Times are nanoseconds since 1970 by the wall clock.
public struct OperatorIntent: Sendable, Hashable {
    /// ``Intent/ready``: nothing else was asked for.
    public var intent = Intent.ready
    /// When it was asked for; 0 where ``intent`` is ready.
    public var intentSince: UInt64 = 0
    /// When what the backend has left is to be closed; nil: never. Nil where ``intent`` is ready.
    public var closesAt: UInt64?
    /// nil: the configuration's counts.
    public var weight: OperatorWeight?

    public init() {}

    /// Whether nothing is set: then nothing needs to be kept.
    public var isEmpty: Bool { intent == .ready && weight == nil }

    /// Gives the weight back where the configuration has the last word: where it was changed after the weight was set, and
    /// where it says the same by now.
    /// - Returns: the weight that was beaten; nil where none was.
    public mutating func settle(configuredWeight: Int) -> OperatorWeight? {
        guard let set = weight, set.base != configuredWeight || set.value == configuredWeight else { return nil }
        weight = nil
        return set.value == configuredWeight ? nil : set
    }
}

/// A weight that an operator has set.
public struct OperatorWeight: Sendable, Hashable {
    /// 1 to 256.
    public var value: Int
    /// What the configuration said then: once it says something else, that is newer.
    public var base: Int
    /// When it was set, in nanoseconds since 1970.
    public var since: UInt64

    public init(value: Int, base: Int, since: UInt64) {
        self.value = value
        self.base = base
        self.since = since
    }
}

/// What was set about a backend, with its names: as it is kept over a restart.
public struct NamedIntent: Sendable, Hashable {
    public var service: String
    public var backend: String
    public var set: OperatorIntent

    public init(service: String, backend: String, set: OperatorIntent) {
        self.service = service
        self.backend = backend
        self.set = set
    }
}

/// What was kept, brought together with a configuration.
public struct IntentMerge: Sendable, Hashable {
    /// A backend as the configuration has it.
    public struct Configured: Sendable, Hashable {
        public var service: String
        public var backend: String
        public var weight: Int

        public init(service: String, backend: String, weight: Int) {
            self.service = service
            self.backend = backend
            self.weight = weight
        }
    }

    /// What holds, for each backend of the configuration, in its order.
    public let holding: [OperatorIntent]
    /// What was kept about backends that the configuration has no longer: it is forgotten.
    public let forgotten: [NamedIntent]
    /// Weights that the configuration has beaten, with the place of the backend in it.
    public let beaten: [Beaten]

    public struct Beaten: Sendable, Hashable {
        public let position: Int
        public let weight: OperatorWeight
    }

    /// - Parameters:
    ///   - kept: of each backend at most one; of several the last counts.
    ///   - configured: each at most once.
    public init(_ kept: [NamedIntent], onto configured: [Configured]) {
        var positions: [String: Int] = [:]
        for (position, backend) in configured.enumerated() {
            // Neither name can hold a slash.
            positions["\(backend.service)/\(backend.backend)"] = position
        }
        var holding = [OperatorIntent](repeating: OperatorIntent(), count: configured.count)
        var forgotten: [NamedIntent] = []
        for entry in kept {
            if let position = positions["\(entry.service)/\(entry.backend)"] {
                holding[position] = entry.set
            } else {
                forgotten.append(entry)
            }
        }
        var beaten: [Beaten] = []
        for position in holding.indices {
            if let weight = holding[position].settle(configuredWeight: configured[position].weight) {
                beaten.append(Beaten(position: position, weight: weight))
            }
        }
        self.holding = holding
        self.forgotten = forgotten
        self.beaten = beaten
    }
}
