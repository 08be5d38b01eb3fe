/// The JSON bodies that POST takes. Names in them are as the user typed them. A field that is not listed is an error and
/// not ignored: a misspelt `deadline_seconds` must not become a drain without a deadline.
struct DrainBody: Codable {
    var backend: String
    var service: String?
    var deadlineSeconds: Double?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case backend, service, force
        case deadlineSeconds = "deadline_seconds"
    }
}

struct BackendBody: Codable {
    var backend: String
    var service: String?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case backend, service
    }
}

struct CloseBody: Codable {
    var ids: [ConnectionID]?
    var backend: String?
    var service: String?
    var client: String?
    var reset: Bool?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case ids, backend, service, client, reset, force
    }
}

struct ReloadBody: Codable {
    var dryRun: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case dryRun = "dry_run"
    }
}

struct ShutdownBody: Codable {
    var drainSeconds: Double?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case force
        case drainSeconds = "drain_seconds"
    }
}
