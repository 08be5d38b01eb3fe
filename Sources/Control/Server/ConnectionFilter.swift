internal import Addressing
internal import Backends

/// Which connections a client of the control socket wants, in which order.
struct ConnectionFilter {
    /// What rows can be sorted by; each ties by number.
    enum Order: String, CaseIterable {
        /// As accepted.
        case id
        /// The oldest first.
        case age
        /// The longest idle first.
        case idle
        /// The most bytes, both directions together, first.
        case bytes
        /// By address, then port; IPv4 first.
        case client
        /// By service, then name.
        case backend

        func precedes(_ left: ConnectionRow, _ right: ConnectionRow) -> Bool {
            switch self {
            case .id: break
            case .age: if left.ageSeconds != right.ageSeconds { return left.ageSeconds > right.ageSeconds }
            case .idle: if left.idleSeconds != right.idleSeconds { return left.idleSeconds > right.idleSeconds }
            case .bytes:
                let (one, other) = (left.bytesIn &+ left.bytesOut, right.bytesIn &+ right.bytesOut)
                if one != other { return one > other }
            case .client:
                let (one, other) = (left.client, right.client)
                if one != other { return (one.address, one.port) < (other.address, other.port) }
            case .backend:
                if (left.service, left.backend) != (right.service, right.backend) {
                    return (left.service, left.backend) < (right.service, right.backend)
                }
            }
            return left.id < right.id
        }
    }

    var service: String?
    var backend: BackendName?
    var client: Prefix?
    var state: ConnectionRow.State?
    var older: Double?
    var idle: Double?
    /// nil: as they lie in the table, without collecting them first.
    var order: Order?
    var limit = Int.max
    /// Whether the kernel is asked about each.
    var isWide = false

    init() {}

    init(_ request: Request, names: NameDirectory) throws(ControlError) {
        try request.allow(["service", "backend", "client", "state", "older", "idle", "sort", "limit", "wide"])
        if let text = try request.value("service") { service = try names.service(text) }
        if let text = try request.value("backend") { backend = try names.backend(text, in: service) }
        if let text = try request.value("client") {
            client = try ConnectionFilter.prefix(text)
        }
        if let text = try request.value("state") {
            state = try ConnectionFilter.state(text)
        }
        older = try request.duration("older")?.inSeconds
        idle = try request.duration("idle")?.inSeconds
        if let text = try request.value("sort") {
            order = try Request.choice("sort", text, among: Order.allCases)
        }
        if let text = try request.value("limit") {
            guard let number = Int(text), number > 0 else {
                throw ControlError(.badRequest, "limit: \"\(text)\" is not a number from 1 on")
            }
            limit = number
        }
        if let text = try request.value("wide") { isWide = try request.choice("wide", text) }
    }

    func matches(_ row: ConnectionRow) -> Bool {
        if let service, row.service != service { return false }
        if let backend, row.backend != backend.backend || row.service != backend.service { return false }
        if let client, !client.contains(row.client.address.unmapped) { return false }
        if let state, row.state != state { return false }
        if let older, row.ageSeconds < older { return false }
        if let idle, row.idleSeconds < idle { return false }
        return true
    }

    static func prefix(_ text: String) throws(ControlError) -> Prefix {
        if let client = IPAddress(client: text) { return Prefix(client) }
        guard let prefix = Prefix(text) else {
            throw ControlError(.badRequest, "client: \"\(text)\" is not an address or prefix such as 192.0.2.0/24")
        }
        return prefix
    }

    static func state(_ text: String) throws(ControlError) -> ConnectionRow.State {
        try Request.choice("state", text, among: ConnectionRow.State.allCases)
    }
}
