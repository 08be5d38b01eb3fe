import Addressing

@testable import Configuration
@testable import Engine

/// The text of a configuration file. Whatever is accepted means the same once it is written out and read again: an engine
/// that takes over has the text alone.
func configurationFile(_ input: UnsafeRawBufferPointer) {
    guard let text = String(validating: input, as: UTF8.self) else { return }
    do throws(ConfigurationFailure) {
        let loaded = try ConfigurationLoader.parse(text, source: "file")
        for warning in loaded.warnings { checkLine(warning, limit: 1 << 20) }
        checkWritten(loaded.configuration)
    } catch {
        checkErrors(error)
    }
}

/// The flags: in each line a name, a space, a text. Files are not read.
func commandLine(_ input: UnsafeRawBufferPointer) {
    guard let text = String(validating: input, as: UTF8.self) else { return }
    var flags = FlagValues()
    for line in text.split(separator: "\n") {
        let sides = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        let value = sides.count > 1 ? String(sides[1]) : ""
        switch sides[0] {
        case "listen": flags.listen.append(value)
        case "backend": flags.backends.append(value)
        default:
            guard let key = ConfigurationKeys.all.first(where: { $0.name == sides[0] && $0.hasFlag }),
                key.section != .service
            else { continue }
            flags.set(key, value)
        }
    }
    let findings = Findings(source: "limpetd")
    var configuration = ConfigurationBuilder(form: .flags, findings: findings).build(flags)
    configuration.compileAccess()
    guard findings.errors.isEmpty else {
        return checkErrors(ConfigurationFailure(.usage, findings.errors))
    }
    checkWritten(configuration)
}

/// A file of networks. What was accepted is found in the table that is made of it, and nothing else.
func networkFile(_ input: UnsafeRawBufferPointer) {
    do throws(ConfigurationFailure) {
        let networks = try NetworkFile.read(Array(input), path: "file")
        check(NetworkFile.parse(NetworkFile.text(networks)) == networks, "written and read again it is another list")
        guard networks.count <= 64 else { return }
        let map = PrefixMap(networks.enumerated().map { (network: $0.element, number: UInt32($0.offset)) })
        for network in networks {
            let base = network.address
            for address in [base, base.lastBitFlipped] {
                let best = networks.enumerated().filter { $0.element.contains(address) }
                    .max { ($0.element.length, $0.offset) < ($1.element.length, $1.offset) }
                check(map.number(of: address).map(Int.init) == best?.offset, "\(address) among \(networks)")
            }
        }
    } catch {
        checkErrors(error)
    }
}

private func checkErrors(_ failure: ConfigurationFailure) {
    check(!failure.errors.isEmpty, "it is refused for no reason")
    for error in failure.errors { checkLine("\(error)", limit: 1 << 20) }
}

private func checkWritten(_ configuration: DaemonConfiguration) {
    let text = configuration.canonicalText
    do throws(ConfigurationFailure) {
        let again = try ConfigurationLoader.parse(text, source: "again").configuration
        check(again.canonicalText == text, "written twice it is another text: \(text)")
        let settled = ConfigurationDiff.Settled(workers: 1, automaticWorkers: 1, largestLimit: .max)
        let diff = ConfigurationDiff(from: configuration, to: again, settled: settled)
        check(diff.isEmpty, "written and read again it is another: \(diff.changes)")
        let all = ConfigurationDiff(from: base, to: configuration, settled: settled)
        for change in all.changes { checkLine("\(change)", limit: 1 << 20) }
        _ = configuration.configHash
        _ = configuration.questions(NameFacts())
    } catch {
        fatalError("what was accepted is refused once it is written out: \(error)\n\(text)")
    }
}

/// What there was before.
private let base = try! ConfigurationLoader.parse(
    """
    [[service]]
    name = "chat"
    listen = ["127.0.0.1:80"]
    [[service.backend]]
    name = "b1"
    address = "127.0.0.1:81"
    """, source: "base"
).configuration

extension IPAddress {
    fileprivate var lastBitFlipped: IPAddress {
        family == .v4 ? IPAddress(v4: UInt32(truncatingIfNeeded: low) ^ 1) : IPAddress(v6High: high, low: low ^ 1)
    }
}
