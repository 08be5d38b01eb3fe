/// Permission bits of a file, as chmod(1) takes them: three octal digits, with or without a zero before them.
enum PermissionsText {
    static func parse(_ text: String) -> UInt32? {
        guard text.utf8.count == 3 || text.utf8.count == 4 && text.hasPrefix("0"),
            text.utf8.allSatisfy({ (0x30...0x37).contains($0) })
        else { return nil }
        return UInt32(text, radix: 8)
    }

    static func render(_ mode: UInt32) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
