import Addressing
import Testing

@testable import Configuration

/// Listeners that are Unix sockets, as files and flags have them.
@Suite struct UnixListenTests {
    private static func file(_ listen: String, backend: String = "10.0.0.1:80") -> String {
        """
        [[service]]
        name = "app"
        listen = \(listen)
        [[service.backend]]
        name = "a1"
        address = "\(backend)"
        """
    }

    private static let place = #"limpet.toml: service "app": "#

    static let refused: [Refusal<String>] = [
        Refusal(
            #""unix:""#, place,
            #"listen: "unix:" has no path: write unix:/run/app.sock, or unix:@NAME for an abstract name"#),
        Refusal(
            #""unix:x.sock""#, place, #"listen: "unix:x.sock": the path must begin with "/", as in unix:/run/app.sock"#),
        Refusal(
            #"{ address = "unix:/x", mode = "rw" }"#, place,
            #"listen "unix:/x": "mode" must be permission bits in octal, 0000 to "#,
            #"0777 (such as "0660"), not "rw""#),
        Refusal(
            #"{ address = "unix:/x", mode = 432 }"#, place,
            #"listen "unix:/x": "mode" must be permission bits in octal, 0000 to "#,
            #"0777 (such as "0660"), not an integer"#),
        Refusal(
            #"{ address = "unix:/x", device = "eth0" }"#, place,
            #"listen "unix:/x": "device" has no place here: it is for IP addresses"#),
        Refusal(
            #"{ address = "unix:/x", intercept = true }"#, place,
            #"listen "unix:/x": "intercept" has no place here: it is for IP addresses"#),
        Refusal(
            #"{ address = "unix:/x", deny = ["10.0.0.0/8"] }"#, place,
            #"listen "unix:/x": "deny" has no place here: it is for IP addresses"#),
        Refusal(
            #"{ address = "unix:@x", mode = "0600" }"#, place,
            #"listen "unix:@x": "mode" has no place here: an abstract name has no file"#),
        Refusal(
            #"{ address = "127.0.0.1:80", owner = "www" }"#, place,
            #"listen "127.0.0.1:80": "owner" has no place here: it is for Unix sockets"#),
        Refusal(
            #"{ address = "fd:web", group = "www" }"#, place,
            #"listen "fd:web": "group" has no place here: whoever passes the socket has bound it"#),
        Refusal(#"["unix:/x", "unix:/x"]"#, place, "listen: unix:/x is a listener already"),
    ]

    @Test(arguments: refused) func isRefused(_ refusal: Refusal<String>) {
        let lines = complaints(UnixListenTests.file(refusal.input)).filter { !$0.contains("no listeners") }
        #expect(lines == [refusal.line])
    }

    @Test func wouldGoRoundInACircle() {
        #expect(
            complaints(UnixListenTests.file(#""unix:/run/x""#, backend: "unix:/run/x")) == [
                UnixListenTests.place
                    + #"backend "a1": unix:/run/x is where the service itself listens: connections would go round in a circle"#
            ])
    }

    @Test(arguments: ["accept-proxy", "allow", "deny"]) func networksHaveNoUsers(key: String) {
        let settings = "\n\(key) = [\"10.0.0.0/8\"]"
        #expect(
            complaints(UnixListenTests.file(#""unix:/run/x""# + settings)) == [
                "accepted",
                UnixListenTests.place
                    + "\"\(key)\" counts for nobody: all listeners are Unix sockets, and who comes by one is in no network",
            ])
        #expect(complaints(UnixListenTests.file(#"["unix:/run/x", "127.0.0.1:80"]"# + settings)) == ["accepted"])
    }

    @Test func readsBackAsItWas() throws {
        let text = UnixListenTests.file(
            #"["unix:/run/a", { address = "unix:/run/b", mode = "600", owner = "www", group = "web" }, "unix:@c"]"#)
        let read = try ConfigurationLoader.parse(text, source: "x").configuration
        let listeners = read.services[0].listeners
        #expect(listeners.map(\.name) == ["unix:/run/a", "unix:/run/b", "unix:@c"])
        #expect(listeners.map(\.mode) == [0o660, 0o600, 0o660])
        #expect(listeners[1].options == ["mode=0600", "owner=www", "group=web"])
        #expect(try ConfigurationLoader.parse(read.canonicalText, source: "x").configuration == read)
        let flags = FlagValues(
            listen: ["unix:/run/a", "unix:/run/b,mode=0600,owner=www,group=web", "unix:@c"], backends: ["10.0.0.1:80"])
        #expect(try ConfigurationLoader.load(path: nil, flags: flags).configuration.services[0].listeners == listeners)
    }

    /// Whom a file belongs to is settled before root is given up.
    @Test func anotherModeWaitsForARestart() throws {
        let configurations = try [#""unix:/run/a""#, #"{ address = "unix:/run/a", mode = "0666" }"#].map {
            try ConfigurationLoader.parse(UnixListenTests.file($0), source: "x").configuration
        }
        let diff = ConfigurationDiff(
            from: configurations[0], to: configurations[1],
            settled: ConfigurationDiff.Settled(workers: 1, automaticWorkers: 1, largestLimit: 10))
        #expect(diff.changes.map(\.description) == ["changed listener unix:/run/a of app: mode from 0660 to 0666"])
        #expect(diff.needingRestart == diff.changes)
    }

    @Test func usersAreClients() {
        #expect(IPAddress(client: "unix:uid=1000") == IPAddress(user: 1000))
        #expect("\(IPAddress(user: 1000))" == "unix:uid=1000")
        #expect("\(Endpoint(address: IPAddress(user: 0), port: 0))" == "unix:uid=0")
        for text in ["unix:uid=", "unix:uid=-1", "unix:uid=4294967296", "unix:uid=+1", "unix:uid= 1", "unix:1"] {
            #expect(IPAddress(client: text) == nil)
        }
        #expect(IPAddress(client: "192.0.2.1") == IPAddress("192.0.2.1") && IPAddress("unix:uid=1") == nil)
        #expect(!IPAddress(user: 0).isUnspecified && !IPAddress(user: 0).isLoopback)
        #expect(
            IPAddress(user: 7).masked(to: 0) == IPAddress(user: 7) && IPAddress(user: 7).unmapped == IPAddress(user: 7))
        for prefix in ["0.0.0.0/0", "::/0"] { #expect(Prefix(prefix)?.contains(IPAddress(user: 7)) == false) }
    }
}
