/// One key of the configuration: its name, where it may stand, what it takes and what it means.
///
/// The loader reads by these, the errors quote them, the renderer writes by them, and the manual is compared with
/// them. Pure data; any thread may use it.
public struct ConfigurationKey: Sendable, Equatable {
    /// Where a key may stand.
    public enum Section: String, Sendable, CaseIterable {
        /// At the top of the file: for the whole daemon.
        case daemon
        /// What a service is, in `[[service]]` alone: no default could stand for it.
        case service
        /// In an inline table of `listen`.
        case listener
        /// How a service behaves: in `[[service]]`, and in `[defaults]` for all of them.
        case behaviour
        /// In `[[service.backend]]`.
        case backend
        /// In the table `keepalive`.
        case keepalive
        /// In the table `health`.
        case health
    }

    /// What a key takes. `word` is what may be written in place of the value, where there is such a word.
    public enum Kind: Sendable, Equatable {
        case integer(ClosedRange<Int>, word: String?)
        case duration(ClosedRange<Duration>, word: String?)
        /// A duration in whole seconds: the kernel counts these so.
        case seconds(ClosedRange<Duration>)
        /// Bytes: an integer, or a string with the suffix KiB or MiB.
        case size(ClosedRange<Int>, word: String?)
        case choice([String])
        case boolean
        /// A number with two decimals at most; the range in hundredths.
        case hundredths(ClosedRange<Int>, word: String?)
        /// 1 to 64 of `A–Z a–z 0–9 . _ -`.
        case name
        /// A file or directory, 1 to so many bytes.
        case path(limit: Int)
        /// Any text of 1 to so many bytes.
        case text(limit: Int)
        /// An IP address without a port.
        case ipAddress
        /// A kind of check by its word, or a table of them.
        case check
        /// A name of the system's user or group database.
        case account
        /// A group of the system by its name, or by its number in decimal.
        case group
        /// `ADDRESS:PORT`.
        case endpoint
        /// Where clients arrive: `ADDRESS:PORT`, `unix:PATH` or `fd:NAME`.
        case listenerAddress
        /// Permission bits in octal.
        case permissions
        /// Where a backend is: `ADDRESS:PORT` or `unix:PATH`.
        case backendAddress
        /// The same, a port of this machine's own address, or a word in its place.
        case endpointOr(word: String)
        /// Addresses that connections come from: one text, or an array of them.
        case sources
        /// The name of a network interface.
        case device(word: String?)
        /// An array of networks.
        case networks
        /// The same, where files of networks may stand among them.
        case networkList
        /// An array of words among these.
        case choices([String])
        /// Names of hosts, as a browser asks by them: an array of texts.
        case hosts
        /// An array of name servers: `ADDRESS` or `ADDRESS:PORT`.
        case servers
        /// Where clients arrive: a text, an inline table, or an array of these.
        case listeners
        /// A name of a network interface.
        case interface
        /// `[key]` or an inline table; `word` may stand for it.
        case table(word: String?)
        /// `[[key]]`: one table for each.
        case tables
    }

    public let name: String
    public let section: Section
    public let kind: Kind
    /// The value that holds where the key is not written, as one would write it (without quotes), or in words where
    /// it depends on the machine. nil: the key is required.
    public let defaultText: String?
    /// True where limpetd has the flag `--name` as well.
    public let hasFlag: Bool
    /// One sentence on what the key does.
    public let summary: String

    /// What a value must be, as the errors and the manual say it: `an integer from 1 to 256`.
    public var expectation: String {
        switch kind {
        case .integer(let range, let word):
            "an integer from \(range.lowerBound) to \(range.upperBound)" + or(word)
        case .duration(let range, let word):
            "a duration from \(DurationText.render(range.lowerBound)) to \(DurationText.render(range.upperBound))"
                + " (such as \(example))" + or(word)
        case .seconds(let range):
            "a duration in whole seconds from \(range.lowerBound.components.seconds)s to "
                + "\(range.upperBound.components.seconds)s (such as \(example))"
        case .size(let range, let word):
            "a size from \(SizeText.render(range.lowerBound)) to \(SizeText.render(range.upperBound))"
                + " (bytes, or such as \"256KiB\")" + or(word)
        case .choice(let words):
            words.dropLast().map { "\"\($0)\"" }.joined(separator: ", ") + " or \"\(words.last ?? "")\""
        case .boolean: "true or false"
        case .hundredths(let range, let word):
            "a number from \(HundredthsText.render(range.lowerBound)) to \(HundredthsText.render(range.upperBound))"
                + " with two decimals at most" + or(word)
        case .name: "a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -"
        case .path(let limit): "a path of 1 to \(limit) bytes, without control characters"
        case .text(let limit): "a text of 1 to \(limit) bytes"
        case .ipAddress: "an IP address (such as \"192.0.2.1\")"
        case .check: "\"tcp\", \"http:PATH\", \"off\" or a table"
        case .account: "a name of 1 to 32 characters, without spaces, colons and slashes"
        case .group: "the name of a group, or its number (such as \"ops\" or \"1001\")"
        case .endpointOr(let word):
            "an address and a port (such as \"127.0.0.1:9464\"), a port of 127.0.0.1 (such as 9464)" + or(word)
        case .endpoint: "an address and a port (such as \"192.0.2.1:80\")"
        case .permissions: "permission bits in octal, 0000 to 0777 (such as \"0660\")"
        case .backendAddress, .listenerAddress:
            "an address and a port (such as \"192.0.2.1:80\") or a Unix socket (\"unix:/run/app.sock\")"
        case .sources: "an address or a prefix (such as \"192.0.2.16/28\"), or an array of them, or \"auto\""
        case .device(let word): "the name of a network interface (1 to 15 characters)" + or(word)
        case .servers: "an array of 8 addresses of name servers at most (such as \"192.0.2.53\" or \"192.0.2.53:53\")"
        case .networks: "an array of networks (such as \"192.0.2.0/24\")"
        case .networkList:
            "an array of networks (such as \"192.0.2.0/24\") and files of them (such as \"@/etc/limpet/deny.txt\")"
        case .choices(let words):
            "an array of any of " + words.map { "\"\($0)\"" }.joined(separator: ", ")
        case .hosts: "an array of host names (such as \"status.example.org\")"
        case .listeners: "an address and a port (such as \"0.0.0.0:80\"), a table with them, or an array of these"
        case .interface: "a name of 1 to 15 characters, without spaces, colons, slashes and %"
        case .table(let word): "a table" + or(word)
        case .tables: "an array of tables"
        }
    }

    /// The default where it is a time, else some time.
    private var example: String {
        let standard = defaultText.flatMap { DurationText.parse($0) == nil ? nil : $0 } ?? "10m"
        return standard == "0s" ? "\"30s\"" : "\"\(standard)\""
    }

    private func or(_ word: String?) -> String { word.map { ", or \"\($0)\"" } ?? "" }
}
