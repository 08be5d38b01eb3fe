import Addressing
import Stickiness
import Testing

@testable import Configuration

/// What is said to have changed between two files, and what of it a running daemon cannot do.
@Suite struct DiffTests {
    private static let settled = ConfigurationDiff.Settled(workers: 2, automaticWorkers: 2, largestLimit: 1000)

    private func read(_ text: String) throws -> DaemonConfiguration {
        try ConfigurationLoader.parse(text, source: "limpet.toml").configuration
    }

    private func diff(_ old: String, _ new: String) throws -> ConfigurationDiff {
        ConfigurationDiff(from: try read(old), to: try read(new), settled: DiffTests.settled)
    }

    private func lines(_ old: String, _ new: String) throws -> [String] {
        try diff(old, new).changes.map(\.description)
    }

    /// A service with backends `name=address`.
    private func service(_ name: String, listen: String, settings: String = "", _ backends: String...) -> String {
        backends.reduce("[[service]]\nname = \"\(name)\"\nlisten = [\(listen)]\n\(settings)\n") { text, backend in
            let parts = backend.split(separator: "=", maxSplits: 1)
            return text + "[[service.backend]]\nname = \"\(parts[0])\"\naddress = \"\(parts[1])\"\n"
        }
    }

    @Test func theSameIsNoChange() throws {
        let text = document(daemon: "workers = 2", service: "idle-timeout = \"60s\"", backend: "weight = 3")
        #expect(try diff(text, "# another comment\n" + text.replacing("60s", with: "1m")).isEmpty)
    }

    /// Each key there is, changed by itself, is seen and told with both values, there and back.
    @Test func everyKey() throws {
        // Another device is another listener; an SRV name takes the place of an address and a weight.
        let others = [ConfigurationKeys.device, ConfigurationKeys.srv]
        for setting in ReadingTests.settings where !others.contains(setting.key) {
            let plain = ReadingTests.plain(setting.key)
            let changed = ReadingTests.text(with: setting)
            let there = try #require(try diff(plain, changed).changes.only, "\(setting.key.name)")
            let table = [ConfigurationKey.Section.keepalive, .health].first { $0 == setting.key.section }?.rawValue
            let isInterval = setting.key == ConfigurationKeys.checkInterval
            #expect(there.key == (isInterval ? "health-interval" : table ?? setting.key.name))
            let tables = [ConfigurationKeys.keepalive, ConfigurationKeys.health]
            if table == nil, !tables.contains(setting.key) {
                #expect(there.old == setting.key.defaultText)
            }
            #expect(there.old != there.new && there.kind == .changed)
            switch setting.key.section {
            case .daemon: #expect(there.subject == .daemon && there.service == nil && there.name == nil)
            case .service, .behaviour, .keepalive, .health:
                #expect(there.subject == .service && there.service == "chat" && there.name == nil)
            case .listener:
                let name = ReadingTests.address(for: setting.key)
                #expect(there.subject == .listener && there.fullName == "\(name) of chat")
            case .backend: #expect(there.subject == .backend && there.fullName == "chat/ws1")
            }
            let back = try #require(try diff(changed, plain).changes.only, "\(setting.key.name)")
            #expect(back.old == there.new && back.new == there.old && back.key == there.key)
            let waits = [
                "workers", "control", "state-directory", "user", "group", "sandbox", "affinity-entries", "mode",
                "owner",
            ].contains(setting.key.name)
            #expect(try diff(plain, changed).needingRestart == (waits ? [there] : []), "\(setting.key.name)")
        }
    }

    @Test(
        "in words",
        arguments: [
            (document(daemon: "log-level = \"debug\""), "changed log-level from info to debug"),
            (document(service: "idle-timeout = \"60s\""), "changed service chat: idle-timeout from off to 1m"),
            (
                document(service: "keepalive = \"off\""),
                "changed service chat: keepalive from { idle = \"1m\", interval = \"10s\", count = 6 } to off"
            ),
            (document(backend: "weight = 2"), "changed backend chat/ws1: weight from 1 to 2"),
            (
                document().replacing("10.0.0.1:80", with: "10.0.0.2:80"),
                "changed backend chat/ws1: address from 10.0.0.1:80 to 10.0.0.2:80"
            ),
        ])
    func words(text: String, line: String) throws {
        #expect(try lines(document(), text) == [line])
    }

    @Test func whatIsSettledMayBeWrittenOut() throws {
        #expect(try diff(document(), document(daemon: "workers = 2")).needingRestart == [])
        #expect(try diff(document(daemon: "workers = 2"), document()).needingRestart == [])
        let three = ConfigurationDiff.Settled(workers: 3, automaticWorkers: 2, largestLimit: 1)
        let back = ConfigurationDiff(
            from: try read(document(daemon: "workers = 3")), to: try read(document()), settled: three)
        #expect(back.needingRestart.map(\.description) == ["changed workers from 3 to auto"])
    }

    @Test func maxConnectionsMayChangeWithinWhatThereIs() throws {
        let limit = { (count: Int) in document(daemon: "max-connections = \(count)") }
        #expect(try diff(limit(10), limit(1000)).needingRestart == [])
        #expect(
            try diff(limit(10), limit(1001)).needingRestart.map(\.description)
                == ["changed max-connections from 10 to 1001"])
        #expect(try diff(limit(10), document()).needingRestart == [])
        // A backend's key of the same name is its own affair.
        let backend = try diff(document(), document(backend: "max-connections = 5000"))
        #expect(backend.needingRestart == [])
        #expect(backend.changes.map(\.description) == ["changed backend chat/ws1: max-connections from off to 5000"])
    }

    @Test func backendsComeAndGo() throws {
        let old = service("chat", listen: "\"127.0.0.1:80\"", "a=10.0.0.1:80", "b=10.0.0.2:80")
        let new = service("chat", listen: "\"127.0.0.1:80\"", "b=10.0.0.2:80", "c=10.0.0.3:80")
        #expect(
            try lines(old, new + "weight = 4\nmax-connections = 9\n") == [
                "removed backend chat/a: 10.0.0.1:80",
                "added backend chat/c: 10.0.0.3:80,weight=4,max-connections=9",
            ])
    }

    /// Another name is another backend, whatever its address.
    @Test func aNameIsTheBackend() throws {
        let one = service("chat", listen: "\"127.0.0.1:80\"", "a=10.0.0.1:80")
        #expect(
            try lines(one, one.replacing("\"a\"", with: "\"b\""))
                == ["removed backend chat/a: 10.0.0.1:80", "added backend chat/b: 10.0.0.1:80"])
    }

    @Test func servicesComeAndGoWithAllTheyHave() throws {
        let chat = service("chat", listen: "\"127.0.0.1:80\"", "a=10.0.0.1:80")
        let mqtt = service("mqtt", listen: "\"127.0.0.1:1883\", \"[::1]:0\"", "m=10.0.0.9:1883")
        #expect(
            try lines(chat, chat + mqtt) == [
                "added service mqtt", "added listener 127.0.0.1:1883 of mqtt", "added listener [::1]:0 of mqtt",
                "added backend mqtt/m: 10.0.0.9:1883",
            ])
        #expect(
            try lines(chat + mqtt, chat) == [
                "removed service mqtt", "removed listener 127.0.0.1:1883 of mqtt", "removed listener [::1]:0 of mqtt",
                "removed backend mqtt/m: 10.0.0.9:1883",
            ])
    }

    @Test func listenersComeGoAndChangeTheirService() throws {
        let old =
            service("chat", listen: "\"127.0.0.1:80\", \"127.0.0.1:81\"", "a=10.0.0.1:80")
            + service("mqtt", listen: "\"127.0.0.1:90\"", "a=10.0.0.2:80")
        let new =
            service("chat", listen: "\"127.0.0.1:80\", \"127.0.0.1:82\"", "a=10.0.0.1:80")
            + service("mqtt", listen: "\"127.0.0.1:81\", \"127.0.0.1:90\"", "a=10.0.0.2:80")
        #expect(
            try lines(old, new) == [
                "added listener 127.0.0.1:82 of chat",
                "changed listener 127.0.0.1:81 of mqtt: service from chat to mqtt",
            ])
    }

    /// A service under another name is another service, but nobody at its address is turned away.
    @Test func aRenamedServiceKeepsItsListener() throws {
        let chat = service("chat", listen: "\"127.0.0.1:80\"", "a=10.0.0.1:80")
        #expect(
            try lines(chat, chat.replacing("\"chat\"", with: "\"talk\"")) == [
                "removed service chat", "removed backend chat/a: 10.0.0.1:80", "added service talk",
                "changed listener 127.0.0.1:80 of talk: service from chat to talk",
                "added backend talk/a: 10.0.0.1:80",
            ])
    }

    @Test func portsThatTheKernelChoosesAreCounted() throws {
        let two = service("chat", listen: "\"127.0.0.1:0\", \"127.0.0.1:0\"", "a=10.0.0.1:80")
        let one = service("chat", listen: "\"127.0.0.1:0\"", "a=10.0.0.1:80")
        #expect(try lines(two, two) == [])
        #expect(try lines(two, one) == ["removed listener 127.0.0.1:0 of chat"])
        #expect(try lines(one, two) == ["added listener 127.0.0.1:0 of chat"])
        let other = one.replacing("\"chat\"", with: "\"talk\"")
        #expect(try lines(one, other).contains("added listener 127.0.0.1:0 of talk"))
    }

    /// It plays no part in who goes where, but two hashes that differ want a reason.
    @Test func anOrderIsTold() throws {
        let a = service("a", listen: "\"127.0.0.1:80\", \"127.0.0.1:81\"", "x=10.0.0.1:80", "y=10.0.0.2:80")
        let b = service("b", listen: "\"127.0.0.1:90\"", "x=10.0.0.1:80")
        #expect(try lines(a + b, b + a) == ["changed service from a, b to b, a"])
        let turned = service("a", listen: "\"127.0.0.1:81\", \"127.0.0.1:80\"", "y=10.0.0.2:80", "x=10.0.0.1:80")
        #expect(
            try lines(a, turned) == [
                "changed service a: listen from 127.0.0.1:80, 127.0.0.1:81 to 127.0.0.1:81, 127.0.0.1:80",
                "changed service a: backend from x, y to y, x",
            ])
    }

    @Test func whatChangesTheHashIsTold() throws {
        let texts = [
            document(), document(daemon: "removed-deadline = \"1m\""), document(service: "idle-timeout = \"1m\""),
            document(backend: "weight = 2"), document().replacing("\"127.0.0.1:8080\"", with: "\"127.0.0.1:8081\""),
            document().replacing("ws1", with: "ws2"), document().replacing("chat", with: "talk"),
        ]
        for one in texts {
            for other in texts {
                let isSame = try read(one).configHash == read(other).configHash
                #expect(try diff(one, other).isEmpty == isSame)
            }
        }
    }

    /// The bytes of a key are in no text, but that they are others is.
    @Test func anotherKeyInTheSameFile() throws {
        var old = try read(document(daemon: "hash-key-file = \"/etc/key\""))
        var new = old
        old.hashKey = try #require(HashKey(hexadecimal: "00112233445566778899aabbccddeeff"))
        new.hashKey = try #require(HashKey(hexadecimal: "ffeeddccbbaa99887766554433221100"))
        let diff = ConfigurationDiff(from: old, to: new, settled: DiffTests.settled)
        #expect(
            diff.changes.map(\.description) == ["changed hash-key-file from /etc/key to /etc/key (another key)"])
        #expect(diff.needingRestart == [])
    }
}

extension Array {
    /// The one element; nil where there are none or several.
    fileprivate var only: Element? { count == 1 ? self[0] : nil }
}
