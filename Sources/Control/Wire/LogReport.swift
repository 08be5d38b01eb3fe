/// How much the log says: in `GET /v1/log` and `POST /v1/log`.
public struct LogReport: Codable, Sendable, Equatable {
    /// The least level that is written.
    public var level: Level
    /// What the configuration says, and a reload or a restart brings back.
    public var levelConfigured: Level

    public enum Level: String, Codable, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    public init(level: Level, levelConfigured: Level) {
        self.level = level
        self.levelConfigured = levelConfigured
    }

    enum CodingKeys: String, CodingKey {
        case level
        case levelConfigured = "level_configured"
    }
}
