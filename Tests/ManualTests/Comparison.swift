/// The comparison itself, apart from where the two lists come from.
enum Comparison {
    /// What one side has and the other lacks, as sentences; empty when they agree. A name that occurs twice in one
    /// list has to occur twice in the other.
    static func differences(of kind: String, code: some Sequence<String>, page: some Sequence<String>) -> [String] {
        let inCode = counts(code)
        let inPage = counts(page)
        return Set(inCode.keys).union(inPage.keys).sorted().compactMap { name in
            let code = inCode[name] ?? 0
            let page = inPage[name] ?? 0
            if code == page { return nil }
            if page == 0 { return "\(kind) \(name) is not in the page" }
            if code == 0 { return "\(kind) \(name) is in the page, but there is no such thing" }
            return "\(kind) \(name) exists \(code) times and is in the page \(page) times"
        }
    }

    private static func counts(_ names: some Sequence<String>) -> [String: Int] {
        names.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
}
