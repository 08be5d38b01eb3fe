/// What came of one check. Plain value.
public struct CheckResult: Sendable, Equatable {
    public enum Verdict: Sendable, Equatable {
        case passed
        case failed
        /// This machine could not make the check: it says nothing about the backend.
        case impossible
    }

    public var verdict: Verdict
    /// In words: `HTTP 503, wanted 2xx`. Nothing in it is as a peer wrote it (``Excerpt``).
    public var text: String
    /// How long it took, in ns.
    public var duration: UInt64 = 0
    /// What an agent has said; nil: no agent was asked, or none answered.
    public var agent: AgentReply?

    public init(_ verdict: Verdict, _ text: String) {
        self.verdict = verdict
        self.text = text
    }

    static func passed(_ text: String) -> CheckResult { CheckResult(.passed, text) }
    static func failed(_ text: String) -> CheckResult { CheckResult(.failed, text) }
}
