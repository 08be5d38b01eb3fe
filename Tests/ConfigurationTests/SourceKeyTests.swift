import Addressing
import Testing

@testable import Configuration

/// Where connections to backends come from: what is read, and what is refused.
@Suite struct SourceKeyTests {
    private func source(_ settings: String) throws -> SourceConfiguration {
        try ConfigurationLoader.parse(document(service: settings), source: "limpet.toml").configuration.services[0]
            .source
    }

    private func texts(_ settings: String, _ family: IPAddress.Family) throws -> [String] {
        try source(settings).addresses(family).map(\.description)
    }

    @Test func addressesAndPrefixesYieldAddresses() throws {
        let list = #"source = ["192.0.2.1", "192.0.2.16/30", "2001:db8::fffe/127", "192.0.2.17"]"#
        #expect(try texts(list, .v4) == ["192.0.2.1", "192.0.2.16", "192.0.2.17", "192.0.2.18", "192.0.2.19"])
        #expect(try texts(list, .v6) == ["2001:db8::fffe", "2001:db8::ffff"])
        #expect(try texts(#"source = "255.255.255.252/30""#, .v4).last == "255.255.255.255")
        #expect(try texts(#"source = "::ffff:192.0.2.4/127""#, .v4) == ["192.0.2.4", "192.0.2.5"])
        #expect(try texts(#"source = "auto""#, .v4).isEmpty)
    }

    /// The first 64, however many there are.
    @Test(arguments: [(26, 64), (27, 32), (25, 64), (0 + 8, 64)])
    func aPrefixYieldsABoundedNumber(_ length: Int, _ count: Int) throws {
        let found = try source("source = \"10.0.0.0/\(length)\"").addresses(.v4)
        #expect(found.count == count && found.last?.low == 0x0a00_0000 + UInt64(count) - 1)
        let longer = try source("source = \"2001:db8::/\(length + 96)\"").addresses(.v6)
        #expect(longer.count == count && longer.last?.low == UInt64(count) - 1)
        #expect(try source("source = \"2001:db8::/32\"").addresses(.v6).count == 64)
    }

    @Test func whatAServiceSaysGoesBeforeTheDefaults() throws {
        let text = "[defaults]\nsource = \"192.0.2.1\"\nmark = 5\nsource-device = \"eth0\"\n"
        let own = document(service: "source = \"auto\"\nmark = \"off\"\nsource-device = \"any\"\ntransparent = true")
        #expect(complaints(text + own) == ["accepted"])
        let loaded = try ConfigurationLoader.parse(text + document(), source: "x").configuration.services[0].source
        #expect(loaded.mark == 5 && loaded.device == "eth0" && loaded.prefixes.count == 1)
        #expect(try source("mark = 4294967295").mark == .max)
    }

    private static let place = #"limpet.toml: service "chat": "#
    private static let expected =
        #""source" must be an address or a prefix (such as "192.0.2.16/28"), or an array of them, or "auto", not "#

    static let refusals: [(settings: String, line: String)] = [
        (
            #"source = "192.0.2.17/28""#,
            #"source: "192.0.2.17/28" has bits set past its length: 192.0.2.16/28 is the network, 192.0.2.17 the address alone"#
        ),
        (
            #"source = ["192.0.2.1", "2001:db8::1/64"]"#,
            #"source: "2001:db8::1/64" has bits set past its length: 2001:db8::/64 is the network, 2001:db8::1 the address alone"#
        ),
        (
            #"source = "0.0.0.0""#,
            #"source: "0.0.0.0" is no address that a connection can come from; "auto" leaves the choice to the kernel"#
        ),
        (
            #"source = "::/0""#,
            #"source: "::/0" is no address that a connection can come from; "auto" leaves the choice to the kernel"#
        ),
        (#"source = "224.0.0.1""#, #"source: "224.0.0.1" is no address that a connection can come from"#),
        (
            #"source = "fe80::1""#,
            #"source: "fe80::1" is a link-local address, which means something together with an interface alone"#
        ),
        (#"source = "ff02::1""#, #"source: "ff02::1" is no address that a connection can come from"#),
        (#"source = ["10.0.0.0/26", "10.1.0.1"]"#, "source: 65 IPv4 addresses: at most 64 of a family are used"),
        (#"source = "example.org""#, expected + #""example.org""#), (#"source = ["auto"]"#, expected + #""auto""#),
        (#"source = "192.0.2.1:80""#, expected + #""192.0.2.1:80""#), ("source = []", expected + "an array"),
        ("source = [1]", expected + "an integer"), ("source = 5", expected + "an integer"),
        (#"source = "::ffff:192.0.2.0/80""#, expected + #""::ffff:192.0.2.0/80""#),
        ("mark = 0", #""mark" must be an integer from 1 to 4294967295, or "off", not 0"#),
        ("mark = 4294967296", #""mark" must be an integer from 1 to 4294967295, or "off", not 4294967296"#),
        (
            #"source-device = "a/b""#,
            #""source-device" must be the name of a network interface (1 to 15 characters), or "any", not "a/b""#
        ),
        (
            #"source-device = "abcdefghijklmnop""#,
            #""source-device" must be the name of a network interface (1 to 15 characters), or "any", not "abcdefghijklmnop""#
        ),
        ("transparent = 1", #""transparent" must be true or false, not an integer"#),
        (
            "source = \"192.0.2.1\"\ntransparent = true",
            #""source" and "transparent" exclude each other: connections come from these addresses or from the client's"#
        ),
    ]

    @Test(arguments: refusals)
    func whatIsWrongIsSaid(_ refusal: (settings: String, line: String)) {
        #expect(complaints(document(service: refusal.settings)) == [SourceKeyTests.place + refusal.line])
    }

    @Test func familiesThatDoNotMeetAreTold() {
        #expect(
            complaints(document(service: "source = \"2001:db8::1\"")) == [
                "accepted",
                SourceKeyTests.place
                    + #"no IPv4 address in "source": the kernel chooses the one of connections to backend "ws1" (10.0.0.1:80)"#,
            ])
        let text = document(service: "transparent = true").replacing("127.0.0.1:8080", with: "[::1]:8080")
        #expect(
            complaints(text) == [
                "accepted",
                SourceKeyTests.place
                    + #"backend "ws1" (10.0.0.1:80) gets no connections with "transparent": no client of this service has an IPv4 address"#,
            ])
    }

    /// What the kernel's range of ports is good for grows with the addresses.
    @Test func adviceOnPortsCountsTheAddresses() throws {
        var limits = SystemLimits()
        limits.localPorts = 32768...60999
        func warnings(_ settings: String, _ limit: Int) throws -> [String] {
            let loaded = try ConfigurationLoader.parse(document(service: settings), source: "x").configuration
            return SystemAdvice(configuration: loaded, connectionLimit: limit, isPrivileged: true).warnings(limits)
        }
        #expect(try warnings("", 28_232) == [])
        #expect(try warnings("", 28_233).count == 1)
        #expect(try warnings("source = \"192.0.2.0/31\"", 56_464) == [])
        let line = try #require(try warnings("source = \"192.0.2.0/31\"", 56_465).first)
        #expect(line.contains("28232 connections to a backend from each address of \"source\", 56464 in all"))
        #expect(try warnings("transparent = true", 1_000_000) == [])
    }
}
