import Addressing
import Testing

@testable import Configuration

/// What else than an address is said of a listener.
@Suite struct ListenerOptionTests {
    private func listening(on text: String) -> String { document().replacing("\"127.0.0.1:8080\"", with: text) }

    private func listeners(_ text: String) throws -> [ListenerConfiguration] {
        try ConfigurationLoader.parse(listening(on: text), source: "limpet.toml").configuration.services[0].listeners
    }

    @Test func textsAndTables() throws {
        let all = try listeners(
            #"["192.0.2.1:80", { address = "192.0.2.1:82", device = "eth0" }, { address = "[::]:81", v6only = false }]"#
        )
        #expect(all.map(\.name) == ["192.0.2.1:80", "192.0.2.1%eth0:82", "[::]:81"])
        #expect(all.map(\.device) == [nil, "eth0", nil])
        #expect(all.map(\.isV6Only) == [true, true, false])
        #expect(try listeners(#"{ address = "[::1]:80", freebind = true, device = "a.1" }"#).map(\.isFree) == [true])
        #expect(try listeners(#"{ address = "[::1]:80", device = "a.1" }"#)[0].name == "[::1]%a.1:80")
    }

    /// A table that says nothing but the address is the address.
    @Test func theCanonicalTextSaysWhatIsNotUsual() throws {
        let text =
            #"[{ address = "192.0.2.1:80", v6only = true }, "#
            + #"{ address = "[::]:81", v6only = false, freebind = true, device = "lo" }]"#
        let wrong = complaints(listening(on: text))
        #expect(wrong.first?.contains("\"v6only\" is for [::] alone") == true)
        let configuration = try ConfigurationLoader.parse(
            listening(on: text.replacing(", v6only = true", with: ", freebind = false")), source: ""
        ).configuration
        #expect(
            configuration.canonicalText.contains(
                #"listen = ["192.0.2.1:80", { address = "[::]:81", device = "lo", freebind = true, v6only = false }]"#))
        #expect(
            try ConfigurationLoader.parse(configuration.canonicalText, source: "").configuration == configuration)
    }

    private static let refusals: [Refusal<String>] = [
        Refusal(
            #"{ address = "192.0.2.1:80", freebnid = true }"#,
            #"limpet.toml: service "chat": listen "192.0.2.1:80": unknown key "freebnid" (did you mean "freebind"?)"#),
        Refusal(
            #"["192.0.2.1:80", { device = "lo" }]"#, #"limpet.toml: service "chat": listen 2: "address" is missing"#),
        Refusal(
            #"{ address = "192.0.2.1" }"#,
            #"limpet.toml: service "chat": listen "192.0.2.1": address: "192.0.2.1" has no port: write ADDRESS:PORT, such "#,
            "as 192.0.2.1:80 or [2001:db8::1]:80"),
        Refusal(
            #"{ address = "192.0.2.1:80", device = "interface-of-16b" }"#,
            #"limpet.toml: service "chat": listen "192.0.2.1:80": "device" must be a name of 1 to 15 characters, without "#,
            #"spaces, colons, slashes and %, not "interface-of-16b""#),
        Refusal(
            #"{ address = "192.0.2.1:80", freebind = 1 }"#,
            #"limpet.toml: service "chat": listen "192.0.2.1:80": "freebind" must be true or false, not an integer"#),
        Refusal(
            #"{ address = "0.0.0.0:80", v6only = false }"#,
            #"limpet.toml: service "chat": listen "0.0.0.0:80": "v6only" is for [::] alone: every other address takes "#,
            "clients of its own family and no others"),
        Refusal(
            #"{ address = "[::1]:80", v6only = false }"#,
            #"limpet.toml: service "chat": listen "[::1]:80": "v6only" is for [::] alone: every other address takes "#,
            "clients of its own family and no others"),
        Refusal(
            #"{ address = "fd:web", device = "lo" }"#,
            #"limpet.toml: service "chat": listen "fd:web": "device" has no place here: whoever passes the socket has bound "#,
            "it"),
        Refusal(
            #""fd:""#,
            #"limpet.toml: service "chat": listen: "fd:": the name of a socket that is passed has 1 to 255 characters, "#,
            "without spaces, colons, commas and quotes"),
        Refusal(
            #"["fd:web", "fd:web"]"#, #"limpet.toml: service "chat": listen: fd:web is a listener already"#),
        Refusal(
            #"[["192.0.2.1:80"]]"#,
            #"limpet.toml: service "chat": "listen" must be an address and a port (such as "0.0.0.0:80"), a table with "#,
            "them, or an array of these, not an array"),
        Refusal(
            #"{ address = "192.0.2.1:80", weight = 2 }"#,
            #"limpet.toml: service "chat": listen "192.0.2.1:80": unknown key "weight" here: it belongs in a "#,
            "[[service.backend]]"),
    ]

    @Test(arguments: refusals)
    func refusesInTheseWords(refusal: Refusal<String>) {
        #expect(complaints(listening(on: refusal.input)) == [refusal.line])
    }

    @Test func aKeyOfAListenerSaysWhereItBelongs() {
        #expect(
            complaints(document(service: "device = \"lo\"")) == [
                #"limpet.toml: service "chat": unknown key "device" here: it belongs in an inline table of "listen""#
            ])
    }

    @Test func socketsThatArePassed() throws {
        let names = try listeners(#"["fd:web", { address = "fd:mail@1.socket" }]"#).map(\.name)
        #expect(names == ["fd:web", "fd:mail@1.socket"])
        let text = listening(on: #"{ address = "fd:web" }"#)
        let configuration = try ConfigurationLoader.parse(text, source: "").configuration
        #expect(configuration.canonicalText.contains(#"listen = ["fd:web"]"#))
        #expect(
            try ConfigurationLoader.parse(configuration.canonicalText, source: "").configuration == configuration)
    }

    // MARK: Ranges of ports

    @Test func aRangeIsAsManyListeners() throws {
        let all = try listeners(#"["0.0.0.0:8000-8002", { address = "[::1]:9-10", freebind = true }, "127.0.0.1:5-5"]"#)
        let names = ["0.0.0.0:8000", "0.0.0.0:8001", "0.0.0.0:8002", "[::1]:9", "[::1]:10", "127.0.0.1:5"]
        #expect(all.map(\.name) == names)
        #expect(all.map(\.isFree) == [false, false, false, true, true, false])
        #expect(try listeners(#""0.0.0.0:1-1024""#).count == 1024)
    }

    private static let ranges: [Refusal<String>] = [
        Refusal("8099-8000", #""0.0.0.0:8099-8000": the range ends before it begins: write 8000-8099"#),
        Refusal("0-10", #""0.0.0.0:0-10": ports of a range are 1 to 65535"#),
        Refusal("65000-65536", #""0.0.0.0:65000-65536": ports of a range are 1 to 65535"#),
        Refusal("1-1025", #""0.0.0.0:1-1025": 1025 ports, and one limpetd takes 1024 listeners"#),
        Refusal("1-65535", #""0.0.0.0:1-65535": 65535 ports, and one limpetd takes 1024 listeners"#),
        Refusal("1-", #""0.0.0.0:1-": ports of a range are 1 to 65535"#),
        Refusal("1-2-3", #""0.0.0.0:1-2-3": port "1-2-3" is not a number from 0 to 65535"#),
        Refusal("-3", #""0.0.0.0:-3": port "-3" is not a number from 0 to 65535"#),
    ]

    @Test(arguments: ranges)
    func refusesRangesInTheseWords(refusal: Refusal<String>) {
        #expect(
            complaints(listening(on: "\"0.0.0.0:\(refusal.input)\"")) == [
                #"limpet.toml: service "chat": listen: "# + refusal.line
            ])
    }

    /// What is wrong with one port of a range is said once.
    @Test func aWrongAddressOfARangeIsSaidOnce() {
        #expect(
            complaints(listening(on: #""10.0.0.256:1-1000""#)) == [
                #"limpet.toml: service "chat": listen: "10.0.0.256:1": "10.0.0.256" is not an IP address"#
            ])
        let huge = (0..<3000).map { _ in #""10.0.0.9:1-1024""# }.joined(separator: ", ")
        #expect(complaints(listening(on: "[\(huge)]")).only?.contains("one limpetd takes 1024") == true)
    }

    // MARK: Links

    @Test func linkLocalAddressesNeedTheirLink() throws {
        #expect(
            complaints(listening(on: #""[fe80::1]:80""#)) == [
                #"limpet.toml: service "chat": listen: "[fe80::1]:80": a link-local address needs its network interface: "#
                    + "write [fe80::1%eth0]:80"
            ])
        #expect(
            complaints(document().replacing("10.0.0.1:80", with: "[fe80::1]:80")) == [
                #"limpet.toml: service "chat": backend "ws1": address: "[fe80::1]:80": a link-local address needs its "#
                    + "network interface: write [fe80::1%eth0]:80"
            ])
        let names = try listeners(#"["[fe80::1%eth0]:80", "[fe80::1%eth1]:80"]"#).map(\.name)
        #expect(names == ["[fe80::1%eth0]:80", "[fe80::1%eth1]:80"])
        let text = document().replacing("10.0.0.1:80", with: "[fe80::1%eth0]:80")
        let configuration = try ConfigurationLoader.parse(text, source: "").configuration
        #expect(
            try ConfigurationLoader.parse(configuration.canonicalText, source: "").configuration == configuration)
    }

    // MARK: The command line

    @Test func optionsOfAFlag() throws {
        let flags = FlagValues(
            listen: ["192.0.2.1:80,freebind,device=lo", "[::]:81,v6only=false", "192.0.2.1:82,freebind=false"],
            backends: ["127.0.0.1:1"])
        let service = try ConfigurationLoader.load(path: nil, flags: flags).configuration.services[0]
        #expect(service.listeners.map(\.name) == ["192.0.2.1%lo:80", "[::]:81", "192.0.2.1:82"])
        #expect(service.listeners.map(\.isFree) == [true, false, false])
        #expect(service.listeners.map(\.isV6Only) == [true, false, true])
        #expect(service.listeners.map(\.options) == [["device=lo", "freebind"], ["v6only=false"], []])
    }

    private static let flagRefusals: [Refusal<String>] = [
        Refusal(
            "192.0.2.1:80,divece=lo",
            #"limpetd: --listen "192.0.2.1:80,divece=lo": unknown key "divece" (did you mean "device"?)"#),
        Refusal(
            "192.0.2.1:80,device", #"limpetd: --listen "192.0.2.1:80,device": "device" needs a value: device=NAME"#),
        Refusal(
            "192.0.2.1:80,freebind,freebind",
            #"limpetd: --listen "192.0.2.1:80,freebind,freebind": "freebind" is given twice"#),
        Refusal(
            "192.0.2.1:80,freebind=yes",
            #"limpetd: --listen "192.0.2.1:80,freebind=yes": "freebind" must be true or false, not "yes""#),
        Refusal(
            "80,freebind",
            #"limpetd: --listen "80,freebind": address: "80" has no address: write 192.0.2.1:80, or 0.0.0.0:80 or "#,
            "[::]:80 to listen on all addresses"),
        Refusal("192.0.2.1:80,", #"limpetd: --listen "192.0.2.1:80,": unknown key """#),
    ]

    @Test(arguments: flagRefusals)
    func refusesFlagsInTheseWords(refusal: Refusal<String>) {
        #expect(complaints(FlagValues(listen: [refusal.input], backends: ["127.0.0.1:1"])) == [refusal.line])
    }

    // MARK: Beside each other

    @Test(arguments: [
        (#"{ address = "[::]:80", v6only = false }"#, #""0.0.0.0:80""#, "0.0.0.0:80", "[::]:80"),
        (#""127.0.0.1:80""#, #"{ address = "[::]:80", v6only = false }"#, "[::]:80", "127.0.0.1:80"),
        (#"{ address = "0.0.0.0:80", device = "lo" }"#, #""127.0.0.1:80""#, "127.0.0.1:80", "0.0.0.0%lo:80"),
    ])
    func theseMeet(first: String, second: String, name: String, other: String) {
        #expect(
            complaints(listening(on: "[\(first), \(second)]")) == [
                #"limpet.toml: service "chat": listen: \#(name) collides with \#(other): a port of all addresses cannot be "#
                    + "listened on at one of them as well"
            ])
    }

    @Test func theseDoNotMeet() {
        #expect(
            complaints(listening(on: #"["192.0.2.1:80", { address = "192.0.2.1:80", device = "lo" }]"#)) == [
                #"limpet.toml: service "chat": listen: 192.0.2.1%lo:80 collides with 192.0.2.1:80: a port of all interfaces "#
                    + "cannot be listened on at one of them as well"
            ])
        for pair in [
            #"[{ address = "[::]:80", v6only = false }, "0.0.0.0:81"]"#, #"[{ address = "[::]:80" }, "0.0.0.0:80"]"#,
            #"[{ address = "0.0.0.0:80", device = "a" }, { address = "0.0.0.0:80", device = "b" }]"#,
        ] {
            #expect(complaints(listening(on: pair)) == ["accepted"])
        }
    }

    @Test func aBackendBehindTheServicesOwnWildcardOfBothFamilies() {
        let text = listening(on: #"{ address = "[::]:80", v6only = false }"#)
            .replacing("10.0.0.1:80", with: "127.0.0.1:80")
        #expect(complaints(text).first?.contains("would go round in a circle") == true)
    }

    @Test func thereIsABound() {
        let many = (1...10_000).map { "\"192.0.2.1:\($0)\"" }.joined(separator: ", ")
        #expect(
            complaints(listening(on: "[\(many)]")) == [
                "limpet.toml: 10000 listeners are configured, and one limpetd takes 1024; divide them among several"
            ])
    }

    // MARK: Changes

    private func changes(_ old: String, _ new: String) throws -> [String] {
        let settled = ConfigurationDiff.Settled(workers: 2, automaticWorkers: 2, largestLimit: 1000)
        let (old, new) = (listening(on: old), listening(on: new))
        return ConfigurationDiff(
            from: try ConfigurationLoader.parse(old, source: "").configuration,
            to: try ConfigurationLoader.parse(new, source: "").configuration, settled: settled
        ).changes.map(\.description)
    }

    @Test func anOptionChanges() throws {
        #expect(
            try changes(#""[::]:80""#, #"{ address = "[::]:80", v6only = false, freebind = true }"#) == [
                "changed listener [::]:80 of chat: freebind from false to true",
                "changed listener [::]:80 of chat: v6only from true to false",
            ])
        #expect(try changes(#""[::]:80""#, #"{ address = "[::]:80", v6only = true }"#) == [])
    }

    @Test func anotherDeviceIsAnotherListener() throws {
        #expect(
            try changes(#""192.0.2.1:80""#, #"{ address = "192.0.2.1:80", device = "lo", freebind = true }"#) == [
                "removed listener 192.0.2.1:80 of chat",
                "added listener 192.0.2.1%lo:80 of chat: 192.0.2.1:80,device=lo,freebind",
            ])
    }
}

extension Array {
    /// The one element; nil where there are none or several.
    fileprivate var only: Element? { count == 1 ? self[0] : nil }
}
