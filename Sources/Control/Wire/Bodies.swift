/// The JSON bodies that POST takes. Names in them are as the user typed them. A field that is not listed is an error and
/// not ignored: a misspelt `deadline_seconds` must not become a drain without a deadline.
struct DrainBody: Codable {
    var backend: String
    var service: String?
    var graceSeconds: Double?
    var rate: Int?
    var overSeconds: Double?
    var order: String?
    var deadlineSeconds: Double?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case backend, service, rate, order, force
        case graceSeconds = "grace_seconds"
        case overSeconds = "over_seconds"
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

struct DisableBody: Codable {
    var backend: String
    var service: String?
    var close: Bool?
    var overSeconds: Double?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case backend, service, close, force
        case overSeconds = "over_seconds"
    }
}

struct PauseBody: Codable {
    var listener: String
    var refuse: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case listener, refuse
    }
}

struct ResumeBody: Codable {
    var listener: String

    enum CodingKeys: String, CodingKey, CaseIterable {
        case listener
    }
}

struct WeightBody: Codable {
    var backend: String
    var service: String?
    var weight: WeightValue

    enum CodingKeys: String, CodingKey, CaseIterable {
        case backend, service, weight
    }
}

/// A weight in JSON: a whole number from 1 to 256, or `"file"`.
struct WeightValue: Codable {
    /// nil: the configuration's.
    var number: Int?

    init(number: Int?) {
        self.number = number
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int.self), WeightText.range.contains(number) {
            self.number = number
        } else if (try? container.decode(String.self)) != WeightText.file {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "weight is a whole number from 1 to 256, or \"file\"")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let number { try container.encode(number) } else { try container.encode(WeightText.file) }
    }
}

struct CloseBody: Codable {
    var ids: [ConnectionID]?
    var backend: String?
    var service: String?
    var client: String?
    var state: String?
    var olderSeconds: Double?
    var idleSeconds: Double?
    var reset: Bool?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case ids, backend, service, client, state, reset, force
        case olderSeconds = "older_seconds"
        case idleSeconds = "idle_seconds"
    }
}

struct RehomeBody: Codable {
    var service: String?
    var rate: Int?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case service, rate
    }
}

struct AffinityBody: Codable {
    var address: String?
    var service: String?
    var force: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case address, service, force
    }
}

struct ReloadBody: Codable {
    var dryRun: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case dryRun = "dry_run"
    }
}

struct UpgradeBody: Codable {
    var path: String?
    var noRollback: Bool?

    enum CodingKeys: String, CodingKey, CaseIterable {
        case path
        case noRollback = "no_rollback"
    }
}

struct LogBody: Codable {
    var level: String

    enum CodingKeys: String, CodingKey, CaseIterable {
        case level
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
