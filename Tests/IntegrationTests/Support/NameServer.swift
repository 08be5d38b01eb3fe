import Foundation

/// A real name server, dnsmasq, on loopback and a port of its own. It knows names under example.net and no others.
final class NameServer {
    static let isThere = FileManager.default.isExecutableFile(atPath: "/usr/sbin/dnsmasq")

    let port: UInt16
    private var process: ChildProcess?

    var address: String { "127.0.0.1:\(port)" }
    /// For a configuration file.
    var settings: [String] { ["resolvers = [\"\(address)\"]", "resolve-timeout = \"1s\""] }

    /// - Parameter records: see ``serve(_:)``.
    init(_ records: String...) throws {
        // A port that TCP has free is one that UDP has free, as good as always: dnsmasq says so if not.
        let probe = try Listener.refusing()
        port = probe.socket.local.port
        probe.close()
        try serve(records)
    }

    deinit { process?.signal(SIGKILL) }

    /// Answers these from now on: options of dnsmasq without their dashes, such as `host-record=a.example.net,127.0.0.1`.
    /// All answers count for a second.
    func serve(_ records: [String]) throws {
        try stop()
        let process = try ChildProcess(
            [
                "/usr/sbin/dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=\(port)",
                "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--local=/example.net/",
                "--local-ttl=1", "--user=root", "--pid-file=",
            ] + records.map { "--\($0)" })
        self.process = process
        try eventually("dnsmasq serves: \(process.stderr)") {
            if let ending = process.poll() {
                throw SocketFailure(call: "dnsmasq ended (\(ending)): \(process.stderr)", code: 0)
            }
            return process.stderr.contains("started")
        }
        // It says so before it listens, or after.
        try eventually("dnsmasq listens") {
            (try? TCPSocket.connect(to: SocketAddress("127.0.0.1", port))) != nil
        }
    }

    func serve(_ records: String...) throws { try serve(records) }

    /// Nobody answers any more.
    func stop() throws {
        guard let process else { return }
        process.signal(SIGKILL)
        _ = try process.wait()
        self.process = nil
    }

    /// One name with these addresses, and whether they are told in another order each time is the server's to decide.
    static func host(_ name: String, _ addresses: [String]) -> [String] {
        addresses.map { "host-record=\(name).example.net,\($0)" }
    }
}
