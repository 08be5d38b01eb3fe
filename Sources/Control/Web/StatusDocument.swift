/// What the status page is told every few seconds, as JSON.
struct StatusDocument: Encodable {
    struct Service: Encodable {
        var name: String
        /// No backend of it is up.
        var panic: Bool
        var listeners: [ListenerRow]
        var backends: [BackendRow]
    }

    /// Per second, since the last look.
    struct Rates: Encodable, Equatable {
        var accepts = 0.0
        var bytesIn = 0.0
        var bytesOut = 0.0

        enum CodingKeys: String, CodingKey {
            case accepts
            case bytesIn = "in"
            case bytesOut = "out"
        }
    }

    struct AllRates: Encodable {
        var accepts: Double
        var bytesIn: Double
        var bytesOut: Double
        /// By `service/backend`.
        var backends: [String: Rates]

        enum CodingKeys: String, CodingKey {
            case accepts, backends
            case bytesIn = "in"
            case bytesOut = "out"
        }
    }

    struct Event: Encodable {
        var number: UInt64
        var time: Timestamp
        var event: ControlEvent
    }

    struct Client: Encodable {
        var client: String
        var connections: Int
    }

    var time: Timestamp
    var version: String
    /// Why it is not ready.
    var reason: String?
    var status: StatusReport
    var rates: AllRates
    var services: [Service]
    /// Backends that are not listed, as there are too many.
    var leftOut: Int
    var events: [Event]
    /// nil: they are not to be shown.
    var clients: [Client]?

    enum CodingKeys: String, CodingKey {
        case time, version, reason, status, rates, services, events, clients
        case leftOut = "left_out"
    }
}
