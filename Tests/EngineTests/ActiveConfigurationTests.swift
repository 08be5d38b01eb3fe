import Addressing
import Configuration
import Testing

@testable import Control
@testable import Engine

/// What the shared document says.
@Suite struct ActiveConfigurationTests {
    private func document() throws -> ActiveConfiguration {
        let text = """
            [[service]]
            name = "chat"
            listen = ["127.0.0.1:80"]
            backend = [{ name = "pool", address = "pool.example.net:80", expand = true }]
            """
        let configuration = try ConfigurationLoader.parse(text, source: "").configuration
        return ActiveConfiguration(
            configuration, path: "/etc/limpet/limpet.toml", flags: FlagValues(), slots: SlotTables(),
            control: ControlSocket.File(
                path: "/run/limpet/control.sock", group: 0, device: 1, inode: 2, modified: 3),
            stateDirectory: "/var/lib/limpet", user: "limpet",
            program: ActiveConfiguration.Program(path: "/usr/sbin/limpetd", startedBy: 0))
    }

    /// After an upgrade the version before has to be able to read it, should the new one fail: so what that one has written
    /// stays, byte for byte, whatever the name servers say.
    @Test func otherAddressesLeaveTheTextAsItIs() throws {
        var document = try document()
        // As another version would write it.
        document.configuration += "\n# 1.0 wrote this\n"
        let before = document
        var facts = NameFacts()
        facts.addresses[HostQuestion(HostName("pool.example.net")!)] = [IPAddress("192.0.2.1")!]
        var slots = SlotTables()
        slots.backends = [SlotTables.Backend(service: "chat", name: "192.0.2.1-80", address: "192.0.2.1:80")]
        document.take(facts, slots)
        #expect(document.configuration == before.configuration)
        #expect(document.names == facts.kept && document.slots == slots)
        // And nothing else has changed.
        document.names = before.names
        document.slots = before.slots
        #expect(document == before)
    }
}
