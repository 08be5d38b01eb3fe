/// The JSON documents as DESIGN.md fixes them, spelled once more: a field that is missing or of another type fails the
/// decoding, and with it the test.
struct StatusDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var pid: Int32
    var enginePid: Int32
    var engineGeneration: Int
    var uptimeSeconds: Double
    var ready: Bool
    var workers: Int
    var connections: Int
    var maxConnections: Int
    var pipes: Int
    var sandbox: Sandbox
    var capabilities: [String]
    var configHash: String
    var services: [ServiceRow]
    var lastDeath: Death?

    struct Sandbox: Decodable {
        var wanted: String
        var systemCalls: Bool
        var landlockAbi: Int?
        var missing: String?
        var directories: [String]
        var violations: Int
    }

    struct Death: Decodable {
        var time: String
        var reason: String
        var trace: [String]
        var buildId: String?
    }
    var differences: [Difference]
    /// Null where a restart would forget nothing.
    var unsaved: String?
    /// Address of the HTTP port; null where there is none.
    var metrics: String?

    struct Difference: Decodable, Equatable {
        var service: String
        var backend: String
        var field: String
        var value: String
        var configured: String
        var since: String
    }

    struct ServiceRow: Decodable {
        var name: String
        var mappingHash: String
    }
}

struct BackendsDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var backends: [BackendRow]
}

struct BackendRow: Decodable, Sendable {
    var service: String
    var name: String
    var address: String
    var state: String
    var intent: String
    var health: String
    var weight: Int
    var weightConfigured: Int
    var connections: Int
    var connecting: Int
    var away: Int
    var total: Int
    var bytesIn: Int
    var bytesOut: Int
    var connectFailures: Int
    var fallbacks: Int
    var since: String
    /// Null each where there is none.
    var intentSince: String?
    var closesAt: String?
    var weightSince: String?
    var check: String
    var checkResult: String?
    var checkedAt: String?
    var nextCheck: String?
    var ramp: Double?
    var drain: DrainDocument?
    /// Null where it is given by no name.
    var resolution: Resolution?

    struct Resolution: Decodable, Sendable {
        var name: String
        var addresses: [String]
        var records: Int
        var leftOut: Int
        var answeredAt: String?
        var error: String?
        var template: String?
    }
}

/// How a drain stands.
struct DrainDocument: Decodable, Sendable {
    var phase: String
    var reason: String?
    var rate: Double?
    var order: String?
    var forced: Bool
    var graceSeconds: Double
    var secondsLeft: Double?
}

struct ListenersDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var listeners: [ListenerRow]
}

struct ListenerRow: Decodable, Sendable {
    var service: String
    var name: String
    var address: String
    var connections: Int
    var accepted: Int
    var refused: Int
    var state: String
    /// Why it is paused; null while it accepts.
    var reason: String?
    var options: [String]
}

struct ConnectionsDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var connections: [ConnectionRow]
}

struct ConnectionRow: Decodable, Sendable {
    var id: String
    var service: String
    var listener: String
    var backend: String
    var home: String
    var client: String
    var peer: String
    /// Null where it came by a Unix socket.
    var clientLocal: String?
    var backendAddress: String?
    /// Null before the first connect.
    var backendLocal: String?
    var state: String
    var ageSeconds: Double
    var idleSeconds: Double
    var bytesIn: Int
    var bytesOut: Int
    var worker: Int
    /// Null where it is at home.
    var awayReason: String?
}

struct WhereDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var address: String
    var key: String
    var service: String
    /// Null when no backend is eligible.
    var chosen: String?
    var reason: String
    var preference: [Choice]

    struct Choice: Decodable, Sendable {
        var backend: String
        var eligible: Bool
        /// Why not; null where it is.
        var reason: String?
    }
}

struct ReloadDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var dryRun: Bool
    var configHash: String
    var changes: [Change]
    var homes: [Homes]
    var plans: [ServicePlanDocument]
    var removedConnections: Int
    /// Null for never.
    var removedDeadlineSeconds: Double?
    var warnings: [String]

    struct Change: Decodable, Sendable, CustomStringConvertible {
        var change: String
        var object: String
        var service: String?
        var name: String?
        var key: String?
        var old: String?
        var new: String?

        /// Its fields with spaces between them, without those that are null.
        var description: String {
            [change, object, service, name, key, old, new].compactMap { $0 }.joined(separator: " ")
        }
    }

    struct Homes: Decodable, Sendable {
        var service: String
        var clients: Int
        var moved: Int
        var share: Double
    }
}

struct UpgradeDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var id: Int
    var state: String
    var oldVersion: String
    var newVersion: String?
    var connections: Int?
    var pauseMs: Double?
    var reason: String?
}

struct PlanDocument: Decodable {
    var schema: Int
    var version: String
    var time: String
    var action: String
    var backend: String
    var weight: Int?
    var needsForce: Bool
    var plan: ServicePlanDocument
}

struct ServicePlanDocument: Decodable, Sendable {
    var service: String
    var connections: Int
    var moving: Int
    var homeless: Int
    var maxOverAverage: Double?
    var maxOverAverageAfter: Double?
    var backends: [Row]

    struct Row: Decodable, Sendable {
        var backend: String
        var connections: Int
        var leaving: Int
        var arriving: Int
        var share: Double
        var connectionsAfter: Int
        var limit: Int?
        var passedOn: Int
    }
}
