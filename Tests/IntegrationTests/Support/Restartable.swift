import Foundation

/// A directory for what survives a restart, and daemons that use it one after the other. The backends are ws1, ws2 and
/// so on, in service `chat`.
final class Restartable {
    let directory: String
    var state: String { "\(directory)/state" }
    var file: String { "\(state)/intent.json" }
    let servers: [BackendServer]
    /// Configured weights, by the backend's name; others have 1.
    var weights: [String: Int] = [:]
    /// Backends that the configuration leaves out.
    var without: Set<String> = []
    var user: String? = isRoot ? "root" : nil
    var wrapper: [String] = []
    /// The setting of this name. Most tests have servers that would count checks as clients.
    var health = "off"
    var limpetd = Programs.limpetd
    var environment: [String: String] = [:]

    init(backends: Int = 3) throws {
        directory = try temporaryDirectory()
        // Another user has to come through.
        chmod(directory, 0o755)
        servers = try (1...backends).map { try BackendServer(.greet("ws\($0)")) }
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// The configuration.
    private var text: String {
        "[[service]]\nname = \"chat\"\nlisten = \"127.0.0.1:0\"\nhealth = \"\(health)\"\n"
            + servers.enumerated().map { index, server in
                let name = "ws\(index + 1)"
                if without.contains(name) { return "" }
                let weight = weights[name].map { "weight = \($0)\n" } ?? ""
                return "\n[[service.backend]]\nname = \"\(name)\"\naddress = \"\(server.address)\"\n\(weight)"
            }.joined()
    }

    /// Writes the configuration as it is now to where a daemon that ``start()`` gave would read it.
    func edit(_ daemon: Daemon) throws {
        try text.write(toFile: "\(daemon.directory)/limpet.toml", atomically: false, encoding: .utf8)
    }

    /// Lets a daemon that ``start()`` gave read the configuration as it is now.
    func reload(_ daemon: Daemon) throws {
        try edit(daemon)
        try daemon.ctl.expect("reload")
    }

    func start() throws -> Daemon {
        var setup = Daemon.Setup()
        setup.file = text
        setup.stateDirectory = state
        setup.user = user
        setup.wrapper = wrapper
        setup.limpetd = limpetd
        setup.environment = environment
        return try Daemon(setup)
    }

    /// What the file says now; nil: there is none.
    var kept: String? { try? String(contentsOfFile: file, encoding: .utf8) }

    /// Files that were set aside.
    var aside: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: state)) ?? []
        return names.filter { $0.hasPrefix("intent.json.damaged-") }.sorted().map { "\(state)/\($0)" }
    }
}
