import Addressing
import Foundation
import Testing

@testable import Configuration

/// Access lists and affinity: what is refused, what is read from files, and what a change of these is.
@Suite struct AccessKeyTests {
    static let refusals: [Refusal<String>] = [
        Refusal(
            #"deny = "10.0.0.0/8""#,
            #""deny" must be an array of networks (such as "192.0.2.0/24") and files of them "#,
            #"(such as "@/etc/limpet/deny.txt"), not "10.0.0.0/8""#),
        Refusal(
            "deny = [7]", #""deny" must be an array of networks (such as "192.0.2.0/24") and files of them (such as "#,
            #""@/etc/limpet/deny.txt"), not an integer"#),
        Refusal(
            #"deny = ["10.0.0.1/8"]"#,
            #"deny: "10.0.0.1/8" has bits set past its length: the network is 10.0.0.0/8, the one "#,
            "address 10.0.0.1/32"),
        Refusal(
            #"allow = ["2001:db8::1/32"]"#, #"allow: "2001:db8::1/32" has bits set past its length: the network is "#,
            "2001:db8::/32, the one address 2001:db8::1/128"),
        Refusal(
            #"allow = ["example.org"]"#,
            #"allow: "example.org" is no network: write an address and how many of its bits "#,
            #"count, such as "192.0.2.0/24""#),
        Refusal(
            #"allow = ["::ffff:10.0.0.1"]"#, #"allow: "::ffff:10.0.0.1": write the IPv4 address, 10.0.0.1, as such"#),
        Refusal(
            #"deny = ["@deny.txt"]"#, #"deny: "@deny.txt": a file of networks is named by its whole path, from / on"#),
        Refusal(
            #"affinity = "500ms""#,
            #""affinity" must be a duration from 1s to 8760h (such as "10m"), or "off", not "500ms""#),
    ]

    @Test(arguments: refusals) func whatIsRefused(_ refusal: Refusal<String>) {
        #expect(
            complaints(document(service: refusal.input)) == [#"limpet.toml: service "chat": \#(refusal.line)"#])
    }

    @Test func aListThatBelongsIntoAFile() {
        let many = (0...1000).map { "\"10.0.\($0 / 250).\($0 % 250)\"" }.joined(separator: ", ")
        #expect(
            complaints(document(service: "deny = [\(many)]")) == [
                #"limpet.toml: service "chat": deny: 1001 networks: 1000 at most here; more of them belong into a file, "#
                    + #"named as "@/etc/limpet/deny.txt""#
            ])
        let files = (0...16).map { "\"@/etc/\($0)\"" }.joined(separator: ", ")
        #expect(
            complaints(document(service: "allow = [\(files)]")) == [
                #"limpet.toml: service "chat": allow: 17 files: 16 at most"#
            ])
    }

    @Test func aListenerHasListsOfItsOwn() throws {
        let text = document(service: "deny = [\"10.0.0.0/8\"]").replacing(
            "\"127.0.0.1:8080\"", with: "{ address = \"127.0.0.1:8080\", allow = [\"192.0.2.0/24\"] }")
        let service = try ConfigurationLoader.parse(text, source: "x").configuration.services[0]
        #expect(service.access.rules?.letsIn(IPAddress("10.0.0.1")!) == false)
        #expect(service.access.rules?.letsIn(IPAddress("192.0.2.1")!) == true)
        #expect(service.listeners[0].access.rules?.letsIn(IPAddress("192.0.2.1")!) == true)
        #expect(service.listeners[0].access.rules?.letsIn(IPAddress("198.51.100.1")!) == false)
        #expect(service.listeners[0].options == ["allow=1"])
        #expect(
            complaints(text.replacing("192.0.2.0/24", with: "192.0.2.7/24")) == [
                #"limpet.toml: service "chat": listen "127.0.0.1:8080": allow: "192.0.2.7/24" has bits set past its length: "#
                    + "the network is 192.0.2.0/24, the one address 192.0.2.7/32"
            ])
    }

    /// A thousand listeners of a range of ports have one list, and so has their service; another list is another's.
    @Test func listsThatAreTheSameAreMadeOnce() throws {
        let list = "deny = [\"@/d\", \"198.51.100.0/24\"]"
        let text = document(service: list).replacing(
            "\"127.0.0.1:8080\"",
            with: "[{ address = \"127.0.0.1:8000-8999\", \(list) }, { address = \"127.0.0.2:80\", allow = [\"@/d\"] }]")
        var services = try ConfigurationLoader.parse(text, source: "x").configuration.services
        var compiler = AccessCompiler(["/d": [try #require(Prefix("192.0.2.0/24"))]])
        compiler.compile(&services)
        #expect(compiler.made.count == 2)
        let (client, other) = (IPAddress("192.0.2.1")!, IPAddress("203.0.113.1")!)
        #expect(services[0].access.rules?.letsIn(client) == false && services[0].access.rules?.letsIn(other) == true)
        let listeners = services[0].listeners
        #expect(listeners.count == 1001)
        #expect(listeners.prefix(1000).allSatisfy { $0.access.rules?.letsIn(client) == false })
        #expect(listeners.prefix(1000).allSatisfy { $0.access.rules?.letsIn(other) == true })
        let last = try #require(listeners[1000].access.rules)
        #expect(last.letsIn(client) && !last.letsIn(other))
    }

    private func load(_ directory: String, _ list: String) throws -> DaemonConfiguration {
        try write(Data(list.utf8), to: directory + "/deny")
        let path = try write(
            Data(document(service: "deny = [\"192.0.2.0/24\", \"@\(directory)/deny\"]").utf8),
            to: directory + "/limpet.toml")
        return try ConfigurationLoader.load(path: path, flags: FlagValues()).configuration
    }

    @Test func aFileOfNetworksIsReadAndCounts() throws {
        try withTemporaryDirectory { directory in
            let list = "# who is not wanted\n\n  10.0.0.0/8 # the office\r\n2001:db8::/32\t\n198.51.100.7\n"
            let first = try load(directory, list)
            let rules = try #require(first.services[0].access.rules)
            #expect(rules.count == 4)
            for text in ["10.1.1.1", "2001:db8::5", "198.51.100.7", "192.0.2.9"] {
                #expect(!rules.letsIn(IPAddress(text)!), "\(text)")
            }
            #expect(rules.letsIn(IPAddress("198.51.100.8")!))
            let same = try load(directory, list.replacing("# who", with: "#who"))
            #expect(same == first && same.configHash == first.configHash)
            let other = try load(directory, list + "203.0.113.0/24\n")
            #expect(
                other != first && other.canonicalText == first.canonicalText && other.configHash != first.configHash)
            let diff = ConfigurationDiff(
                from: first, to: other,
                settled: ConfigurationDiff.Settled(workers: 1, automaticWorkers: 1, largestLimit: 10))
            #expect(
                diff.changes.map(\.description) == [
                    "changed service chat: deny from @\(directory)/deny (3 networks) to @\(directory)/deny (4 networks, "
                        + "others than before)"
                ])
            #expect(NetworkFile.parse(NetworkFile.text(other.networkFiles["\(directory)/deny"]!)).count == 4)
        }
    }

    @Test func whatIsWrongInAFileIsNamedByItsLine() throws {
        try withTemporaryDirectory { directory in
            func complaint(_ list: String) throws -> [String] {
                try write(Data(list.utf8), to: directory + "/deny")
                return complaints(
                    FlagValues(),
                    path: try write(
                        Data(document(service: "deny = [\"@\(directory)/deny\"]").utf8),
                        to: directory + "/limpet.toml"))
            }
            #expect(
                try complaint("10.0.0.0/8\n\n10.0.0.1/8\nnonsense # x\n") == [
                    "\(directory)/deny: line 3: \"10.0.0.1/8\" has bits set past its length: the network is 10.0.0.0/8, the "
                        + "one address 10.0.0.1/32",
                    "\(directory)/deny: line 4: \"nonsense\" is no network: write an address and how many of its bits count, "
                        + "such as \"192.0.2.0/24\"",
                ])
            let many = try complaint(String(repeating: "x\n", count: 25))
            #expect(many.count == 11 && many.last == "\(directory)/deny: 15 more lines are wrong")
            let long = (0...100_000).map { "10.\($0 / 65536).\($0 / 256 % 256).\($0 % 256)" }.joined(separator: "\n")
            #expect(try complaint(long) == ["\(directory)/deny: 100001 networks: 100000 at most in one file"])
            try FileManager.default.removeItem(atPath: directory + "/deny")
            let path = directory + "/limpet.toml"
            #expect(
                complaints(FlagValues(), path: path)
                    == ["\(directory)/deny: cannot be read: No such file or directory"])
            try write(Data(repeating: 0x23, count: 4 * 1024 * 1024 + 1), to: directory + "/deny")
            #expect(complaints(FlagValues(), path: path) == ["\(directory)/deny: is larger than 4MiB"])
        }
    }

    @Test func whatIsFixedAtTheStart() throws {
        let (old, new) = (document(), document(daemon: "affinity-entries = 4096"))
        let diff = ConfigurationDiff(
            from: try ConfigurationLoader.parse(old, source: "x").configuration,
            to: try ConfigurationLoader.parse(new, source: "x").configuration,
            settled: ConfigurationDiff.Settled(workers: 1, automaticWorkers: 1, largestLimit: 10))
        #expect(diff.needingRestart.map(\.description) == ["changed affinity-entries from 65536 to 4096"])
    }
}
