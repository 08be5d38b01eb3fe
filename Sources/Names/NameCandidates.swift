import Addressing

/// The names that are asked for, one after the other, until one of them is there: the search list of resolv.conf(5). Pure.
enum NameCandidates {
    /// - Parameters:
    ///   - domains: the search list, in its order.
    ///   - dots: with so many dots in it a name is tried as it is before the list, otherwise after it.
    static func of(_ name: HostName, domains: [String], dots: Int) -> [String] {
        if name.isAbsolute { return [name.text] }
        let longer = domains.map { domain in
            let tail = domain.hasSuffix(".") ? domain.dropLast() : domain[...]
            return tail.isEmpty ? name.text : name.text + "." + tail
        }
        let isWhole = name.text.utf8.count { $0 == UInt8(ascii: ".") } >= dots
        var seen: Set<String> = []
        return (isWhole ? [name.text] + longer : longer + [name.text]).filter {
            $0.utf8.count <= 253 && seen.insert($0).inserted
        }
    }
}
