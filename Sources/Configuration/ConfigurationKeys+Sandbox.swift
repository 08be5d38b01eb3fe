/// The key of the sandbox.
extension ConfigurationKeys {
    public static let sandbox = ConfigurationKey(
        name: "sandbox", section: .daemon, kind: .choice(SandboxMode.allCases.map(\.rawValue)),
        defaultText: SandboxMode.on.rawValue, hasFlag: true,
        summary: "Whether system calls are filtered, and files written in the daemon's directories alone.")
}

/// Whether the daemon gives up what it does not need of the kernel.
public enum SandboxMode: String, Sendable, CaseIterable {
    case on
    /// For debugging.
    case off
}
