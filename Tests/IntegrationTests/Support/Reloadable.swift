import Foundation
import Testing

/// A daemon whose configuration file the test changes.
final class Reloadable {
    /// A service as the file has it.
    struct Service {
        var name = "chat"
        /// Addresses, or inline tables.
        var listen: [String] = []
        var settings: [String] = []
        var backends: [Backend] = []

        struct Backend {
            var name: String
            var address: SocketAddress
            var settings: [String] = []
        }

        var text: String {
            let addresses = listen.map { $0.hasPrefix("{") ? $0 : "\"\($0)\"" }.joined(separator: ", ")
            // Most tests have servers that would count checks as clients, or none.
            let health = settings.contains { $0.hasPrefix("health = ") } ? [] : ["health = \"off\""]
            let head = ["[[service]]", "name = \"\(name)\"", "listen = [\(addresses)]"] + health + settings
            let rest = backends.flatMap {
                ["[[service.backend]]", "name = \"\($0.name)\"", "address = \"\($0.address)\""] + $0.settings
            }
            return (head + rest).joined(separator: "\n") + "\n"
        }
    }

    /// Settings of the daemon, and the services: what the file says next.
    var settings: [String] = []
    var services: [Service]
    let daemon: Daemon
    /// Kept running.
    var servers: [BackendServer] = []
    var ctl: Ctl { daemon.ctl }
    var path: String { "\(daemon.directory)/limpet.toml" }

    /// - Parameter settings: of the daemon.
    init(_ services: [Service], settings: [String] = [], _ prepare: (inout Daemon.Setup) -> Void = { _ in }) throws {
        self.services = services
        self.settings = settings
        var setup = Daemon.Setup()
        setup.file = Reloadable.text(settings, services)
        prepare(&setup)
        daemon = try Daemon(setup)
    }

    /// One service, `chat`, with servers b1, b2 and so on behind a port that the kernel chooses.
    convenience init(
        _ servers: [BackendServer], service: [String] = [], settings: [String] = [], listen: [String] = ["127.0.0.1:0"]
    ) throws {
        try self.init(
            [Service(listen: listen, settings: service, backends: Reloadable.backends(servers))],
            settings: settings)
        self.servers = servers
    }

    static func backends(_ servers: [BackendServer]) -> [Service.Backend] {
        servers.enumerated().map { Service.Backend(name: "b\($0.offset + 1)", address: $0.element.address) }
    }

    private static func text(_ settings: [String], _ services: [Service]) -> String {
        (settings + services.map(\.text)).joined(separator: "\n") + "\n"
    }

    /// Puts what is set into the file.
    func write() throws { try write(Reloadable.text(settings, services)) }

    func write(_ text: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Writes the file and reloads, which has to succeed.
    @discardableResult
    func reload(dryRun: Bool = false) throws -> ReloadDocument {
        try write()
        return try ctl.json(ReloadDocument.self, ["reload"] + (dryRun ? ["--dry-run"] : []))
    }

    /// Writes the file and reloads, whatever comes of it.
    func tryReload(_ arguments: String...) throws -> Outcome {
        try write()
        return try ctl.run(["reload"] + arguments)
    }

    /// The name that the backend of a client from this address sends, see ``BackendServer/Manner/greet(_:)``.
    func landing(_ source: String) throws -> String {
        let client = try daemon.connect(from: source)
        return String(try client.receiveLine().prefix { $0 != " " })
    }

    func landings(_ sources: [String]) throws -> [String: String] {
        var result: [String: String] = [:]
        for source in sources { result[source] = try landing(source) }
        return result
    }

    /// An open client whose backend has greeted it.
    func client(from source: String) throws -> TCPSocket {
        let client = try daemon.connect(from: source)
        _ = try client.receiveLine()
        return client
    }

    /// Everything that a reload could change and that is to be seen, as one text.
    func picture() throws -> String {
        let status = try ctl.status()
        let parts = [
            try ctl.expect("config"), status.configHash, "\(status.maxConnections)",
            "\(status.services.map { "\($0.name) \($0.mappingHash)" })",
            "\(try ctl.backends().map { "\($0.service)/\($0.name) \($0.address) \($0.weight) \($0.state)" })",
            "\(try ctl.listeners().map { "\($0.service) \($0.address)" })",
        ]
        return parts.joined(separator: "\n")
    }
}

/// A client's bytes go there and back.
func expectEcho(_ client: TCPSocket, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try client.send("ping")
    #expect(try client.receiveText(4) == "ping", sourceLocation: sourceLocation)
}
