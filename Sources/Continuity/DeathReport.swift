internal import CContinuity
public import CLayout

/// Why an engine died, in words.
public struct DeathReport: Sendable {
    private let death: limpet_death

    public init(_ death: limpet_death) {
        self.death = death
    }

    /// When, in nanoseconds since 1970; 0: no engine has died.
    public var time: UInt64 { death.time }

    /// One sentence's part: the signal and the address, or the exit status; whose thread it was, and the connection that
    /// it had in hand.
    public var reason: String {
        var text: String
        if death.watchdog != 0 {
            text = "ended by the keeper (\(name)) because it stood still"
        } else if death.signal != 0 {
            text = "killed by \(name)"
            // What a fault is about; of a signal that was sent there is no such thing.
            if death.code > 0 { text += " at address \(hexadecimal(death.address))" }
        } else if death.code < 0 {
            text = "it ended while no keeper saw how"
        } else {
            text = "it ended by itself with status \(death.code)"
        }
        if death.worker >= 0 { text += ", worker \(death.worker)" }
        if death.connection != 0 { text += ", connection \(String(death.connection, radix: 16)) in hand" }
        return text
    }

    /// The return addresses, innermost first, as addr2line(1) takes them: `limpetd+0x1f00d` in the program, a plain address
    /// elsewhere. Empty where nothing could be written down.
    public var trace: [String] {
        let size = limpet_own_image().size
        return withUnsafeBytes(of: death.return_address) { bytes in
            bytes.bindMemory(to: UInt64.self).prefix(Int(min(death.returns, UInt32(LIMPET_RETURN_ADDRESSES)))).map {
                $0 >= death.load_base && $0 - death.load_base < size
                    ? "limpetd+\(hexadecimal($0 - death.load_base))" : hexadecimal($0)
            }
        }
    }

    private var name: String {
        let names: [Int32: String] = [
            1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
            9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 31: "SIGSYS",
        ]
        return names[death.signal] ?? "signal \(death.signal)"
    }

    private func hexadecimal(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }
}
