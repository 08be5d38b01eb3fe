internal import CLayout
public import Forwarding

/// Why an engine died, in words.
public struct DeathReport: Sendable {
    private let death: limpet_death
    private let imageBytes: UInt64
    /// Which program died, by its build id, in hexadecimal digits, as file(1) and readelf -n show it; nil: it has none, or
    /// nothing could be written down.
    public let buildID: String?

    /// Of the last engine that died.
    public init(_ region: SharedRegion) {
        death = region.continuity.pointee.death
        imageBytes = region.process.pointee.death_image_bytes
        let length = min(region.process.pointee.death_build_id_length, LIMPET_BUILD_ID_BYTES)
        let bytes = UnsafeBufferPointer(start: limpet_death_build_id(region.process), count: Int(length))
        buildID = bytes.isEmpty ? nil : bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
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
        withUnsafeBytes(of: death.return_address) { bytes in
            bytes.bindMemory(to: UInt64.self).prefix(Int(min(death.returns, UInt32(LIMPET_RETURN_ADDRESSES)))).map {
                $0 >= death.load_base && $0 - death.load_base < imageBytes
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
