public import CLayout

/// Why an engine died, in words.
public struct DeathReport: Sendable {
    private let death: limpet_death

    public init(_ death: limpet_death) {
        self.death = death
    }

    /// When, in nanoseconds since 1970; 0: no engine has died.
    public var time: UInt64 { death.time }

    /// The signal's name, or the exit status.
    public var reason: String {
        death.signal == 0
            ? "it ended by itself with status \(death.code)" : "killed by \(DeathReport.name(ofSignal: death.signal))"
    }

    private static func name(ofSignal number: Int32) -> String {
        let names: [Int32: String] = [
            3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
            11: "SIGSEGV", 15: "SIGTERM", 31: "SIGSYS",
        ]
        return names[number] ?? "signal \(number)"
    }
}
