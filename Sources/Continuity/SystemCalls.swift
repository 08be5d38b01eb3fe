internal import CContinuity

/// System calls by their names, as seccomp(2) tells them apart.
public enum SystemCalls {
    /// What this build needs.
    public static var needed: [String] {
        var names: [String] = []
        var index: UInt32 = 0
        while true {
            let number = limpet_call_needed(index)
            if number < 0 { break }
            if let name = name(UInt32(number)), !names.contains(name) { names.append(name) }
            index += 1
        }
        return names
    }

    /// nil: none that is known here.
    public static func name(_ number: UInt32) -> String? {
        limpet_call_name(number).map { String(cString: $0) }
    }
}
