import Addressing
import Testing

@testable import Configuration

/// Backends that are Unix sockets, as files and flags have them.
@Suite struct UnixAddressTests {
    private static func file(_ address: String, health: String = "") -> String {
        """
        [[service]]
        name = "app"
        listen = "127.0.0.1:8080"
        \(health)
        [[service.backend]]
        name = "a1"
        address = "\(address)"
        """
    }

    private static let place = #"limpet.toml: service "app": backend "a1": "#
    private static let long = "unix:/" + String(repeating: "x", count: 107)

    static let refused: [Refusal<String>] = [
        Refusal(
            "unix:", place,
            #"address: "unix:" has no path: write unix:/run/app.sock, or unix:@NAME for an abstract name"#),
        Refusal(
            "unix:@", place,
            #"address: "unix:@" has no path: write unix:/run/app.sock, or unix:@NAME for an abstract name"#),
        Refusal(
            "unix:app.sock", place, #"address: "unix:app.sock": the path must begin with "/", as in unix:/run/app.sock"#
        ),
        Refusal("unix:/run/", place, #"address: "unix:/run/" names a directory: give the path of the socket in it"#),
        Refusal(
            long, place,
            "address: \"\(long.prefix(40))…\": the path has 108 bytes, and that of a Unix socket has at most 107: ",
            "choose a shorter one"),
        Refusal(
            "unix:/a\\tb", place,
            #""address" must be an address and a port (such as "192.0.2.1:80") or a Unix socket "#,
            #"("unix:/run/app.sock"), not "unix:/a\u{9}b""#),
        Refusal(
            "/run/app.sock", place,
            #"address: "/run/app.sock" has no port: write ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80"#),
        Refusal(
            "-app:80", place,
            #"address: "-app:80": "-app" is not an address and cannot be a host's name (labels of 1 to 63 of "#,
            "A-Z a-z 0-9 - _, no hyphen at their ends, 253 characters in all)"),
    ]

    @Test(arguments: refused) func isRefused(_ refusal: Refusal<String>) {
        #expect(complaints(UnixAddressTests.file(refusal.input)) == [refusal.line])
    }

    @Test func readsBackAsItWas() throws {
        for address in [
            "unix:/run/app.sock", "unix:@app", "unix:/run/a b,c=d.sock", "unix:/" + String(repeating: "x", count: 106),
        ] {
            let read = try ConfigurationLoader.parse(UnixAddressTests.file(address), source: "x").configuration
            #expect(read.services[0].backends[0].address.description == address)
            #expect(try ConfigurationLoader.parse(read.canonicalText, source: "x").configuration == read)
        }
    }

    /// A sign of equality in a path does not make a name of what comes before it.
    @Test func flagsTakeThem() throws {
        let flags = FlagValues(
            listen: ["127.0.0.1:0"],
            backends: ["unix:/run/a=b.sock,weight=2", "app=unix:@app", "db=unix:/run/c=d.sock,backup"])
        let backends = try ConfigurationLoader.load(path: nil, flags: flags).configuration.services[0].backends
        #expect(backends.map(\.name) == ["b1", "app", "db"])
        #expect(backends.map(\.address.description) == ["unix:/run/a=b.sock", "unix:@app", "unix:/run/c=d.sock"])
        #expect(backends.map(\.weight) == [2, 1, 1] && backends.map(\.isBackup) == [false, false, true])
        #expect(
            complaints(FlagValues(listen: ["127.0.0.1:0"], backends: ["unix:run"])) == [
                #"limpetd: --backend "unix:run": address: "unix:run": the path must begin with "/", as in unix:/run/app.sock"#
            ])
    }

    /// A check elsewhere needs both halves of where.
    @Test(
        arguments: [
            (#"health = { port = 9000 }"#, "port", "address"),
            (#"health = { address = "10.0.0.1" }"#, "address", "port"),
            (#"health = { type = "agent", port = 9000 }"#, "port", "address"),
        ]) func aCheckElsewhere(_ health: String, _ given: String, _ missing: String)
    {
        #expect(
            complaints(UnixAddressTests.file("unix:/run/app.sock", health: health)) == [
                UnixAddressTests.place
                    + "unix:/run/app.sock has neither an address nor a port of its own: its check has "
                    + "\"\(given)\" and needs \"\(missing)\" as well"
            ])
        let whole = #"health = { port = 9000, address = "10.0.0.1" }"#
        #expect(complaints(UnixAddressTests.file("unix:/run/app.sock", health: whole)) == ["accepted"])
    }

    @Test func twoOfOneAddressAreWarnedOf() {
        let text =
            UnixAddressTests.file("unix:/run/app.sock")
            + "\n[[service.backend]]\nname = \"a2\"\naddress = \"unix:/run/app.sock\""
        #expect(
            complaints(text) == [
                "accepted",
                #"limpet.toml: service "app": backend "a2": the same address as backend "a1" (unix:/run/app.sock)"#,
            ])
    }

    @Test func aMoveIsAChange() throws {
        let configurations = try ["10.0.0.1:80", "unix:/run/app.sock"].map {
            try ConfigurationLoader.parse(UnixAddressTests.file($0), source: "x").configuration
        }
        let diff = ConfigurationDiff(
            from: configurations[0], to: configurations[1],
            settled: ConfigurationDiff.Settled(workers: 1, automaticWorkers: 1, largestLimit: 10))
        #expect(
            diff.changes.map(\.description) == [
                "changed backend app/a1: address from 10.0.0.1:80 to unix:/run/app.sock"
            ])
        #expect(diff.needingRestart.isEmpty)
    }
}
