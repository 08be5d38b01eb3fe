/// The version of all JSON objects of the control socket. It grows when a field goes or changes its meaning; new fields
/// do not change it.
public let controlSchema = 1

/// A reply object: the envelope's fields and the body's, side by side in one JSON object.
public struct Reply<Body: Codable & Sendable>: Codable, Sendable {
    /// ``controlSchema`` of the sender.
    public var schema: Int
    /// Version of the daemon.
    public var version: String
    /// When the reply was made.
    public var time: Timestamp
    public var body: Body

    public init(version: String, time: Timestamp = .now, body: Body) {
        schema = controlSchema
        self.version = version
        self.time = time
        self.body = body
    }

    enum CodingKeys: String, CodingKey {
        case schema, version, time
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        schema = try container.decode(Int.self, forKey: .schema)
        version = try container.decode(String.self, forKey: .version)
        time = try container.decode(Timestamp.self, forKey: .time)
        body = try Body(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(schema, forKey: .schema)
        try container.encode(version, forKey: .version)
        try container.encode(time, forKey: .time)
        try body.encode(to: encoder)
    }
}

/// A reply that is its envelope alone: `GET /v1/version`.
public struct EmptyBody: Codable, Sendable, Equatable {
    public init() {}
}

/// An unsuccessful reply.
public struct ErrorReport: Codable, Sendable, Equatable {
    public var error: ControlError

    public init(error: ControlError) {
        self.error = error
    }
}
