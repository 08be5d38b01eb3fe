import Foundation
import Testing

/// What of a name counts: one family of its addresses.
@Suite(.ownThread, .fence, .enabled(if: NameServer.isThere, "dnsmasq is missing"))
struct NameFamilyTests {
    private func daemon(_ server: NameServer, _ backend: [String]) throws -> Reloadable {
        let service = Reloadable.Service(listen: ["127.0.0.1:0"], settings: ["health = \"off\""] + backend)
        return try Reloadable([service], settings: server.settings)
    }

    private func live(_ ctl: Ctl) throws -> [String] {
        try ctl.backends().filter { $0.state != "removed" }.map(\.name).sorted()
    }

    /// Servers of two families behind one name, and a way to one of them.
    @Test func oneFamilyOfANameCanBeAskedForAlone() throws {
        let greeter = try BackendServer(.greet("127.0.20.1"), on: "127.0.20.1")
        let port = greeter.address.port
        let server = try NameServer()
        try server.serve(["host-record=pool.example.net,127.0.20.1,2001:db8::1"])
        func lines(_ family: String) -> [String] {
            [
                "[[service.backend]]", "name = \"pool\"", "address = \"pool.example.net:\(port)\"", "expand = true",
                "family = \"\(family)\"",
            ]
        }
        let daemon = try self.daemon(server, lines("ipv4"))
        let ctl = daemon.ctl
        #expect(try live(ctl) == ["127.0.20.1-\(port)"])
        #expect(try ctl.backends()[0].resolution?.name == "A pool.example.net")
        let client = try daemon.client(from: clientHost(1))
        // The name in the file is no backend, and says what it stands for.
        let drain = try ctl.run("drain", "chat/pool", "--force")
        #expect(
            drain.status == 4
                && drain.stderr.contains(
                    "chat/pool: no such backend: it stands for chat/127.0.20.1-\(port): name that"),
            "\(drain)")
        // An engine that follows knows it.
        try server.stop()
        let engine = try daemon.daemon.enginePID
        kill(engine, SIGKILL)
        try eventually("another engine answers") {
            try ctl.run("ready", "-q").status == 0 && daemon.daemon.enginePID != engine
        }
        #expect(try live(ctl) == ["127.0.20.1-\(port)"])
        try server.serve(["host-record=pool.example.net,127.0.20.1,2001:db8::1"])
        // A reload asks for the others.
        daemon.services[0].settings.removeLast(5)
        daemon.services[0].settings += lines("any")
        try daemon.reload()
        #expect(try live(ctl) == ["127.0.20.1-\(port)", "2001-db8--1-\(port)"])
        daemon.services[0].settings.removeLast(5)
        daemon.services[0].settings += lines("ipv6")
        try daemon.reload()
        #expect(try live(ctl) == ["2001-db8--1-\(port)"])
        try expectEcho(client)
        try daemon.daemon.stop()
    }
}
