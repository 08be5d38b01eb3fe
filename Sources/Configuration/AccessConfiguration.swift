public import Addressing

/// Networks as a key lists them: written out, and in files.
public struct NetworkList: Sendable, Hashable {
    public var networks: [Prefix] = []
    /// Paths, from the root on.
    public var files: [String] = []

    public init() {}

    var isEmpty: Bool { networks.isEmpty && files.isEmpty }

    /// As the key takes it.
    var texts: [String] { networks.map(\.description) + files.map { "@" + $0 } }

    func all(_ contents: [String: [Prefix]]) -> [Prefix] {
        files.isEmpty ? networks : networks + files.flatMap { contents[$0] ?? [] }
    }
}

/// Who may come in: to a service, or by one of its listeners.
public struct AccessConfiguration: Sendable, Hashable {
    public var allow = NetworkList()
    public var deny = NetworkList()
    /// What comes of both, with the contents of their files; nil: everybody may. Follows from the rest
    /// (``DaemonConfiguration/networkFiles``), and is made where those are read, so that whoever needs it has it at once.
    public internal(set) var rules: AccessRules?

    public init() {}

    var files: [String] { allow.files + deny.files }

    public static func == (left: AccessConfiguration, right: AccessConfiguration) -> Bool {
        left.allow == right.allow && left.deny == right.deny
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(allow)
        hasher.combine(deny)
    }
}

extension DaemonConfiguration {
    /// The files of networks that are named anywhere.
    var networkPaths: Set<String> {
        Set(services.flatMap { $0.access.files + $0.listeners.flatMap { $0.access.files } })
    }

    /// Makes the rules of all lists.
    mutating func compileAccess() {
        var compiler = AccessCompiler(networkFiles)
        compiler.compile(&services)
    }
}

/// Makes rules of lists, once of those that are the same: a range of ports is a thousand listeners with one list, and that
/// may have a hundred thousand networks. Who has the same lists shares the rules.
struct AccessCompiler {
    private let contents: [String: [Prefix]]
    /// By their lists.
    private(set) var made: [AccessConfiguration: AccessRules] = [:]

    /// - Parameter contents: of files, by path.
    init(_ contents: [String: [Prefix]]) {
        self.contents = contents
    }

    mutating func compile(_ services: inout [ServiceConfiguration]) {
        for index in services.indices {
            compile(&services[index].access)
            for listener in services[index].listeners.indices {
                compile(&services[index].listeners[listener].access)
            }
        }
    }

    private mutating func compile(_ access: inout AccessConfiguration) {
        if access.allow.isEmpty, access.deny.isEmpty {
            access.rules = nil
        } else if let known = made[access] {
            access.rules = known
        } else {
            access.rules = AccessRules(allow: access.allow.all(contents), deny: access.deny.all(contents))
            made[access] = access.rules
        }
    }
}

/// The text of a file of networks: one in a line; what follows a `#` is not read, and a line may be empty.
public enum NetworkFile {
    /// Bytes that one may have.
    static let limit = 4 * 1024 * 1024
    /// Networks in it.
    static let mostNetworks = 100_000
    /// Lines that are complained of; what is wrong with a thousand of them is wrong with ten.
    private static let mostComplaints = 10

    /// - Parameter path: for the errors.
    static func read(_ bytes: [UInt8], path: String) throws(ConfigurationFailure) -> [Prefix] {
        var networks: [Prefix] = []
        var errors: [ConfigurationError] = []
        var complaints = 0
        for (index, line) in bytes.split(separator: 0x0a, omittingEmptySubsequences: false).enumerated() {
            var text = line.prefix { $0 != UInt8(ascii: "#") }
            while let last = text.last, last == 0x20 || last == 0x09 || last == 0x0d { text.removeLast() }
            while let first = text.first, first == 0x20 || first == 0x09 { text.removeFirst() }
            if text.isEmpty { continue }
            switch NetworkText.read(String(decoding: text, as: UTF8.self)) {
            case .success(let network): networks.append(network)
            case .failure(let problem):
                complaints += 1
                guard complaints <= mostComplaints else { continue }
                errors.append(
                    ConfigurationError(source: path, place: ["line \(index + 1)"], problem: problem.description))
            }
        }
        if complaints > mostComplaints {
            errors.append(
                ConfigurationError(source: path, problem: "\(complaints - mostComplaints) more lines are wrong"))
        }
        if networks.count > mostNetworks {
            errors.append(
                ConfigurationError(
                    source: path, problem: "\(networks.count) networks: \(mostNetworks) at most in one file"))
        }
        guard errors.isEmpty else { throw ConfigurationFailure(.configuration, errors) }
        return networks
    }

    /// What ``parse(_:)`` reads back.
    public static func text(_ networks: [Prefix]) -> String {
        networks.map(\.description).joined(separator: "\n")
    }

    /// Reads what ``text(_:)`` has written; what is damaged is left out.
    public static func parse(_ text: String) -> [Prefix] {
        text.split(separator: "\n").compactMap { Prefix($0) }
    }
}

/// A network as people write it.
enum NetworkText {
    /// Why a text is none. The description says what is wrong and what to write instead.
    struct Problem: Error, Equatable {
        var description: String
    }

    static func read(_ text: String) -> Result<Prefix, Problem> {
        guard let network = Prefix(text) else {
            return .failure(
                Problem(
                    description: "\(quoted(text)) is no network: write an address and how many of its bits count, such "
                        + "as \"192.0.2.0/24\""))
        }
        if network.address.unmapped != network.address {
            return .failure(
                Problem(
                    description: "\(quoted(text)): write the IPv4 address, \(network.address.unmapped), as such"))
        }
        if network.hasHostBits {
            return .failure(
                Problem(
                    description: "\(quoted(text)) has bits set past its length: the network is \(network.network), the "
                        + "one address \(network.address)/\(network.address.family.bitCount)"))
        }
        return .success(network)
    }
}
