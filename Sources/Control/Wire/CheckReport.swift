/// The answer of `POST /v1/check`.
public struct CheckReport: Codable, Sendable, Equatable {
    public enum Outcome: String, Codable, Sendable, CaseIterable {
        case passed, failed
        /// The daemon's own machine could not make the check.
        case impossible
    }

    /// The one that was checked, as it is now.
    public var backends: [BackendRow]
    public var outcome: Outcome
    /// What was found, in words.
    public var result: String
    /// How long it took.
    public var seconds: Double

    public init(backend: BackendRow, outcome: Outcome, result: String, seconds: Double) {
        backends = [backend]
        self.outcome = outcome
        self.result = result
        self.seconds = seconds
    }
}
