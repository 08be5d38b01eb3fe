/// How far the sandbox is in force, as ``StatusReport`` has it.
public struct SandboxReport: Codable, Sendable, Equatable {
    public enum Wanted: String, Codable, Sendable, CaseIterable {
        case on, off
        /// The daemon was started by a version that had none.
        case undecided
    }

    /// What was configured.
    public var wanted: Wanted
    /// Whether system calls are filtered, in keeper and engine.
    public var systemCalls: Bool
    /// The ABI of Landlock that keeps the engine from writing files elsewhere; null: files are not kept from it.
    @Nullable public var landlockABI: Int?
    /// What is missing of what was wanted, and why; null: nothing is.
    @Nullable public var missing: String?
    /// Directories in which files may be written.
    public var directories: [String]
    /// System calls that were refused.
    public var violations: UInt64

    public init(
        wanted: Wanted, systemCalls: Bool, landlockABI: Int?, missing: String?, directories: [String],
        violations: UInt64
    ) {
        self.wanted = wanted
        self.systemCalls = systemCalls
        self.landlockABI = landlockABI
        self.missing = missing
        self.directories = directories
        self.violations = violations
    }

    enum CodingKeys: String, CodingKey {
        case wanted, missing, directories, violations
        case systemCalls = "system_calls"
        case landlockABI = "landlock_abi"
    }

    /// One line of it.
    public var text: String {
        switch wanted {
        case .off: return "off"
        case .undecided: return "off: limpetd was started by a version that had none; restart it"
        case .on: break
        }
        var parts: [String] = []
        if systemCalls { parts.append("system calls") }
        if let landlockABI { parts.append("files (Landlock ABI \(landlockABI))") }
        var text = parts.isEmpty ? "off" : parts.joined(separator: ", ")
        if let missing { text += "; \(missing)" }
        if violations > 0 { text += "; \(violations) calls refused (limpetd's log names them)" }
        return text
    }
}
