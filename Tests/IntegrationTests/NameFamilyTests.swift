import Foundation
import Testing

/// What of a name counts: one family of its addresses, or the lowest of too many.
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

    @Test func aNameWithTooManyAddressesIsToldOfOnce() throws {
        let server = try NameServer()
        let many = (0..<1100).map { "127.1.\($0 / 250).\($0 % 250 + 1)" }
        try server.serve(NameServer.host("big", many))
        let big = ["[[service.backend]]", "name = \"big\"", "address = \"big.example.net:9\""]
        let daemon = try self.daemon(server, big)
        let line = "big.example.net: 1100 records, the lowest 1000 are used"
        try eventually("it is said") { daemon.daemon.logLines(containing: line).count == 1 }
        #expect(try daemon.reload(dryRun: true).warnings == [])
        let service = Reloadable.Service(listen: ["127.0.0.1:0"], settings: big)
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try (server.settings + [service.text]).joined(separator: "\n").write(
            toFile: "\(directory)/limpet.toml", atomically: true, encoding: .utf8)
        let outcome = try run([Programs.limpetd, "--check", "-c", "\(directory)/limpet.toml"])
        #expect(outcome.status == 0 && outcome.stderrLines.contains("warning: \(line)"), "\(outcome)")
        // It is asked for each second, and said again when it is another number.
        try server.serve(NameServer.host("big", Array(many.dropLast(50))))
        try eventually("the other number is said") {
            daemon.daemon.logLines(containing: "big.example.net: 1050 records, the lowest 1000 are used").count == 1
        }
        #expect(daemon.daemon.logLines(containing: line).count == 1)
        try daemon.daemon.stop()
    }
}
