/// Numbers with two decimals, kept as hundredths: they are equal exactly where their texts are.
enum HundredthsText {
    /// `1`, `1.2`, `1.25`, as TOML writes a number.
    static func render(_ hundredths: Int) -> String {
        let (whole, rest) = (hundredths / 100, hundredths % 100)
        if rest == 0 { return "\(whole)" }
        return rest % 10 == 0 ? "\(whole).\(rest / 10)" : "\(whole).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// nil where the number has more decimals, or is none that counts anything.
    static func exact(_ number: Double) -> Int? {
        guard number.isFinite, abs(number) < 1e12 else { return nil }
        let hundredths = (number * 100).rounded()
        return hundredths / 100 == number ? Int(hundredths) : nil
    }
}
