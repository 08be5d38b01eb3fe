import Addressing
import Foundation
import Stickiness
import Testing

@testable import Configuration

@Suite struct FlagTests {
    private static let good = FlagValues(listen: ["127.0.0.1:0"], backends: ["127.0.0.1:9001"])

    private static let refusals: [Refusal<FlagValues>] = [
        Refusal(FlagValues(backends: ["127.0.0.1:1"]), "limpetd: no listeners: add --listen ADDR:PORT"),
        Refusal(FlagValues(listen: ["127.0.0.1:1"]), "limpetd: no backends: add --backend ADDR:PORT"),
        Refusal(
            FlagValues(listen: ["80"], backends: ["127.0.0.1:1"]),
            #"limpetd: --listen: "80" has no address: write 192.0.2.1:80, or 0.0.0.0:80 or [::]:80 to listen on "#,
            "all addresses"
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1", "127.0.0.1:1"], backends: ["127.0.0.1:2"]),
            "limpetd: --listen: 127.0.0.1:1 is a listener already"
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,wieght=3"]),
            #"limpetd: --backend "127.0.0.1:2,wieght=3": unknown key "wieght" (did you mean "weight"?)"#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,weight"]),
            #"limpetd: --backend "127.0.0.1:2,weight": "weight" needs a value: weight=N"#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,weight=2,weight=3"]),
            #"limpetd: --backend "127.0.0.1:2,weight=2,weight=3": "weight" is given twice"#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,"]),
            #"limpetd: --backend "127.0.0.1:2,": unknown key """#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,name=x"]),
            #"limpetd: --backend "127.0.0.1:2,name=x": unknown key "name""#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,weight=0"]),
            #"limpetd: --backend "127.0.0.1:2,weight=0": "weight" must be an integer from 1 to 256, not 0"#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2,weight=+3"]),
            #"limpetd: --backend "127.0.0.1:2,weight=+3": "weight" must be an integer from 1 to 256, not "+3""#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["=127.0.0.1:2"]),
            #"limpetd: --backend "=127.0.0.1:2": "name" must be a name of 1 to 64 of the characters "#,
            #"A-Z a-z 0-9 . _ -, not """#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: [""]),
            #"limpetd: --backend "": address: an address and a port are missing: write 192.0.2.1:80 "#,
            "or [2001:db8::1]:80"
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["b2=127.0.0.1:2", "127.0.0.1:3"]),
            #"limpetd: backend "b2": the name is used twice (backends 1 and 2)"#
        ),
        Refusal(
            FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:1"]),
            #"limpetd: backend "b1": 127.0.0.1:1 is where the service itself listens (127.0.0.1:1): "#,
            "connections would go round in a circle"
        ),
    ]

    @Test(arguments: refusals)
    func refusesInTheseWords(refusal: Refusal<FlagValues>) {
        #expect(complaints(refusal.input) == [refusal.line])
        #expect(kind(refusal.input) == .usage)
    }

    @Test func aFlagIsHeldToTheRangeOfItsKey() {
        var flags = FlagTests.good
        flags.set(ConfigurationKeys.workers, "0")
        flags.set(ConfigurationKeys.connectTimeout, "3")
        flags.set(ConfigurationKeys.hashOn, "adress")
        flags.set(ConfigurationKeys.idleTimeout, "")
        #expect(
            complaints(flags) == [
                #"limpetd: --hash-on must be "source" or "source-port", not "adress""#,
                #"limpetd: --connect-timeout must be a duration from 1ms to 1h (such as "3s"), not "3""#,
                #"limpetd: --idle-timeout must be a duration from 100ms to 8760h (such as "10m"), or "off", not """#,
                #"limpetd: --workers must be an integer from 1 to 64, or "auto", not 0"#,
            ])
    }

    @Test func flagsAloneMakeOneService() throws {
        var flags = FlagValues(
            listen: ["127.0.0.1:0", "[::1]:0"],
            backends: [
                "10.0.0.1:80", "ws=[2001:db8::1]:81,max-connections=off,weight=4", "10.0.0.3:80,max-connections=9",
            ])
        flags.set(ConfigurationKeys.idleTimeout, "10m")
        flags.set(ConfigurationKeys.ipv4Prefix, "24")
        flags.set(ConfigurationKeys.maxConnections, "5000")
        let loaded = try ConfigurationLoader.load(path: nil, flags: flags)
        let service = loaded.configuration.services[0]
        #expect(loaded.configuration.services.count == 1)
        #expect(service.name == "default")
        #expect(service.listeners.map(\.name) == ["127.0.0.1:0", "[::1]:0"])
        #expect(service.backends.map(\.name) == ["b1", "ws", "b3"])
        #expect(service.backends.map(\.address.description) == ["10.0.0.1:80", "[2001:db8::1]:81", "10.0.0.3:80"])
        #expect(service.backends.map(\.weight) == [1, 4, 1])
        #expect(service.backends.map(\.maxConnections) == [nil, nil, 9])
        #expect(service.idleTimeout == .seconds(600))
        #expect(service.mask.ipv4 == 24)
        #expect(loaded.configuration.maxConnections == 5000)
        #expect(
            try ConfigurationLoader.parse(loaded.configuration.canonicalText, source: "x").configuration
                == loaded.configuration)
    }

    @Test func besideAFileOnlyTheDaemonsFlagsHaveAPlace() throws {
        var flags = FlagTests.good
        flags.set(ConfigurationKeys.hashOn, "source")
        // The file does not exist: the command line is judged first.
        #expect(
            complaints(flags, path: "/nonexistent/limpet.toml") == [
                #"limpetd: --listen cannot be used together with --config: write "listen" in a service of the file"#,
                #"limpetd: --backend cannot be used together with --config: write "backend" in a service of the file"#,
                #"limpetd: --hash-on cannot be used together with --config: write "hash-on" in a service of the file"#,
            ])
        var wrong = FlagValues()
        wrong.set(ConfigurationKeys.workers, "many")
        #expect(
            complaints(wrong, path: "/nonexistent/limpet.toml")
                == [#"limpetd: --workers must be an integer from 1 to 64, or "auto", not "many""#])
        #expect(kind(wrong, path: "/nonexistent/limpet.toml") == .usage)
    }

    @Test func theDaemonsFlagsOverrideTheFile() throws {
        try withTemporaryDirectory { directory in
            let path = try write(
                Data(document(daemon: "workers = 2\nmax-connections = 7\nlog-level = \"debug\"").utf8),
                to: directory + "/limpet.toml")
            var flags = FlagValues()
            flags.set(ConfigurationKeys.workers, "auto")
            flags.set(ConfigurationKeys.logLevel, "error")
            flags.set(ConfigurationKeys.metrics, "127.0.0.1:9464")
            let configuration = try ConfigurationLoader.load(path: path, flags: flags).configuration
            #expect(configuration.metrics?.port == 9464)
            flags.set(ConfigurationKeys.metrics, "127.0.0.1:8080")
            #expect(
                complaints(flags, path: path) == [
                    #"limpetd: --metrics: 127.0.0.1:8080 collides with the listener 127.0.0.1:8080: choose another port"#
                ])
            #expect(configuration.workers == nil)
            #expect(configuration.maxConnections == 7)
            #expect(configuration.logLevel == .error)
        }
    }

    private func kind(_ flags: FlagValues, path: String? = nil) -> ConfigurationFailure.Kind? {
        do throws(ConfigurationFailure) {
            _ = try ConfigurationLoader.load(path: path, flags: flags)
            return nil
        } catch {
            return error.kind
        }
    }
}
