import Addressing
import Stickiness
import Testing

@testable import Configuration

/// What a file that is accepted means.
@Suite struct ReadingTests {
    private func read(_ text: String) throws -> DaemonConfiguration {
        try ConfigurationLoader.parse(text, source: "limpet.toml").configuration
    }

    @Test func theSmallestFileHasTheDocumentedDefaults() throws {
        let configuration = try read(document())
        let backend = BackendConfiguration(name: "ws1", address: try Endpoint(parsing: "10.0.0.1:80"))
        let listener = ListenerConfiguration(try Endpoint(parsing: "127.0.0.1:8080"))
        let service = ServiceConfiguration(name: "chat", listeners: [listener], backends: [backend])
        #expect(configuration == DaemonConfiguration(services: [service]))
    }

    /// Each key with a value that is not its default: a key that were read and forgotten would show here.
    static let settings: [(key: ConfigurationKey, text: String)] = [
        (ConfigurationKeys.affinityEntries, "2048"), (ConfigurationKeys.allow, "[\"10.0.0.0/8\", \"@/etc/allow\"]"),
        (ConfigurationKeys.deny, "[\"2001:db8::/32\"]"), (ConfigurationKeys.affinity, "\"30m\""),
        (ConfigurationKeys.listenerAllow, "[\"10.0.0.0/8\"]"), (ConfigurationKeys.listenerDeny, "[\"@/etc/deny\"]"),
        (ConfigurationKeys.workers, "3"), (ConfigurationKeys.maxConnections, "1000"),
        (ConfigurationKeys.shutdownDelay, "\"5s\""),
        (ConfigurationKeys.shutdownDrain, "\"30s\""), (ConfigurationKeys.removedDeadline, "\"0s\""),
        (ConfigurationKeys.control, "\"/run/x.sock\""),
        (ConfigurationKeys.controlReadGroup, "\"ops\""), (ConfigurationKeys.controlAdminGroup, "\"1001\""),
        (ConfigurationKeys.stateDirectory, "\"/var/lib/x\""), (ConfigurationKeys.user, "\"nobody\""),
        (ConfigurationKeys.sandbox, "\"off\""),
        (ConfigurationKeys.group, "\"nogroup\""), (ConfigurationKeys.logLevel, "\"debug\""),
        (ConfigurationKeys.logFormat, "\"json\""), (ConfigurationKeys.accessLog, "\"both\""),
        (ConfigurationKeys.metrics, "\"127.0.0.1:9464\""),
        (ConfigurationKeys.statusPage, "true"), (ConfigurationKeys.statusPageClients, "true"),
        (ConfigurationKeys.statusPageHosts, "[\"status.example.org\", \"lb1\"]"),
        (ConfigurationKeys.hashKeyFile, "\"/etc/key\""),
        (ConfigurationKeys.hashOn, "\"source-port\""), (ConfigurationKeys.ipv4Prefix, "24"),
        (ConfigurationKeys.ipv6Prefix, "56"), (ConfigurationKeys.connectTimeout, "\"250ms\""),
        (ConfigurationKeys.connectAttempts, "5"), (ConfigurationKeys.passiveFall, "\"off\""),
        (ConfigurationKeys.source, "[\"192.0.2.1\", \"2001:db8::/126\"]"),
        (ConfigurationKeys.sourceDevice, "\"eth1\""), (ConfigurationKeys.mark, "17"),
        (ConfigurationKeys.transparent, "true"),
        (ConfigurationKeys.whenDown, "\"shed\""),
        (ConfigurationKeys.slowStart, "\"90s\""),
        (ConfigurationKeys.whenAllDown, "\"refuse\""), (ConfigurationKeys.serviceMaxConnections, "40"),
        (ConfigurationKeys.maxConnectionsPerClient, "4"), (ConfigurationKeys.acceptRatePerClient, "44"),
        (ConfigurationKeys.maxConnecting, "14"), (ConfigurationKeys.maxLoadFactor, "1.07"),
        (ConfigurationKeys.idleTimeout, "\"2h\""),
        (ConfigurationKeys.halfCloseTimeout, "\"off\""), (ConfigurationKeys.userTimeout, "\"90s\""),
        (ConfigurationKeys.keepalive, "\"off\""), (ConfigurationKeys.sendProxy, "\"v2\""),
        (ConfigurationKeys.clientFirst, "true"),
        (ConfigurationKeys.acceptProxy, "[\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.1\"]"),
        (ConfigurationKeys.acceptProxyTimeout, "\"700ms\""),
        (ConfigurationKeys.sendProxyFields, "[\"received\", \"unique-id\"]"),
        (ConfigurationKeys.receiveBuffer, "\"256KiB\""),
        (ConfigurationKeys.sendBuffer, "1000000"), (ConfigurationKeys.weight, "7"),
        (ConfigurationKeys.backendMaxConnections, "50"), (ConfigurationKeys.backup, "true"),
        (ConfigurationKeys.keepaliveIdle, "\"90s\""),
        (ConfigurationKeys.keepaliveInterval, "\"20s\""), (ConfigurationKeys.keepaliveCount, "9"),
        (ConfigurationKeys.health, "\"off\""), (ConfigurationKeys.healthInterval, "\"3s\""),
        (ConfigurationKeys.backendHealth, "\"http:/\""), (ConfigurationKeys.healthType, "\"tls-hello\""),
        (ConfigurationKeys.healthMethod, "\"HEAD\""), (ConfigurationKeys.healthPath, "\"/up\""),
        (ConfigurationKeys.healthHost, "\"example.org\""), (ConfigurationKeys.healthStatus, "\"204\""),
        (ConfigurationKeys.healthBody, "\"well\""), (ConfigurationKeys.healthSend, "\"PING\""),
        (ConfigurationKeys.healthExpect, "\"PONG\""), (ConfigurationKeys.healthRegex, "\"P.NG\""),
        (ConfigurationKeys.healthPort, "81"), (ConfigurationKeys.healthAddress, "\"192.0.2.9\""),
        (ConfigurationKeys.checkInterval, "\"4s\""), (ConfigurationKeys.fastInterval, "\"1s\""),
        (ConfigurationKeys.downInterval, "\"9s\""), (ConfigurationKeys.checkTimeout, "\"1s\""),
        (ConfigurationKeys.device, "\"eth0\""), (ConfigurationKeys.freebind, "true"),
        (ConfigurationKeys.v6only, "false"), (ConfigurationKeys.intercept, "true"),
        (ConfigurationKeys.mode, "\"0600\""), (ConfigurationKeys.listenerOwner, "\"www\""),
        (ConfigurationKeys.listenerGroup, "\"www\""),
        (ConfigurationKeys.rise, "7"), (ConfigurationKeys.fall, "8"),
        (ConfigurationKeys.resolvers, "[\"192.0.2.53\", \"[2001:db8::53]:5353\"]"),
        (ConfigurationKeys.resolveInterval, "\"10s\""), (ConfigurationKeys.resolveTimeout, "\"1s\""),
        (ConfigurationKeys.expand, "true"), (ConfigurationKeys.srv, "\"_ws._tcp.example.net\""),
        (ConfigurationKeys.family, "\"ipv6\""),
    ]

    /// What a key of a check needs beside it.
    private static func company(of key: ConfigurationKey) -> String {
        switch key {
        case ConfigurationKeys.healthPath: "type = \"http\", "
        case ConfigurationKeys.healthMethod, ConfigurationKeys.healthHost, ConfigurationKeys.healthStatus,
            ConfigurationKeys.healthBody:
            "type = \"http\", path = \"/\", "
        case ConfigurationKeys.healthExpect, ConfigurationKeys.healthRegex: "type = \"expect\", "
        case ConfigurationKeys.healthSend: "type = \"expect\", expect = \"x\", "
        default: ""
        }
    }

    /// What a key of a service needs beside it.
    static func serviceCompany(of key: ConfigurationKey) -> String {
        key == ConfigurationKeys.sendProxyFields ? "send-proxy = \"v2\"\n" : ""
    }

    static func text(with setting: (key: ConfigurationKey, text: String)) -> String {
        let line = "\(setting.key.name) = \(setting.text)"
        return switch setting.key.section {
        case .daemon: document(daemon: line)
        case .listener:
            document().replacing(
                "\"127.0.0.1:8080\"", with: "{ address = \"\(address(for: setting.key))\", \(line) }")
        case .service, .behaviour: document(service: serviceCompany(of: setting.key) + line)
        case .backend where setting.key == ConfigurationKeys.srv:
            document().replacing("address = \"10.0.0.1:80\"", with: line)
        case .backend where ofNames.contains(setting.key):
            document(backend: line).replacing("10.0.0.1:80", with: "pool.example.net:80")
        case .backend: document(backend: line)
        case .keepalive: document(service: "keepalive = { \(line) }")
        case .health: document(service: "health = { \(company(of: setting.key))\(line) }")
        }
    }

    /// Keys that a name needs to be there for.
    private static let ofNames = [ConfigurationKeys.expand, ConfigurationKeys.family]

    /// A listener that has a place for the key.
    static func address(for key: ConfigurationKey) -> String {
        let isOfFile = [ConfigurationKeys.mode, ConfigurationKeys.listenerOwner, ConfigurationKeys.listenerGroup]
            .contains(key)
        return isOfFile ? "unix:/run/x" : "[::]:8080"
    }

    /// The same without the setting.
    static func plain(_ key: ConfigurationKey) -> String {
        if ofNames.contains(key) { return document().replacing("10.0.0.1:80", with: "pool.example.net:80") }
        return key.section == .listener
            ? document().replacing("127.0.0.1:8080", with: address(for: key))
            : document(service: serviceCompany(of: key))
    }

    @Test func everyKeyTakesEffectByItselfAndIsWrittenBack() throws {
        let plain = try read(document())
        var seen: [DaemonConfiguration] = [plain]
        for key in [ConfigurationKeys.device, ConfigurationKeys.mode, ConfigurationKeys.expand] {
            seen.append(try read(ReadingTests.plain(key)))
        }
        for setting in ReadingTests.settings {
            let configuration = try read(ReadingTests.text(with: setting))
            #expect(!seen.contains(configuration), "\(setting.key.name) changes nothing")
            #expect(configuration.configHash != plain.configHash)
            #expect(try read(configuration.canonicalText) == configuration, "\(setting.key.name) is not written back")
            seen.append(configuration)
        }
        let structural = [
            ConfigurationKeys.defaults, ConfigurationKeys.service, ConfigurationKeys.serviceName,
            ConfigurationKeys.listen, ConfigurationKeys.backend, ConfigurationKeys.backendName,
            ConfigurationKeys.address, ConfigurationKeys.listenerAddress,
        ]
        #expect(
            ConfigurationKeys.all.filter { key in
                !structural.contains(key) && !ReadingTests.settings.contains { $0.key == key }
            }.isEmpty)
    }

    @Test func theRegistrysDefaultsAreThoseThatHold() throws {
        for key in ConfigurationKeys.all {
            guard let text = key.defaultText, key.isDefaultWritable else { continue }
            let node = FlagValues.node(text, for: key)
            let written =
                switch node {
                case .integer, .boolean, .array: text
                default: "\"\(text)\""
                }
            #expect(try read(ReadingTests.text(with: (key, written))) == read(ReadingTests.plain(key)), "\(key.name)")
        }
    }

    @Test func defaultsHoldForEveryServiceThatSaysNothingElse() throws {
        let text =
            "[defaults]\nconnect-attempts = 9\nidle-timeout = \"1h\"\nkeepalive = { idle = \"30s\", count = 3 }\n"
            + document(service: "idle-timeout = \"off\"\nkeepalive = { count = 4 }")
            + document(service: "keepalive = \"off\"").replacing("chat", with: "mail").replacing("8080", with: "1")
        let services = try read(text).services
        #expect(services.map(\.connectAttempts) == [9, 9])
        #expect(services.map(\.idleTimeout) == [nil, .seconds(3600)])
        #expect(services[0].keepalive?.idle == .seconds(30))
        #expect(services[0].keepalive?.count == 4)
        #expect(services[0].keepalive?.interval == .seconds(10))
        #expect(services[1].keepalive == nil)
    }

    @Test func theOrderOfTheFileIsKept() throws {
        let names = ["zeta", "alpha", "mid"]
        let text = names.enumerated().map { index, name in
            document().replacing("chat", with: name).replacing("8080", with: "\(index + 1)")
                + "\n[[service.backend]]\nname = \"a\"\naddress = \"10.0.0.2:80\"\n"
        }.joined()
        let services = try read(text).services
        #expect(services.map(\.name) == names)
        #expect(services[0].backends.map(\.name) == ["ws1", "a"])
    }

    @Test func whatIsLegalButProbablyNotMeantIsSaid() {
        let same = document() + "\n[[service.backend]]\nname = \"ws2\"\naddress = \"10.0.0.1:80\"\n"
        #expect(
            complaints(same) == [
                "accepted",
                #"limpet.toml: service "chat": backend "ws2": the same address as backend "ws1" (10.0.0.1:80)"#,
            ])
        #expect(
            complaints(document(service: "ipv4-prefix = 0")) == [
                "accepted", #"limpet.toml: service "chat": "ipv4-prefix" is 0: all IPv4 clients have the same home"#,
            ])
    }

    @Test func theCanonicalTextIsWhatItSays() throws {
        let document = document(daemon: #"control = "a\\b\"c""#, service: "receive-buffer = 65537")
        let text = try read(document).canonicalText
        #expect(
            text == """
                workers = "auto"
                max-connections = "auto"
                shutdown-delay = "0s"
                shutdown-drain = "0s"
                removed-deadline = "never"
                control = "a\\\\b\\"c"
                sandbox = "on"
                log-level = "info"
                log-format = "text"
                access-log = "off"
                metrics = "off"
                status-page = false
                status-page-clients = false
                status-page-hosts = []
                affinity-entries = 65536
                resolvers = []
                resolve-interval = "ttl"
                resolve-timeout = "5s"

                [[service]]
                name = "chat"
                listen = ["127.0.0.1:8080"]
                hash-on = "source"
                ipv4-prefix = 32
                ipv6-prefix = 64
                connect-timeout = "3s"
                connect-attempts = 3
                source = "auto"
                source-device = "any"
                mark = "off"
                transparent = false
                passive-fall = 3
                slow-start = "off"
                when-down = "keep"
                when-all-down = "any"
                max-connections = "off"
                max-connections-per-client = "off"
                accept-rate-per-client = "off"
                max-connecting = 256
                max-load-factor = "off"
                idle-timeout = "off"
                half-close-timeout = "5m"
                user-timeout = "5m"
                keepalive = { idle = "1m", interval = "10s", count = 6 }
                send-proxy = "off"
                client-first = false
                health = { type = "tcp", fast-interval = "auto", down-interval = "auto", timeout = "2s", rise = 2, fall = 3 }
                health-interval = "2s"
                receive-buffer = "65537"
                send-buffer = "auto"
                accept-proxy = []
                accept-proxy-timeout = "3s"
                send-proxy-tlvs = []
                allow = []
                deny = []
                affinity = "off"

                [[service.backend]]
                name = "ws1"
                address = "10.0.0.1:80"
                weight = 1
                max-connections = "off"
                backup = false

                """)
    }

    @Test func theHashIsFNVOfTheText() throws {
        // The hash of this very text by another implementation of FNV-1a (64 bits).
        #expect(try read(document()).configHash == "db0ce67936651190")
    }
}

extension ConfigurationKey {
    /// False where the default is told in words that are not a value.
    fileprivate var isDefaultWritable: Bool {
        switch kind {
        case .path, .table, .account, .group, .text, .ipAddress, .hosts, .servers, .interface: false
        case .check, .choice, .integer, .duration:
            // Of those of a check, the ones that hold for every type.
            section != .health && self != ConfigurationKeys.backendHealth
                || [
                    ConfigurationKeys.fastInterval, ConfigurationKeys.downInterval, ConfigurationKeys.checkTimeout,
                    ConfigurationKeys.rise, ConfigurationKeys.fall,
                ].contains(self)
        default: true
        }
    }
}
