import Configuration
import Foundation
import Testing

/// The page limpet.toml(5) and the example in etc/ against the registry, both ways.
@Suite struct PageAndExampleTests {
    /// What the page says of one key.
    private struct Entry: Equatable {
        var section: String
        var type: String
        var standard: String
    }

    /// The page's entries. Each is `.It Ic NAME` and then two lines, `Type:` and `Default:`; the sections are told by
    /// their `.Ss`.
    private func entries() throws -> [String: Entry] {
        let page = try String(contentsOf: root.appendingPathComponent("man/limpet.toml.5"), encoding: .utf8)
        var entries: [String: Entry] = [:]
        var section = ""
        var current: String?
        for line in page.split(separator: "\n") {
            if line.hasPrefix(".Ss ") || line.hasPrefix(".Sh ") {
                section = line.dropFirst(4).lowercased()
                current = nil
            } else if line.hasPrefix(".It Ic ") {
                let key = "\(section)/\(line.dropFirst(7))"
                #expect(entries[key] == nil, "\(key) is there twice")
                entries[key] = Entry(section: section, type: "", standard: "")
                current = key
            } else if let key = current, line.hasPrefix("Type: ") {
                entries[key]?.type = String(line.dropFirst(6))
            } else if let key = current, line.hasPrefix("Default: ") {
                entries[key]?.standard = String(line.dropFirst(9))
            }
        }
        return entries
    }

    private static let titles: [ConfigurationKey.Section: String] = [
        .daemon: "the daemon", .service: "a service", .behaviour: "behaviour of a service", .backend: "a backend",
        .listener: "a listener", .keepalive: "keepalive", .health: "health checks",
    ]

    @Test func thePageHasEveryKeyWithItsTypeRangeAndDefault() throws {
        let entries = try entries()
        for key in ConfigurationKeys.all {
            let title = try #require(PageAndExampleTests.titles[key.section])
            let entry = try #require(entries["\(title)/\(key.name)"], "\(key.name) (\(title)) is not in the page")
            #expect(entry.type == "\(key.expectation).", "\(key.name)")
            #expect(entry.standard == key.defaultText.map { "\($0)." } ?? "none; the key is required.", "\(key.name)")
        }
    }

    @Test func thePageHasNoOtherKey() throws {
        let known = Set(ConfigurationKeys.all.map { "\(PageAndExampleTests.titles[$0.section] ?? "")/\($0.name)" })
        #expect(Set(try entries().keys).subtracting(known) == [])
    }

    /// In the example, `#key = …` is a setting that is commented out and `# text` is a comment.
    private func example(uncommented: Bool) throws -> String {
        let text = try String(contentsOf: root.appendingPathComponent("etc/limpet.toml"), encoding: .utf8)
        guard uncommented else { return text }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.hasPrefix("#") && !$0.hasPrefix("# ") ? $0.dropFirst() : $0 }.joined(separator: "\n")
    }

    @Test func theExampleIsValidAsShipped() throws {
        let loaded = try ConfigurationLoader.load(
            path: root.appendingPathComponent("etc/limpet.toml").path, flags: FlagValues())
        #expect(loaded.warnings == [])
        #expect(loaded.configuration.services.count == 1)
    }

    @Test func theExampleIsValidWithEverythingSwitchedOn() throws {
        let loaded = try ConfigurationLoader.parse(try example(uncommented: true), source: "limpet.toml")
        #expect(loaded.warnings == [])
        #expect(loaded.configuration.services.count == 2)
    }

    @Test func theExampleHasEveryKeyWithItsDefault() throws {
        let words = try example(uncommented: true)
        let lines = words.split(separator: "\n").map(String.init)
        for key in ConfigurationKeys.all where ![.tables, .table(word: nil)].contains(key.kind) {
            let table = key.section == .listener ? "listen" : key.section.rawValue
            let isThere =
                [.keepalive, .health, .listener].contains(key.section)
                ? lines.contains { $0.hasPrefix("\(table) = ") && $0.contains("\(key.name) = ") }
                : lines.contains { $0.hasPrefix("\(key.name) = ") }
            #expect(isThere, "\(key.name) is not in the example")
        }
        for table in ["[defaults]", "[[service]]", "[[service.backend]]"] {
            #expect(lines.contains(table))
        }
    }

    /// What the example shows as commented out is what holds anyway, but for what has no value to write.
    @Test func theExamplesDefaultsAreTheRegistrys() throws {
        let shipped = try example(uncommented: false)
        let settings = try ConfigurationLoader.parse(
            try example(uncommented: true), source: "limpet.toml"
        ).configuration
        let plain = try ConfigurationLoader.parse(shipped, source: "limpet.toml").configuration
        #expect(settings.services[0] == plain.services[0])
        #expect(settings.workers == plain.workers)
        #expect(settings.maxConnections == plain.maxConnections)
        #expect(settings.shutdownDelay == plain.shutdownDelay)
        #expect(settings.shutdownDrain == plain.shutdownDrain)
        #expect(settings.logLevel == plain.logLevel)
        #expect(settings.logFormat == plain.logFormat)
        #expect(settings.accessLog == plain.accessLog)
    }
}
